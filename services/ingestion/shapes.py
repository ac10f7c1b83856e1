"""What each kind of signal may carry, derived from the catalogue: a struct for speed, a schema for every fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import marshmallow as ma
import msgspec
from msgspec import Meta

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import ID_FIELDS, KINDS, PROFILE_FIELDS, SignalKind
from contracts.stitching import ANONYMOUS, ANONYMOUS_FIELD
from services.ingestion.fields import (
    FIELDS,
    LONGEST_ID,
    MOST_ITEMS,
    Currency,
    HostField,
    Identifier,
    Instant,
    InstantField,
    Price,
    Quantity,
    Text,
    Url,
)
from shared.structs import learn

_Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_Host = Annotated[str, Meta(max_length=LONGEST_ID)]


class ItemInput(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A line as it was sent."""

    product_id: Identifier
    quantity: Quantity | None = None
    price: Price | None = None
    currency: Currency | None = None
    name: Text | None = None
    category: Text | None = None
    url: Url | None = None
    image_url: Url | None = None


class Envelope(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """The CloudEvents envelope as it was sent (DOMAIN §2.1); attributes beyond these are not read."""

    id: _Name
    time: Instant
    data: Any
    source: _Name | None = None
    specversion: Annotated[str, Meta(pattern="^1[.]0$", max_length=3)] | None = None
    type: _Host | None = None
    dataschema: Url | None = None
    sent_at: Instant | None = None
    traceparent: Text | None = None
    trace_id: Text | None = None


class ItemSchema(ma.Schema):
    """A line of a cart or a booking."""

    class Meta:
        unknown = ma.EXCLUDE

    productId = FIELDS["productId"].schema_field(required=True)  # noqa: N815 - as on the wire
    quantity = FIELDS["quantity"].schema_field()
    price = FIELDS["price"].schema_field()
    currency = FIELDS["currency"].schema_field()
    name = FIELDS["name"].schema_field()
    category = FIELDS["category"].schema_field()
    url = FIELDS["url"].schema_field()
    imageUrl = FIELDS["imageUrl"].schema_field()  # noqa: N815 - as on the wire


class DataSchema(ma.Schema):
    """What `data` of every kind of signal carries: where it happened, and to whom."""

    class Meta:
        unknown = ma.EXCLUDE

    signal = ma.fields.Raw(
        allow_none=True, metadata={"type": "string", "description": "The kind, as `cart/add`; read in a batch."}
    )
    site = HostField(
        allow_none=True,
        validate=ma.validate.Length(max=LONGEST_ID),
        metadata={
            "description": "The host on which it happened; required from the web.",
            "example": "shop.example.com",
        },
    )
    idType = ma.fields.String(  # noqa: N815 - as on the wire
        allow_none=True,
        validate=ma.validate.OneOf(sorted(PROFILE_FIELDS)),
        metadata={"description": "Which field names the customer.", "default": "email"},
    )
    email = ma.fields.Raw(
        allow_none=True, metadata={"type": "string", "description": "The customer when idType is email."}
    )
    customerId = ma.fields.Raw(  # noqa: N815 - as on the wire
        allow_none=True,
        metadata={"type": ["string", "integer"], "description": "The customer when idType is external."},
    )
    phone = ma.fields.Raw(
        allow_none=True,
        metadata={"type": "string", "description": "The customer when idType is phone; in international form."},
    )
    deviceId = ma.fields.Raw(  # noqa: N815 - as on the wire
        allow_none=True,
        metadata={"type": ["string", "integer"], "description": "The customer when idType is deviceId."},
    )
    appId = ma.fields.Raw(  # noqa: N815 - as on the wire
        allow_none=True, metadata={"type": ["string", "integer"], "description": "The customer when idType is appId."}
    )

    @ma.validates_schema(skip_on_field_errors=False)
    def _check_profile(self, data: dict[str, Any], **_: Any) -> None:
        id_type = data.get("idType") or "email"
        if id_type not in PROFILE_FIELDS:
            return
        field = PROFILE_FIELDS[id_type]
        if data.get(field) is None:
            raise ma.ValidationError(f"Missing: idType {id_type} is addressed by this field.", field)
        try:
            normalise_profile(id_type, data[field])
        except InvalidProfile as error:
            raise ma.ValidationError(f"{error}.", field) from None


class EnvelopeSchema(ma.Schema):
    """A signal as it is sent."""

    class Meta:
        unknown = ma.EXCLUDE

    id = ma.fields.String(
        required=True,
        validate=ma.validate.Length(min=1, max=LONGEST_ID),
        metadata={"description": "Unique within the source; the same signal sent twice counts once."},
    )
    time = InstantField(required=True, metadata={"description": "When it happened, with a zone."})
    source = ma.fields.String(
        allow_none=True,
        validate=ma.validate.Length(min=1, max=LONGEST_ID),
        metadata={"description": "Who says so; without one, the key's id."},
    )
    specversion = ma.fields.String(allow_none=True, validate=ma.validate.Equal("1.0"))
    type = ma.fields.String(
        allow_none=True, validate=ma.validate.Length(max=LONGEST_ID), metadata={"example": "event.signal"}
    )
    dataschema = ma.fields.String(
        allow_none=True, validate=ma.validate.Length(max=8192), metadata={"example": "evt:signal/v1"}
    )
    sentAt = InstantField(  # noqa: N815 - as on the wire
        allow_none=True, metadata={"description": "The sender's clock when sending; corrects a wrong clock."}
    )
    consent = ma.fields.Raw(
        allow_none=True,
        metadata={
            "description": "true: the customer consents. A configuration may require it. `data.consent` counts, too.",
            "example": True,
        },
    )
    traceparent = ma.fields.String(allow_none=True, validate=ma.validate.Length(max=1024))
    traceId = ma.fields.String(allow_none=True, validate=ma.validate.Length(max=1024))  # noqa: N815 - as on the wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one kind of signal is read.

    `struct` reads the declared fields of `data`: `identifiers` and `contents` name them as SignalData does.
    `declared[idType]` are the fields that never become attributes.
    """

    kind: SignalKind
    struct: type[msgspec.Struct]
    identifiers: tuple[str, ...]
    contents: tuple[str, ...]
    declared: dict[str, frozenset[str]]
    schema: EnvelopeSchema


ITEM_FIELDS = frozenset(ItemInput.__struct_encode_fields__)


def _shape(kind: SignalKind) -> Shape:
    fields = [*dict.fromkeys((*ID_FIELDS, *kind.fields))]
    required = {*kind.required, *((kind.id_field,) if kind.id_required and kind.id_field else ())}
    common = {"signal", "site", "idType", *fields, *(("items",) if kind.items else ())}
    return Shape(
        kind=kind,
        struct=_struct(kind, fields, required),
        identifiers=tuple(_snake(name) for name in fields if FIELDS[name].struct is Identifier),
        contents=tuple(_snake(name) for name in fields if FIELDS[name].struct is not Identifier),
        declared={
            id_type: frozenset({*common, field})
            for id_type, field in {**PROFILE_FIELDS, ANONYMOUS: ANONYMOUS_FIELD}.items()
        },
        schema=_schema(kind, fields, required),
    )


def _struct(kind: SignalKind, fields: list[str], required: set[str]) -> type[msgspec.Struct]:
    types: list[Any] = []
    for name in fields:
        type_ = FIELDS[name].struct
        types.append((_snake(name), type_) if name in required else (_snake(name), type_ | None, None))
    types.append(("site", _Host | None, None))
    if kind.items:
        least = 1 if kind.needs_item else 0
        lines = Annotated[list[ItemInput], Meta(min_length=least, max_length=MOST_ITEMS)]
        types.append(("items", lines) if kind.needs_item else ("items", lines | None, None))
    return msgspec.defstruct(_class_name(kind), types, frozen=True, kw_only=True, rename="camel", gc=False)


def _schema(kind: SignalKind, fields: list[str], required: set[str]) -> EnvelopeSchema:
    members: dict[str, Any] = {name: FIELDS[name].schema_field(required=name in required) for name in fields}
    if kind.items:
        members["items"] = ma.fields.List(
            ma.fields.Nested(ItemSchema),
            required=kind.needs_item,
            allow_none=not kind.needs_item,
            validate=[ma.validate.Length(min=1 if kind.needs_item else None, max=MOST_ITEMS)],
        )
    if kind.needs_item:
        members["_check_items"] = ma.validates_schema(skip_on_field_errors=False)(_check_items)
    members["__doc__"] = f"What {kind.name} carries. {kind.summary} Fields beyond these are kept as attributes."
    data = type(f"{_class_name(kind)}Data", (DataSchema,), members)
    envelope = type(_class_name(kind), (EnvelopeSchema,), {"data": ma.fields.Nested(data, required=True)})
    schema: EnvelopeSchema = envelope()
    return schema


def _check_items(_schema: ma.Schema, data: dict[str, Any], **_: Any) -> None:
    items = data.get("items")
    if items and not any(item.get("quantity", 1) != 0 for item in items if isinstance(item, dict)):
        raise ma.ValidationError("At least one item needs a quantity of 1 or more.", "items")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _class_name(kind: SignalKind) -> str:
    return f"{kind.group.title()}{kind.verb.title()}Signal"


class AnySignal(EnvelopeSchema):
    """A signal whose kind is not known yet."""

    data = ma.fields.Nested(DataSchema, required=True)


ANY_SIGNAL = AnySignal()

SHAPES: dict[str, Shape] = {kind.name: _shape(kind) for kind in KINDS}

learn(Envelope, ItemInput, *(shape.struct for shape in SHAPES.values()))
