"""Why a signal or a request was refused: one value, whatever the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.problems import Fault

__all__ = ["Code", "Fault", "Refusal", "encodable", "pointer_of"]

Code = Literal[
    "missing_key",
    "unknown_key",
    "wrong_secret",
    "expired_key",
    "disabled_key",
    "foreign_origin",
    "foreign_site",
    "kind_not_allowed",
    "unknown_kind",
    "invalid",
    "too_large",
    "malformed",
    "not_json",
    "unavailable",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP status, a code for machines and logs, the reason for people, and every fault found."""

    status: int
    code: Code
    reason: str
    faults: tuple[Fault, ...] = ()


def pointer_of(*steps: str | int) -> str:
    """The JSON pointer of a path: `/data/items/0/price`; always encodable, whatever the keys hold."""
    return "".join(f"/{encodable(str(step)).replace('~', '~0').replace('/', '~1')}" for step in steps)


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, so that it can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
