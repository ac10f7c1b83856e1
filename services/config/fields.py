"""Fields of config's REST documents: texts, domains, instants and lists, as they are taken and given."""

from __future__ import annotations

import unicodedata
from typing import Any

import marshmallow as ma

from contracts.configurations import InvalidDomain, normalise_domain
from contracts.texts import composed
from contracts.times import to_rfc3339


class Text(ma.fields.String):
    """A text in NFC without spaces around it and without control characters; `lines` allows line breaks."""

    def __init__(self, longest: int, *, shortest: int = 1, lines: bool = False, **options: Any) -> None:
        super().__init__(validate=ma.validate.Length(shortest, longest), **options)
        self.longest, self.lines = longest, lines

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = composed(super()._deserialize(value, attr, data, **options).strip(), self.longest)
        allowed = "\n\r\t" if self.lines else ""
        if any(unicodedata.category(character) in ("Cc", "Cs") and character not in allowed for character in text):
            raise ma.ValidationError("Control characters are not allowed.")
        return text


class Domain(ma.fields.String):
    """A domain, `shop.example.com` or `*.example.com`, in normal form (DOMAIN §3)."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        try:
            return normalise_domain(super()._deserialize(value, attr, data, **options))
        except InvalidDomain as error:
            raise ma.ValidationError(f"{error}.") from error


class Instant(ma.fields.String):
    """Microseconds inside, RFC 3339 outside."""

    def _serialize(self, value: Any, *_context: Any, **_options: Any) -> str | None:
        return None if value is None else to_rfc3339(value)


class Distinct(ma.fields.List[Any]):
    """A list in which an entry that comes again is left out."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        return list(dict.fromkeys(super()._deserialize(value, attr, data, **options)))
