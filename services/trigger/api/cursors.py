"""Cursors of lists: the order columns of the last item shown, as text that callers hand back unread."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, TypeVar

import marshmallow as ma
import msgspec

Place = TypeVar("Place")
Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that a database can compare with."""
Word = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
"""A text that a database can compare with."""


class Cursor(ma.fields.Field[Any]):
    """A place in a list, of the type `place` (a tuple)."""

    def __init__(self, place: Any, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "description": "`next` of the page before."}, **options)
        self._decoder = msgspec.msgpack.Decoder(place)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:  # noqa: ARG002
        try:
            return self._decoder.decode(base64.urlsafe_b64decode(str(value).encode() + b"=="))
        except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError) as error:
            raise ma.ValidationError("This is no cursor of this list.") from error


def cursor_place(place: Any, text: str) -> Any:
    """The place of a text, of the type `place`; None when it is none."""
    try:
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(text.encode() + b"=="), type=place)
    except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
        return None


def cursor_text(place: tuple[Any, ...]) -> str:
    """The text of a place."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")
