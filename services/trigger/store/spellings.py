"""How a customer's value may stand in kept bytes that nobody has read: whole, and not as a part of somebody else's.

An e-mail address or a phone number is one wherever it stands. A shop's own number is not: `2026` stands in every time,
`cart/add` in every signal; it is the customer's only where a field says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property

from contracts.stitching import ANONYMOUS

_BEFORE = rb"(?:(?<![a-z0-9._%+'\x80-\xff-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9a-f]{2}))"
"""No more of a local part; a character that was escaped is none."""
_BEHIND = rb"(?!-*[a-z0-9_\x80-\xff]|\.[a-z0-9\x80-\xff])"
"""No more of a domain; a full stop may end a sentence."""
_SEPARATORS = re.compile(rb"[\s()./-]+")
_NAMING = rb'"(?:(?:customer|user|external|profile)_?id|idtype":\s*"external",\s*"id)"\s*:\s*'
"""In our own signals, in those of senders, and in an event."""
_NAMING_A_VISITOR = rb'"(?:anonymous_?id|idtype":\s*"anonymous",\s*"id)"\s*:\s*'
"""The same of an anonymous id, which is no more unlike others than a shop's own number."""


def texts_of(value: str) -> list[bytes]:
    """How a value may stand in kept bytes: plain, and as JSON with escapes."""
    plain = value.encode("utf-8", "surrogatepass")
    escaped = json.dumps(value)[1:-1].encode()
    unescaped = json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    return list(dict.fromkeys((plain, escaped, unescaped)))


class Kept:
    """Kept bytes, read once for all who are looked for in them: letters without case, and digits without gaps."""

    def __init__(self, body: bytes) -> None:
        self.text = body.lower() if body.isascii() else body.decode("utf-8", "replace").casefold().encode()

    @cached_property
    def digits(self) -> bytes:
        """The text without what stands between the digits of phone numbers."""
        return _SEPARATORS.sub(b"", self.text)


def spelling_of(id_type: str, value: str) -> Callable[[Kept], bool]:
    """Whether kept bytes hold a customer's value (normalised, DOMAIN §2.1)."""
    texts = [text.lower() for text in texts_of(value.casefold())]
    if id_type == "phone":
        return lambda kept: any(text in kept.digits for text in texts)
    either = b"|".join(map(re.escape, texts))
    if id_type == "email" or ("@" in value and id_type != ANONYMOUS):
        whole = re.compile(_BEFORE + rb"(?:" + either + rb")" + _BEHIND)
    else:
        naming = _NAMING_A_VISITOR if id_type == ANONYMOUS else _NAMING
        number = rb"|(?:" + either + rb")(?:\.0+)?(?![0-9.e])" if value.isdecimal() else b""
        whole = re.compile(naming + rb'(?:"(?:' + either + rb')"' + number + rb")")
    return lambda kept: any(text in kept.text for text in texts) and whole.search(kept.text) is not None
