"""Who sends: a key, and what signs its requests; and what to do when ingestion does not take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from contracts.signatures import SIGNATURE_HEADER, SIGNING_PREFIX, TIMESTAMP_HEADER, signature_of
from contracts.times import SECOND

_TOLD_BY = "`moments keys signing KEY required` tells it"
_ADVICE = {
    "wrong_secret": "A server key is given with its secret, as sk_…:secret. Where its requests are to be signed, what"
    " signs is given by --signing-secret; where they are not, leave that out.",
    "disabled_key": "`moments keys enable KEY` switches it on.",
    "missing_signature": "This key takes signed requests alone: give what signs by --signing-secret, or in"
    f" MOMENTS_SIGNING_SECRET; {_TOLD_BY}.",
    "wrong_signature": f"Is the signing secret that of this key? One that was made anew has another; {_TOLD_BY}.",
    "stale_signature": "The clock of this machine and that of ingestion differ: set the wrong one.",
    "kind_not_of_key": "`moments keys kinds KEY` shows what the key may send, and changes it.",
    "no_consent": "This audience configuration takes only signals that say that their customer consents. Where these"
    " customers do, give --consent.",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key as `sk_…:secret`, and the secret that signs; empty: requests are not signed."""

    key: str
    signing_secret: str = ""

    def headers(self, path: str, body: bytes, now: int) -> dict[str, str]:
        """What goes with a request to a path of ingestion at an instant (µs). Who signs sends no secret along."""
        if not self.signing_secret:
            return {"X-Api-Key": self.key}
        timestamp = str(now // SECOND)
        return {
            "X-Api-Key": self.key.partition(":")[0],
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: signature_of(self.signing_secret, timestamp, path, body),
        }


def advice(codes: Iterable[str]) -> list[str]:
    """What to do about refusals of these codes, where that is known."""
    wanted = set(codes)
    return [text for code, text in _ADVICE.items() if code in wanted]


def code_of(document: object) -> str:
    """The code of a refusal, as a problem document or the result of an item has it; else empty."""
    return str(document.get("code", "")) if isinstance(document, Mapping) else ""


class SigningSecret(click.ParamType[str]):
    """What signs for a key."""

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The secret; the one that a key is sent with is another."""
        text = str(value).strip()
        if text and not text.startswith(SIGNING_PREFIX):
            self.fail(f"What signs begins with {SIGNING_PREFIX}; {_TOLD_BY}.", param, ctx)
        return text
