"""CloudEvents 1.0 over HTTP, structured, batched and binary, as the signals that the intake takes. Pure."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from contracts.signals import SignalKind
from services.ingestion.bodies import Body, parse
from services.ingestion.refusals import Fault, Refusal

Mode = Literal["structured", "batched", "binary"]
Headers = Callable[[str], str | None]
"""The value of a header, by its name in lower case."""

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
ATTRIBUTES: Mapping[str, str] = {
    **{name: name for name in ("id", "source", "type", "time", "specversion", "dataschema", "traceparent")},
    "sentat": "sentAt",
    "traceid": "traceId",
    "consent": "consent",
}
"""Attributes of an event → fields of a signal. Names of attributes are lower case; the others are not read."""
_PREFIX = "ce-"
_TELLING = ("ce-specversion", "ce-id", "ce-source", "ce-type")
"""The headers that every event in binary mode has."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_KIND = re.compile(r"signal\.([^.]+)\.([^.]+)")
_EXTENSION = re.compile(r"ce-[a-z0-9]{1,64}")


def mode_of(mimetype: str, headers: Headers) -> Mode | None:
    """How the request carries events; None when it carries signals as they are."""
    if mimetype == STRUCTURED:
        return "structured"
    if mimetype == BATCHED:
        return "batched"
    return "binary" if any(headers(name) is not None for name in _TELLING) else None


def is_json(content_type: str) -> bool:
    """Whether the media type, parameters or not, is that of JSON."""
    name = content_type.partition(";")[0].strip().lower()
    return name in ("application/json", "text/json") or ("/" in name and name.endswith("+json"))


def read_events(body: Body, mode: Mode, headers: Headers, kind: SignalKind | None) -> Body | Refusal:
    """The events of a parsed body as signals, with the faults that only events have. `kind`: that of the path."""
    if mode == "binary":
        event, faults = _of_headers(headers)
        signal, _, more = _signal({**event, "data": body.value}, kind)
        return Body(signal, clean=False, faults=_at_places([(*faults, *more)]))
    if mode == "batched" and type(body.value) is not list:
        return Refusal(400, "malformed", "a batch of CloudEvents is a JSON array")
    several = type(body.value) is list and (mode == "batched" or kind is None)
    read = [_signal(event, kind) for event in (body.value if several else [body.value])]
    signals = [signal for signal, _, _ in read]
    clean = body.clean and all(inner for _, inner, _ in read)
    return Body(signals if several else signals[0], clean=clean, faults=_at_places([found for _, _, found in read]))


def asked_headers(asked: str) -> list[str]:
    """The attributes that a preflight asks for: an event may carry extensions, which nobody can list beforehand."""
    names = [name.strip().lower() for name in asked.split(",")]
    return [name for name in dict.fromkeys(names) if _EXTENSION.fullmatch(name)]


def decode_header(value: str) -> str | None:
    """The value of an attribute, by the HTTP binding §3.1.3.2: quoted or not, percent-encoded once, UTF-8."""
    quoted = _QUOTED.fullmatch(value)
    text = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeError:
        return None


def _at_places(found: list[tuple[Fault, ...]]) -> dict[int, tuple[Fault, ...]]:
    return {place: faults for place, faults in enumerate(found) if faults}


def _of_headers(headers: Headers) -> tuple[dict[str, Any], list[Fault]]:
    event: dict[str, Any] = {}
    faults = []
    for name in ATTRIBUTES:
        value = headers(_PREFIX + name)
        if value is None:
            continue
        event[name] = decode_header(value)
        if name == "consent" and event[name] is not None:
            event[name] = _boolean(event[name])
        if event[name] is None:
            faults.append(Fault(f"/{ATTRIBUTES[name]}", f"The header {_PREFIX}{name} is no percent-encoded UTF-8."))
    return event, faults


def _boolean(text: str) -> bool | str:
    """A Boolean attribute is `true` or `false` (CloudEvents §3.1); the package for Python writes `True`."""
    return {"true": True, "false": False}.get(text.lower(), text)


def _signal(event: Any, kind: SignalKind | None) -> tuple[Any, bool, tuple[Fault, ...]]:
    """The signal, whether its data is clean as far as it came as Base64, and the faults of the event."""
    if type(event) is not dict:
        return event, True, ()
    signal = {name: value for name, value in event.items() if name not in ("sentat", "traceid", "data_base64")}
    signal |= {ATTRIBUTES[name]: event[name] for name in ("sentat", "traceid") if name in event}
    faults = list(_faults(event))
    clean = True
    if event.get("data_base64") is not None:
        inner = _decoded(event["data_base64"]) if event.get("data") is None else None
        if inner is None:
            faults.append(Fault("/data_base64", "Must be Base64 of a JSON text, and stand without data."))
        else:
            signal["data"], clean = inner.value, inner.clean
    data = signal.get("data")
    if type(data) is dict:
        if data.get("signal") is None:
            name = _kind_of(event.get("type")) or (kind and kind.name)
            signal["data"] = data = {**data, **({"signal": name} if name else {})}
        if kind is not None and data["signal"] != kind.name:
            faults.append(Fault("/data/signal", f"Must be {kind.name}, as in the path."))
    return signal, clean, tuple(faults)


def _kind_of(type_: Any) -> str | None:
    """The kind that `signal.cart.add` names."""
    named = _KIND.fullmatch(type_) if type(type_) is str else None
    return f"{named[1]}/{named[2]}" if named else None


def _faults(event: dict[str, Any]) -> Iterator[Fault]:
    if event.get("specversion") != "1.0":
        yield Fault("/specversion", "Must be 1.0.")
    if type(event.get("type")) is not str or not event["type"]:
        yield Fault("/type", "Missing: an event names its type, as signal.cart.add.")
    content_type = event.get("datacontenttype")
    if content_type is not None and (type(content_type) is not str or not is_json(content_type)):
        yield Fault("/datacontenttype", "Must be JSON, as application/json.")


def _decoded(text: Any) -> Body | None:
    try:
        body = parse(b64decode(text, validate=True)) if type(text) is str else None
    except (binascii.Error, ValueError):
        return None
    return body if isinstance(body, Body) else None
