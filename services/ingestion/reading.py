"""From one sent item to an accepted signal, or to every fault that it has (DOMAIN §2.1). Pure.

The structs decide in microseconds. Only what they refuse meets the marshmallow schema, which lists all faults.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import CATALOGUE, PROFILE_FIELDS, Item, ProfileReference, SignalData, SignalKind
from contracts.stitching import ANONYMOUS, ANONYMOUS_FIELD
from contracts.times import from_datetime, to_datetime
from services.ingestion.admission import Admitted, admit_kind, admit_site, host_of
from services.ingestion.fields import LARGEST_INTEGER, LONGEST_ID, MOST_ITEMS, text_of
from services.ingestion.minimisation import minimised, without_consent
from services.ingestion.refusals import Fault, Refusal, pointer_of
from services.ingestion.shapes import ANY_SIGNAL, ITEM_FIELDS, SHAPES, Envelope, EnvelopeSchema, ItemInput, Shape

DEEPEST = 8
MOST_ATTRIBUTES = 1000
LONGEST_STRING = 8192

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_BAD_CHARACTERS = re.compile("[\0\ud800-\udfff]")


class _Invalid(Exception):
    """The signal is not valid."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A valid signal, admitted for its site; it counts as taken once the broker has confirmed it."""

    kind: SignalKind
    id: str
    source: str
    time: int
    profile: ProfileReference
    data: SignalData
    traceparent: str | None


class Reception(msgspec.Struct, frozen=True, gc=False):
    """What all items of a request share: who sends, and when they came (µs).

    `anonymous`: their customers may be known by an anonymous id alone.
    """

    admitted: Admitted
    received_at: int
    traceparent: str | None = None
    anonymous: bool = False


def read_signal(
    item: Any, kind: SignalKind | None, reception: Reception, *, clean: bool, explain: bool = True
) -> Accepted | Refusal:
    """Read one item.

    `kind` comes from the path; without one, `data.signal` names it. `clean` as in `Body`. Without `explain` an
    invalid signal is refused with the first fault only, as text.
    """
    refusal = without_consent(item) if reception.admitted.listener.consent_required else None
    if refusal is not None:
        return refusal
    if kind is None:
        named = _named_kind(item)
        if isinstance(named, Refusal):
            return named
        kind = named
    refusal = admit_kind(reception.admitted, kind)
    if refusal is not None:
        return refusal
    shape = SHAPES[kind.name]
    try:
        if not clean and any(_text_faults(item)):
            raise _Invalid("a text holds a NUL or a lone surrogate, or a number is not finite")
        accepted = _read(item, shape, reception)
    except (_Invalid, InvalidProfile, msgspec.ValidationError) as error:
        if explain:
            return _invalid(find_faults(item, shape, reception))
        return Refusal(422, "invalid", f"the signal is not valid: {error}")
    return admit_site(reception.admitted, accepted.data.site) or accepted


def _invalid(faults: tuple[Fault, ...]) -> Refusal:
    return Refusal(422, "invalid", "the signal is not valid", faults)


def _named_kind(item: Any) -> SignalKind | Refusal:
    data = item.get("data") if type(item) is dict else None
    name = data.get("signal") if type(data) is dict else None
    if type(name) is str:
        return CATALOGUE.get(name) or Refusal(404, "unknown_kind", "the catalogue has no such kind of signal")
    faults = _schema_faults(item, ANY_SIGNAL)
    return _invalid((*faults, Fault("/data/signal", "Must name the kind of the signal, as cart/add.")))


