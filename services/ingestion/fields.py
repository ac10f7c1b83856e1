"""The types of the fields that a sender may set, each declared once for msgspec and once for marshmallow.

The struct types decide on the hot path; the marshmallow fields list every fault and make the API document. A
contract test holds the two together.
"""

# ruff: noqa: ARG002 - marshmallow hands every field the whole input

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import marshmallow as ma
import msgspec
from msgspec import Meta

from services.ingestion.admission import host_of

LARGEST_INTEGER = 2**53
LONGEST_ID = 255
LONGEST_TEXT = 1024
LONGEST_URL = 8192
LARGEST_QUANTITY = 1_000_000_000
LARGEST_PRICE = 1e12
MOST_ITEMS = 1000

_Identifier = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_WholeIdentifier = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
_FloatIdentifier = Annotated[float, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER, multiple_of=1)]
Identifier = _Identifier | _WholeIdentifier | _FloatIdentifier
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Url = Annotated[str, Meta(max_length=LONGEST_URL)]
Currency = Annotated[str, Meta(max_length=3, pattern="^[A-Za-z]{3}$")]
Price = Annotated[float, Meta(ge=0, le=LARGEST_PRICE)]
_WholeQuantity = Annotated[int, Meta(ge=0, le=LARGEST_QUANTITY)]
_FloatQuantity = Annotated[float, Meta(ge=0, le=LARGEST_QUANTITY, multiple_of=1)]
Quantity = _WholeQuantity | _FloatQuantity
_StepText = Annotated[str, Meta(max_length=LONGEST_ID)]
_StepFloat = Annotated[float, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Step = _StepText | _WholeIdentifier | _StepFloat
Instant = Annotated[datetime, Meta(tz=True)]


def text_of(identifier: str | int | float) -> str:
    """An identifier as text: 7 and 7.0 are the same number in JSON, and become `7`."""
    return identifier if type(identifier) is str else str(int(identifier))


class IdentifierField(ma.fields.String):
    """A text of 1 to 255 characters; a whole number is taken as its text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) in (int, float):
            if not abs(value) <= LARGEST_INTEGER or value % 1:
                raise ma.ValidationError("As a number, must be a whole one within 2^53.")
            return str(int(value))
        return super()._deserialize(value, attr, data, **kwargs)


class PriceField(ma.fields.Float):
    """A finite number from 0 to 10^12."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise self.make_error("invalid")
        if not 0 <= value <= LARGEST_PRICE:
            raise ma.ValidationError("Must be a finite number from 0 to 1e12.")
        return float(value)


class QuantityField(ma.fields.Integer):
    """A whole number from 0 to 10^9."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise self.make_error("invalid")
        if not 0 <= value <= LARGEST_QUANTITY or value % 1:
            raise ma.ValidationError(f"Must be a whole number from 0 to {LARGEST_QUANTITY}.")
        return int(value)


class StepField(ma.fields.Raw):
    """A text of at most 255 characters, or a finite number within 2^53."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is str and len(value) <= LONGEST_ID:
            return value
        if type(value) in (int, float) and abs(value) <= LARGEST_INTEGER:
            return value
        raise ma.ValidationError(f"Must be a text of at most {LONGEST_ID} characters or a number within 2^53.")


class InstantField(ma.fields.AwareDateTime):
    """A date-time of RFC 3339 with a zone, as the structs read it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return msgspec.convert(value, Instant)
        except (msgspec.ValidationError, UnicodeEncodeError):
            raise ma.ValidationError("Must be a date-time with a zone, as 2026-11-23T10:15:30.123Z.") from None


class HostField(ma.fields.String):
    """A host name; port and trailing dot are dropped."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if host_of(text) is None:
            raise ma.ValidationError("Must be a host name, as shop.example.com.")
        return text


@dataclass(frozen=True, slots=True)
class FieldType:
    """One declared field: its type in the structs, its marshmallow class with arguments, and what it means."""

    struct: Any
    field: type[ma.fields.Field[Any]]
    arguments: dict[str, Any]
    description: str

    def schema_field(self, *, required: bool = False) -> ma.fields.Field[Any]:
        """A new marshmallow field; an optional one takes null as absent."""
        return self.field(
            required=required,
            allow_none=not required,
            metadata={"description": self.description, **self.arguments.get("metadata", {})},
            **{name: value for name, value in self.arguments.items() if name != "metadata"},
        )


def _text(description: str, longest: int = LONGEST_TEXT, struct: Any = Text) -> FieldType:
    return FieldType(struct, ma.fields.String, {"validate": ma.validate.Length(max=longest)}, description)


_WITHIN = {"minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}


def _identifier(description: str) -> FieldType:
    arguments = {
        "validate": ma.validate.Length(min=1, max=LONGEST_ID),
        "metadata": {"type": ["string", "integer"], **_WITHIN},
    }
    return FieldType(Identifier, IdentifierField, arguments, description)


_CURRENCY_RULES = [
    ma.validate.Regexp("^[A-Za-z]{3}$", error="Must be a code of three letters, as EUR."),
    ma.validate.Length(max=3),
]
_STEP_TYPES = {"metadata": {"type": ["string", "number"], "maxLength": LONGEST_ID, **_WITHIN}}

FIELDS: dict[str, FieldType] = {
    "cartId": _identifier("The cart; without one, the default cart of the profile and site."),
    "sessionId": _identifier("The browsing session."),
    "orderId": _identifier("The order."),
    "bookingId": _identifier("The booking."),
    "surveyId": _identifier("The survey."),
    "gameId": _identifier("The game."),
    "conversionId": _identifier("The conversion."),
    "applicationId": _identifier("The app."),
    "productId": _identifier("The product."),
    "name": _text("The name for people; of a subscription: of the list, webinar or event."),
    "category": _text("The category."),
    "title": _text("The title of the page."),
    "version": _text("The version of the app."),
    "platform": _text("The platform of the app."),
    "url": _text("The address of the page.", LONGEST_URL, Url),
    "imageUrl": _text("The address of an image.", LONGEST_URL, Url),
    "price": FieldType(
        Price, PriceField, {"metadata": {"minimum": 0, "maximum": LARGEST_PRICE}}, "The price of one piece."
    ),
    "currency": FieldType(
        Currency,
        ma.fields.String,
        {"validate": _CURRENCY_RULES},
        "The currency of the price: a code of three letters.",
    ),
    "quantity": FieldType(
        Quantity,
        QuantityField,
        {"metadata": {"minimum": 0, "maximum": LARGEST_QUANTITY, "default": 1}},
        "How many pieces.",
    ),
    "step": FieldType(Step, StepField, _STEP_TYPES, "How far the customer came."),
    "level": FieldType(Step, StepField, _STEP_TYPES, "The level reached."),
}
