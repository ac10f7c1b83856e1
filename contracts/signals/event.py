"""The accepted signal as it travels (CloudEvents JSON) and as the engine reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from contracts.configurations import KEY_PREFIXES
from contracts.signals.catalogue import CATALOGUE, SignalKind
from contracts.times import from_datetime, to_datetime


class Item(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A line of a cart or a booking. `price` is for one piece, in `currency`."""

    product_id: str
    quantity: int = 1
    price: float | None = None
    currency: str | None = None
    name: str | None = None
    category: str | None = None
    url: str | None = None
    image_url: str | None = None


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A thing by id, with its name for people."""

    id: str
    name: str = ""


class ProfileReference(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A customer: idType and the normalised value (DOMAIN §2.1)."""

    id_type: str
    id: str


class SignalData(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """`data` of an accepted signal. Ids, declared fields and items lie flat; what is undeclared under `attributes`.

    `key_id`: of the key that sent it, where the source is another text; see `sending_key`. `anonymous_id`: under which
    it came, where its customer was known by that alone; `stitched_at`: when they were told apart, where that was later.
    """

    signal: str
    audience_configuration: Reference
    audience: Reference
    profile: ProfileReference
    received_at: datetime
    touchpoint: str
    key_id: str | None = None
    anonymous_id: str | None = None
    stitched_at: datetime | None = None
    site: str | None = None
    cart_id: str | None = None
    session_id: str | None = None
    order_id: str | None = None
    booking_id: str | None = None
    survey_id: str | None = None
    game_id: str | None = None
    conversion_id: str | None = None
    application_id: str | None = None
    product_id: str | None = None
    name: str | None = None
    category: str | None = None
    price: float | None = None
    currency: str | None = None
    url: str | None = None
    image_url: str | None = None
    title: str | None = None
    step: str | int | float | None = None
    level: str | int | float | None = None
    version: str | None = None
    platform: str | None = None
    items: tuple[Item, ...] = ()
    attributes: dict[str, Any] = {}


class SignalEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """An accepted signal as a structured-mode CloudEvent; `type` is its routing key."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    datacontenttype: str = ""
    dataschema: str = ""
    traceparent: str | None = None
    data: SignalData


Key = tuple[int, int, str, str]
"""The order of signals in a process: (time, rank, source, id), DOMAIN §6.1."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An accepted signal as the engine reads it; instants in microseconds.

    `key` is where it stands among the signals of its process. `stitched_at`: when its anonymous sender was told to be
    the profile; 0 where the profile was known at its receipt. `joined_at`: from when on it was one of the profile's.
    """

    kind: SignalKind
    id: str
    source: str
    time: int
    received_at: int
    configuration: str
    id_type: str
    profile: str
    data: SignalData
    key: Key
    stitched_at: int
    joined_at: int

    @property
    def site(self) -> str | None:
        """The host that it names, if any."""
        return self.data.site


_ID_ATTRIBUTES = {
    "cartId": "cart_id",
    "sessionId": "session_id",
    "bookingId": "booking_id",
    "surveyId": "survey_id",
    "gameId": "game_id",
    "conversionId": "conversion_id",
    "applicationId": "application_id",
    "name": "name",
}

_KEY_STARTS = tuple(f"{prefix}_" for prefix in KEY_PREFIXES.values())

_decoder = msgspec.json.Decoder(SignalEvent)
_encoder = msgspec.json.Encoder()

DATA_SCHEMA = "evt:signal/v1"


class UnreadableSignal(ValueError):
    """The bytes are no accepted signal."""


def decode_signal(body: bytes) -> Signal:
    """The signal of a message body; raises UnreadableSignal with the reason."""
    try:
        event = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableSignal(str(error)) from error
    return _to_signal(event)


def _to_signal(event: SignalEvent) -> Signal:
    data = event.data
    kind = CATALOGUE.get(data.signal)
    if kind is None:
        raise UnreadableSignal(f"unknown signal kind {data.signal!r}")
    if event.time.tzinfo is None or data.received_at.tzinfo is None:
        raise UnreadableSignal("a time has no zone")
    time, received_at = from_datetime(event.time), from_datetime(data.received_at)
    stitched_at = _stitched_at(data)
    return Signal(
        kind=kind,
        id=event.id,
        source=event.source,
        time=time,
        key=(time, kind.rank, event.source, event.id),
        received_at=received_at,
        stitched_at=stitched_at,
        joined_at=max(received_at, stitched_at),
        configuration=data.audience_configuration.id,
        id_type=data.profile.id_type,
        profile=data.profile.id,
        data=data,
    )


def _stitched_at(data: SignalData) -> int:
    if data.stitched_at is None:
        return 0
    if data.stitched_at.tzinfo is None:
        raise UnreadableSignal("a time has no zone")
    return from_datetime(data.stitched_at)


def make_signal(*, id: str, source: str, time: int, data: SignalData) -> Signal:
    """The engine's value of a signal that did not travel (back-tests, tests)."""
    return _to_signal(
        SignalEvent(
            specversion="1.0",
            id=id,
            source=source,
            type=CATALOGUE[data.signal].routing_key,
            time=to_datetime(time),
            data=data,
        )
    )


def encode_signal(*, id: str, source: str, time: int, data: SignalData, traceparent: str | None = None) -> bytes:
    """The message body of an accepted signal; `data.received_at` must be aware."""
    event = SignalEvent(
        specversion="1.0",
        id=id,
        source=source,
        type=CATALOGUE[data.signal].routing_key,
        time=to_datetime(time),
        datacontenttype="application/json",
        dataschema=DATA_SCHEMA,
        traceparent=traceparent,
        data=data,
    )
    return _encoder.encode(event)


def sending_key(signal: Signal) -> str | None:
    """The id of the key that sent it; None where an earlier release took a source in its stead and did not keep it."""
    if signal.data.key_id is not None:
        return signal.data.key_id
    return signal.source if signal.source.startswith(_KEY_STARTS) else None


def process_id_of(signal: Signal) -> str | None:
    """The process id that the sender gave; for a subscription the class joins the name."""
    field = signal.kind.id_field
    if field is None:
        return None
    given: str | None = getattr(signal.data, _ID_ATTRIBUTES[field])
    if signal.kind.process == "subscription":
        return f"{signal.kind.group}:{given or ''}"
    return given


def default_process_id(signal: Signal) -> str:
    """The one default process per profile and site: `default:shop.example.com`."""
    return f"default:{signal.data.site or ''}"