def _read(item: Any, shape: Shape, reception: Reception) -> Accepted:
    envelope = msgspec.convert(item, Envelope)
    raw, kind, admitted = envelope.data, shape.kind, reception.admitted
    if type(raw) is not dict:
        raise _Invalid("data is no object")
    if raw.get("signal") not in (None, kind.name):
        raise _Invalid("data.signal names another kind")
    profile = _profile(raw, reception)
    source = envelope.source or admitted.key_id
    content: Any = msgspec.convert(raw, shape.struct)
    data = SignalData(
        signal=kind.name,
        audience_configuration=admitted.listener.reference,
        audience=admitted.listener.audience,
        profile=profile,
        received_at=to_datetime(reception.received_at),
        touchpoint=admitted.touchpoint,
        key_id=None if source == admitted.key_id else admitted.key_id,
        site=_site(content.site, admitted),
        items=_items(content.items or (), shape) if kind.items else (),
        attributes=_kept_attributes(raw, shape, profile.id_type, admitted.listener.attributes),
        **_contents(content, shape),
    )
    time = _event_time(envelope, reception.received_at)
    trace = _trace(envelope) or reception.traceparent
    return Accepted(kind, envelope.id, source, time, profile, data, trace)


def _profile(raw: dict[str, Any], reception: Reception) -> ProfileReference:
    id_type, admitted = raw.get("idType"), reception.admitted
    if id_type is None:
        id_type = "email"
    elif id_type == ANONYMOUS and reception.anonymous:
        return ProfileReference(ANONYMOUS, normalise_profile(ANONYMOUS, raw.get(ANONYMOUS_FIELD)))
    if type(id_type) is not str or id_type not in PROFILE_FIELDS or id_type not in admitted.listener.id_types:
        raise _Invalid("the audience does not accept the idType")
    return ProfileReference(id_type, normalise_profile(id_type, raw.get(PROFILE_FIELDS[id_type])))


def _site(site: str | None, admitted: Admitted) -> str | None:
    if site is None:
        if admitted.touchpoint == "web":
            raise _Invalid("data.site is missing")
        return None
    host = host_of(site)
    if host is None:
        raise _Invalid("data.site is no host name")
    return host


def _contents(content: Any, shape: Shape) -> dict[str, Any]:
    contents = {name: getattr(content, name) for name in shape.contents}
    for name in shape.identifiers:
        value = getattr(content, name)
        if value is not None:
            contents[name] = text_of(value)
    currency = contents.get("currency")
    if currency is not None:
        contents["currency"] = currency.upper()
    return contents


def _items(lines: Iterable[ItemInput], shape: Shape) -> tuple[Item, ...]:
    items = tuple(
        Item(
            text_of(line.product_id),
            1 if line.quantity is None else int(line.quantity),
            line.price,
            None if line.currency is None else line.currency.upper(),
            line.name,
            line.category,
            line.url,
            line.image_url,
        )
        for line in lines
    )
    if shape.kind.needs_item and not any(item.quantity for item in items):
        raise _Invalid("no item has a quantity of 1 or more")
    return items


def _event_time(envelope: Envelope, received_at: int) -> int:
    time = from_datetime(envelope.time)
    if envelope.sent_at is not None:
        time = received_at - (from_datetime(envelope.sent_at) - time)
    time = min(time, received_at)
    if time < 0:
        raise _Invalid("the time lies before 1970")
    return time


def _trace(envelope: Envelope) -> str | None:
    """The W3C traceparent; one that is made from a trace id gets a parent id of its own. Others are ignored."""
    if envelope.traceparent is not None:
        return valid_traceparent(envelope.traceparent)
    if envelope.trace_id is None or not _TRACE_ID.fullmatch(envelope.trace_id.lower()):
        return None
    parent = blake2b(envelope.id.encode(), digest_size=8).hexdigest()
    return f"00-{envelope.trace_id.lower()}-{parent}-01"


def time_of(item: dict[str, Any], received_at: int) -> int | None:
    """When an item happened, by its `time` and `sentAt` (µs); None where that cannot be read."""
    try:
        return _event_time(msgspec.convert(item, Envelope), received_at)
    except (_Invalid, msgspec.ValidationError, UnicodeEncodeError):  # the last for half a character
        return None


