"""Bytes of the messages between services, other than signals: states, snapshot requests, markers."""

from __future__ import annotations

import msgspec

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState


class SnapshotRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A reader asks config to publish all present states once more."""

    reader: str


class Marker(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Trigger's own message through a partition (ARCHITECTURE §3.6). `at`: the clock before publishing, µs."""

    partition: int
    nonce: str
    at: int


class UnreadableMessage(ValueError):
    """The bytes are no message of that type."""


MARKER_TYPE = "application/vnd.moments.marker+json"
MARKER_ID_PREFIX = "marker:"

_encoder = msgspec.json.Encoder()
_moment = msgspec.json.Decoder(MomentState)
_configuration = msgspec.json.Decoder(ConfigurationState)
_marker = msgspec.json.Decoder(Marker)


def encode(message: msgspec.Struct) -> bytes:
    """The JSON bytes of any message of this module."""
    return _encoder.encode(message)


def decode_moment_state(body: bytes) -> MomentState:
    """A moment's state; raises UnreadableMessage."""
    try:
        return _moment.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error


def decode_configuration_state(body: bytes) -> ConfigurationState:
    """A configuration's state; raises UnreadableMessage."""
    try:
        return _configuration.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error


def decode_marker(body: bytes) -> Marker:
    """A marker; raises UnreadableMessage."""
    try:
        return _marker.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error
