"""What of a refused signal is kept, so that it can be shown and replayed: as it was read, without secrets. Pure.

Nothing is kept of a sender who has not shown who they are, nor of a signal in which a secret was found: a signal with
a hole in it would, replayed, be another one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from services.ingestion.refusals import NOT_KEPT, Refusal
from services.ingestion.shapes import Envelope

Unkept = Literal["never", "secret", "unreadable", "too_large", "flood"]
"""Why nothing is kept: by the rules (`NOT_KEPT`), for a secret in it, as no database or JSON could hold it (and then
no replay can take it), for its size, or as too much was refused lately."""

LARGEST_KEPT = 65_536
"""Bytes; what is larger is refused as a signal, too."""
MEMBERS = frozenset(
    (*(each.encode_name for each in msgspec.structs.fields(Envelope)), "datacontenttype", "subject", "consent")
)
"""What is kept beside `data`; anything else that stands there was never read, and may be a key."""
SECRET_NAMES = frozenset(
    (
        *("password", "passwd", "passphrase", "secret", "clientsecret", "privatekey", "authorization", "cookie"),
        *("setcookie", "apikey", "xapikey", "writekey", "accesstoken", "refreshtoken", "idtoken", "sessiontoken"),
        *("creditcard", "cardnumber", "cvv", "cvc", "iban", "pin"),
    )
)
"""Names of what nobody would want to read in a debugger, without case and signs between."""

_SECRETS = re.compile(rb"sk_[0-9A-Za-z]{6,}:[^\s\"\\]|mat_[0-9A-Za-z]{16}|whsec_[0-9A-Za-z+/]{8}")
_BAD_CHARACTERS = re.compile("[\0\ud800-\udfff]")
_NO_LETTERS = re.compile("[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Kept:
    """The JSON of a signal, empty where it is not kept, and then why."""

    sent: str = ""
    unkept: Unkept | Literal[""] = ""


@dataclass(slots=True)
class Room:
    """How many bytes may be kept: `rate` of them a second, `most` at once. `left` as it was at `since` (s)."""

    most: float
    rate: float
    left: float = field(init=False)
    since: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.most

    def has(self, size: int, now: float) -> bool:
        """Whether there is room for so many at an instant (s)."""
        self.left = min(self.most, self.left + (now - self.since) * self.rate)
        self.since = now
        return self.left >= size


def keep(item: Any, refusal: Refusal, *, known: bool, secret: str) -> Kept:
    """What is kept of an item. `known`: its key is that of a configuration; `secret`: what came with the key."""
    if not known or refusal.code in NOT_KEPT:
        return Kept(unkept="never")
    if type(item) is not dict or type(item.get("data")) is not dict:
        return Kept(unkept="unreadable")
    shown = {name: value for name, value in item.items() if name in MEMBERS}
    found = next(_reasons(shown), None)
    if found is not None:
        return Kept(unkept=found)
    try:
        text = msgspec.json.encode(shown)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return Kept(unkept="unreadable")
    if len(text) > LARGEST_KEPT:
        return Kept(unkept="too_large")
    if _SECRETS.search(text) or (secret and msgspec.json.encode(secret)[1:-1] in text):
        return Kept(unkept="secret")
    return Kept(text.decode())


def _reasons(value: Any) -> Iterator[Unkept]:
    """Why a value is not kept, as far as it holds what JSON or a database cannot, or what is named like a secret."""
    stack = [value]
    while stack:
        each = stack.pop()
        if (type(each) is str and _BAD_CHARACTERS.search(each)) or (type(each) is float and not math.isfinite(each)):
            yield "unreadable"
        elif type(each) is list:
            stack += each
        elif type(each) is dict:
            yield from _reasons_of_names(each)
            stack += each.values()


def _reasons_of_names(members: dict[str, Any]) -> Iterator[Unkept]:
    for name, value in members.items():
        if _BAD_CHARACTERS.search(name):
            yield "unreadable"
        if value not in (None, "") and _NO_LETTERS.sub("", name.lower()) in SECRET_NAMES:
            yield "secret"