def is_anonymous(item: Any) -> bool:
    """Whether a sent item names its customer by an anonymous id."""
    data = item.get("data") if type(item) is dict else None
    return type(data) is dict and data.get("idType") == ANONYMOUS


def is_text(value: str) -> bool:
    """Whether every database can hold the text."""
    return _BAD_CHARACTERS.search(value) is None


def valid_traceparent(text: str | None) -> str | None:
    """The text when it is a W3C traceparent."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def _kept_attributes(
    raw: dict[str, Any], shape: Shape, id_type: str, declared: frozenset[str] | None
) -> dict[str, Any]:
    """The attributes that the configuration wants to have; None: all."""
    given = _attributes(raw, shape, id_type)
    return given if declared is None or not given else minimised(given, declared)


def _attributes(raw: dict[str, Any], shape: Shape, id_type: str) -> dict[str, Any]:
    """What is not declared: fields of `data`, a given `attributes` object flat among them, and of its items."""
    extra = raw.keys() - shape.declared[id_type]
    lines = raw.get("items") if shape.kind.items else None
    extended = bool(lines) and not all(map(ITEM_FIELDS.issuperset, lines))  # type: ignore[arg-type]
    if not extra and not extended:
        return {}
    plain = not extended and len(extra) <= MOST_ATTRIBUTES and all(_is_plain(name, raw[name]) for name in extra)
    if not plain and any(_attribute_faults(raw, shape, id_type)):
        raise _Invalid("an attribute is not valid")
    given = raw.get("attributes")
    attributes = dict(given) if type(given) is dict else {}
    attributes.update({name: raw[name] for name in raw if name in extra and raw[name] is not given})
    if given is not None and type(given) is not dict:
        attributes["attributes"] = given
    if extended:
        attributes["items"] = [{name: line[name] for name in line if name not in ITEM_FIELDS} for line in lines or ()]
    return attributes


def find_faults(item: Any, shape: Shape, reception: Reception) -> tuple[Fault, ...]:
    """Every fault of an item that the structs refused."""
    faults = [*_text_faults(item), *_schema_faults(item, shape.schema)]
    raw = item.get("data") if type(item) is dict else None
    if type(raw) is dict:
        faults += _context_faults(raw, shape, reception.admitted)
        faults += _attribute_faults(raw, shape, _id_type_of(raw))
    if not any(fault.pointer in {"", "/time", "/sentAt"} for fault in faults):
        faults += _time_faults(item, reception.received_at)
    if reception.anonymous and type(raw) is dict and raw.get("idType") == ANONYMOUS:
        faults = [fault for fault in faults if fault.pointer != "/data/idType"]
    return tuple(dict.fromkeys(faults)) or (Fault("", "The signal is not valid."),)


def _id_type_of(raw: dict[str, Any]) -> str:
    id_type = raw.get("idType")
    return id_type if type(id_type) is str and id_type in PROFILE_FIELDS else "email"


def _context_faults(raw: dict[str, Any], shape: Shape, admitted: Admitted) -> Iterator[Fault]:
    if raw.get("signal") not in (None, shape.kind.name):
        yield Fault("/data/signal", f"Must be {shape.kind.name}, as in the path.")
    if raw.get("site") is None and admitted.touchpoint == "web":
        yield Fault("/data/site", "Missing: a signal from the web names its site.")
    id_type = _id_type_of(raw)
    if id_type not in admitted.listener.id_types:
        accepted = ", ".join(sorted(admitted.listener.id_types))
        yield Fault("/data/idType", f"The audience accepts {accepted}, not {id_type}.")


def _time_faults(item: Any, received_at: int) -> Iterator[Fault]:
    if type(item) is not dict:
        return
    try:
        _event_time(msgspec.convert({**item, "id": "-", "data": None}, Envelope), received_at)
    except _Invalid as error:
        yield Fault("/time" if item.get("sentAt") is None else "/sentAt", f"{error}.")
    except msgspec.ValidationError:
        return


def _schema_faults(item: Any, schema: EnvelopeSchema) -> list[Fault]:
    if type(item) is not dict:
        return [Fault("", "Must be an object.")]
    return list(_flatten(schema.validate(_shortened(item)), ()))


def _shortened(item: dict[str, Any]) -> dict[str, Any]:
    """The item with at most one line more than allowed: no list is so long that listing its faults takes seconds."""
    data = item.get("data")
    lines = data.get("items") if type(data) is dict else None
    if type(lines) is not list or len(lines) <= MOST_ITEMS:
        return item
    return {**item, "data": {**item["data"], "items": lines[: MOST_ITEMS + 1]}}


def _flatten(messages: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flatten(inner, path if name == "_schema" else (*path, name))
    else:
        for reason in messages:
            yield Fault(pointer_of(*path), reason)


def _text_faults(item: Any) -> Iterator[Fault]:
    """Strings and keys that PostgreSQL or UTF-8 cannot hold, and numbers that overflowed."""
    for path, value in _values(item, ()):
        if type(value) is str and _BAD_CHARACTERS.search(value):
            yield Fault(pointer_of(*path), "Must not hold a NUL or a lone surrogate.")
        elif type(value) is float and not math.isfinite(value):
            yield Fault(pointer_of(*path), "Must be a finite number.")
        elif type(value) is dict and any(_BAD_CHARACTERS.search(key) for key in value):
            yield Fault(pointer_of(*path), "A name must not hold a NUL or a lone surrogate.")


def _attribute_faults(raw: dict[str, Any], shape: Shape, id_type: str) -> Iterator[Fault]:
    for count, (path, value) in enumerate(_attribute_values(raw, shape, id_type), 1):
        if count > MOST_ATTRIBUTES:
            yield Fault("/data", f"Must not have more than {MOST_ATTRIBUTES} undeclared values.")
            return
        reason = _attribute_fault(path, value)
        if reason:
            yield Fault(pointer_of(*path), reason)


def _is_plain(name: str, value: Any) -> bool:
    """Whether an attribute is so simple that it surely has no fault: most are, and a walk through them takes long."""
    if len(name) > LONGEST_ID:
        return False
    if type(value) is str:
        return len(value) <= LONGEST_STRING
    if type(value) is int:
        return abs(value) <= LARGEST_INTEGER
    return value is None or type(value) in (bool, float)


def _attribute_fault(path: tuple[str | int, ...], value: Any) -> str | None:
    name = path[-1]
    if type(name) is str and len(name) > LONGEST_ID:
        return f"A name has at most {LONGEST_ID} characters."
    if type(value) is str and len(value) > LONGEST_STRING:
        return f"Must have at most {LONGEST_STRING} characters."
    if type(value) is int and abs(value) > LARGEST_INTEGER:
        return "Must lie within 2^53; send it as text."
    if type(value) in (dict, list) and len(path) > DEEPEST:
        return f"Must not be nested more than {DEEPEST} deep."
    return None


def _attribute_values(raw: dict[str, Any], shape: Shape, id_type: str) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    for name, value in raw.items():
        if name not in shape.declared[id_type]:
            yield from _values(value, ("data", name), DEEPEST)
    lines = raw.get("items") if shape.kind.items else None
    for place, line in enumerate(lines if type(lines) is list else ()):
        if type(line) is dict:
            for name in line.keys() - ITEM_FIELDS:
                yield from _values(line[name], ("data", "items", place, name), DEEPEST)


def _values(
    value: Any, path: tuple[str | int, ...], deepest: int | None = None
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The value and all inside it with their paths, depth first; nothing below a path longer than `deepest`."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [(path, value)]
    while stack:
        path, value = stack.pop()
        yield path, value
        if deepest is not None and len(path) > deepest:
            continue
        if type(value) is dict:
            stack.extend(((*path, name), inner) for name, inner in value.items())
        elif type(value) is list:
            stack.extend(((*path, place), inner) for place, inner in enumerate(value))
