"""Why a signal or a request was refused: one value, whatever the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.problems import Fault

__all__ = ["AGAIN", "NOT_KEPT", "NOT_NAMED", "Code", "Fault", "Refusal", "encodable", "pointer_of", "retry_headers"]

AGAIN = frozenset((429, 503))
"""The statuses of what is to be sent again, the same."""

Code = Literal[
    "missing_key",
    "unknown_key",
    "wrong_secret",
    "missing_signature",
    "wrong_signature",
    "stale_signature",
    "expired_key",
    "disabled_key",
    "foreign_origin",
    "foreign_site",
    "kind_not_allowed",
    "kind_not_of_key",
    "no_consent",
    "unknown_kind",
    "invalid",
    "too_large",
    "malformed",
    "not_json",
    "unavailable",
    "rate_limited",
    "suppressed",
]

NOT_KEPT: frozenset[Code] = frozenset(
    (
        *("missing_key", "unknown_key", "wrong_secret", "missing_signature", "wrong_signature", "stale_signature"),
        *("no_consent", "suppressed"),
    )
)
"""Refused for these, nothing of a signal's content is kept: the sender has not shown who they are, or must not be
listened to at all. A code that stands here can never be replayed."""

NOT_NAMED: frozenset[Code] = frozenset(("no_consent", "suppressed"))
"""Of those, the ones of which not even the customer, the id and the source of the signal are told."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP status, a code for machines and logs, the reason for people, and every fault found.

    `retry_after`: seconds after which the same may be tried again; 0 where that is not known.
    """

    status: int
    code: Code
    reason: str
    faults: tuple[Fault, ...] = ()
    retry_after: int = 0


def pointer_of(*steps: str | int) -> str:
    """The JSON pointer of a path: `/data/items/0/price`; always encodable, whatever the keys hold."""
    return "".join(f"/{encodable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in steps)


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, so that it can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def retry_headers(refusal: Refusal) -> dict[str, str]:
    """When what was refused may be sent again, where that helps."""
    return {"Retry-After": str(refusal.retry_after or 1)} if refusal.status in AGAIN else {}
