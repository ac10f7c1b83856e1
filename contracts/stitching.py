"""Anonymous customers: the messages by which what one sent joins a profile (docs/decisions/035-stitching.md).

What a customer sends who is known by an anonymous id alone goes into the partition of that id, and so does whoever
they are told to be; the owner of that partition holds the one until the other comes, and hands it on to the profile's.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from contracts.signals import ProfileReference, Reference, SignalEvent, SignalKind

ANONYMOUS = "anonymous"
"""The idType of a customer who is not known; no audience has it, and no journey sees it."""
ANONYMOUS_FIELD = "anonymousId"
LONGEST_ANONYMOUS_ID = 255
IDENTIFIED = "identified"
IDENTIFIED_TYPE = "application/vnd.moments.identified+json"
IDENTIFIED_ID_PREFIX = "identified:"
STITCHED = "stitched"
STITCHED_TYPE = "application/vnd.moments.stitched+json"
STITCHED_ID_PREFIX = "stitched:"


class Identified(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A sender told who an anonymous customer is. `profile`: normalised (DOMAIN §2.1).

    `time`: when that was so by the sender's clock, corrected as that of a signal; `at`: when it was received, µs.
    """

    configuration: str
    anonymous: str
    id_type: str
    profile: str
    time: int
    at: int


class StitchedData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Signals of a profile that came with an anonymous id, each as it travels itself."""

    audience_configuration: Reference
    profile: ProfileReference
    signals: tuple[msgspec.Raw, ...]


class Stitched(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an anonymous customer joins a profile: all of it in one message, so that none is judged apart.

    Whose it is stands where an event says it.
    """

    data: StitchedData


class UnreadableStitch(ValueError):
    """The bytes are no message of that type."""


_identified = msgspec.json.Decoder(Identified)
_stitched = msgspec.json.Decoder(Stitched)
_signal = msgspec.json.Decoder(SignalEvent)
_encoder = msgspec.json.Encoder()


def decode_identified(body: bytes) -> Identified:
    """Who an anonymous customer is; raises UnreadableStitch."""
    try:
        return _identified.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStitch(str(error)) from error


def decode_stitched(body: bytes) -> Stitched:
    """Signals that join a profile; raises UnreadableStitch."""
    try:
        return _stitched.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableStitch(str(error)) from error


def encode_stitched(configuration: Reference, profile: ProfileReference, signals: list[bytes]) -> bytes:
    """The message body of signals that join a profile."""
    raw = tuple(msgspec.Raw(signal) for signal in signals)
    return _encoder.encode(
        Stitched(data=StitchedData(audience_configuration=configuration, profile=profile, signals=raw))
    )


def as_of_profile(body: bytes, profile: ProfileReference, stitched_at: datetime | None) -> bytes:
    """The body of an anonymous signal as that of a profile's; everything else of it stays.

    `stitched_at`: when it became known whose it is, where that was not so at its receipt.
    """
    event = _signal.decode(body)
    data = msgspec.structs.replace(
        event.data, profile=profile, anonymous_id=event.data.profile.id, stitched_at=stitched_at
    )
    return _encoder.encode(msgspec.structs.replace(event, data=data))


def anonymous_routing_key(kind: SignalKind) -> str:
    """`anonymous.cart.add`: what no journey binds."""
    return f"{ANONYMOUS}.{kind.group}.{kind.verb}"
