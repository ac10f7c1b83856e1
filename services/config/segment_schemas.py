"""REST documents of what events of Segment's API become, held against the catalogue of signals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import marshmallow as ma

from contracts.configurations import SegmentEvent
from contracts.signals import CATALOGUE, Item, SignalKind
from services.config.fields import Text

MOST_EVENTS = 200
MOST_FIELDS = 50
_LONGEST = 255
_PATH = re.compile(r"[^.]+(\.[^.]+)*")
_LINES = "items."


def fields_of(kind: SignalKind) -> tuple[str, ...]:
    """The fields of a kind that can be taken from properties, those of its lines as `items.<field>`."""
    own = ((kind.id_field,) if kind.id_field else (), ("sessionId",), kind.fields)
    lines = tuple(f"{_LINES}{name}" for name in Item.__struct_encode_fields__) if kind.items else ()
    return tuple(dict.fromkeys((*(name for names in own for name in names), *lines)))


class SegmentEventSchema(ma.Schema):
    """What one event becomes, before the declared table is asked."""

    event = Text(_LONGEST, required=True, metadata={"description": "Its name, in any case.", "examples": ["Saved"]})
    signal = ma.fields.String(
        required=True,
        allow_none=True,
        validate=ma.validate.OneOf(list(CATALOGUE)),
        metadata={"description": "The kind of signal that it becomes; null: none, it is only counted."},
    )
    items = Text(
        _LONGEST,
        shortest=0,
        load_default="",
        metadata={"description": "The property that lists its products; `.` where the properties are one."},
    )
    paths = ma.fields.Dict(
        keys=ma.fields.String(),
        values=Text(_LONGEST),
        data_key="fields",
        attribute="fields",
        load_default=dict,
        validate=ma.validate.Length(max=MOST_FIELDS),
        metadata={
            "description": "Field of the signal, of a line as `items.<field>` → the property it is taken from; a full "
            "stop steps into an object, `context.` before it into the context.",
            "examples": [{"cartId": "basket.id", "items.productId": "code"}],
        },
    )

    @ma.validates_schema
    def _fits_the_catalogue(self, given: dict[str, Any], **_options: Any) -> None:
        faults = dict(_faults(given))
        if faults:
            raise ma.ValidationError(faults)

    @ma.post_load
    def _event(self, given: dict[str, Any], **_options: Any) -> SegmentEvent:
        return SegmentEvent(**given)


def _faults(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    items, paths = given["items"], given["fields"]
    kind = CATALOGUE[given["signal"]] if given["signal"] is not None else None
    if items and (kind is None or not kind.items):
        yield "items", ["It has no products."]
    elif items not in ("", ".") and not _PATH.fullmatch(items):
        yield "items", ["Must be the name of a property, or a full stop."]
    elif kind is not None and kind.needs_item and not items:
        yield "items", [f"{kind.name} needs products: name the property that lists them, or a full stop."]
    known = fields_of(kind) if kind is not None else ()
    wrong: dict[str, Any] = {name: {"key": ["The signal has no such field."]} for name in paths if name not in known}
    for name, path in paths.items():
        if name in known and name.startswith(_LINES) and not items:
            wrong[name] = {"key": ["Name the property that lists its products first."]}
        elif name in known and not _PATH.fullmatch(path):
            wrong[name] = {"value": ["Must be the name of a property, or several with full stops between."]}
    if wrong:
        yield "fields", wrong


def _no_event_twice(events: Sequence[SegmentEvent]) -> None:
    names = [each.event.casefold() for each in events]
    twice = next((each.event for each in events if names.count(each.event.casefold()) > 1), None)
    if twice is not None:
        raise ma.ValidationError(f"The event {twice} stands twice.")


def segment_events(**options: Any) -> ma.fields.List[Any]:
    """The field of a configuration."""
    about = "What events of Segment's API become, beside the declared table and before it."
    return ma.fields.List(
        ma.fields.Nested(SegmentEventSchema),
        data_key="segmentEvents",
        validate=[ma.validate.Length(max=MOST_EVENTS), _no_event_twice],
        metadata={"description": about},
        **options,
    )
