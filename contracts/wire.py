"""Bytes of the messages between services, other than signals: states, markers, refusals, replays, uses of keys."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.suppressions import SuppressionState
from contracts.tokens import TokenState


class SnapshotRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A reader asks config to publish all present states once more."""

    reader: str


class Marker(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Trigger's own message through a partition (ARCHITECTURE §3.6). `at`: the clock before publishing, µs."""

    partition: int
    nonce: str
    at: int


class SpoolWord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The word of an ingestion machine that may keep signals back, through a partition (DOMAIN §6.5).

    All that it acknowledged before `at` (µs, its clock) stands in the partitions before this message. `at` may lie a
    little ahead: until then it promises to keep nothing back. `number` rises with every word of the `machine`.
    `waiting`: signals that it keeps back, about. `leaving`: it keeps nothing back until it speaks again.
    `nonce` is empty: a trigger that knows no words takes this for the marker of another and drops it.
    """

    partition: int
    machine: str
    number: int
    at: int
    waiting: int = 0
    leaving: bool = False
    nonce: str = ""


class SignalRefused(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Ingestion refused a signal. It holds no secret.

    `configuration`: that of the key; empty where none has such a key, and then `profile` is, too. `key`: its id; the
    first characters of one that is not known.
    `id`: of this message. `at`: when it was received, µs. `status`, `code`, `reason`, `faults` (pointer, reason): as
    the sender was told. `kind`: as far as it was named. `time`, `source`, `signal` (its id): as they were sent, as
    far as they could be read. `profile`: normalised (DOMAIN §2.1); empty, like `id_type`, when it could not be.
    `sent`: the signal as it was read, JSON; empty where it is not kept, and then `unkept` is the word for why.
    `origin`: of the request that brought it, told with it alone. `final`: what was wrong does not stand in `sent`, no
    replay can mend it.
    """

    id: str
    at: int
    status: int
    code: str
    reason: str
    configuration: str
    faults: tuple[tuple[str, str], ...] = ()
    kind: str = ""
    time: int | None = None
    source: str = ""
    signal: str = ""
    site: str = ""
    id_type: str = ""
    profile: str = ""
    key: str = ""
    origin: str = ""
    sent: str = ""
    unkept: str = ""
    final: bool = False


class SignalReplay(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Trigger asks ingestion to read a refused signal again, by what holds now.

    `replay`: the request that it belongs to; `refusal`: the id of its `SignalRefused`, of which the other fields are.
    """

    replay: str
    refusal: str
    at: int
    configuration: str
    key: str
    sent: str
    kind: str = ""
    origin: str = ""


class SignalReplayed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What became of a replayed signal. `at`: when it was read, µs. `status`: 200, then it is stored; else as refused.

    `code`, `reason`, `faults` (pointer, reason): as a sender would be told now.
    """

    replay: str
    refusal: str
    at: int
    status: int
    code: str = ""
    reason: str = ""
    faults: tuple[tuple[str, str], ...] = ()


class KeyUsed(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A key has admitted a request. `at`: when the latest one came, µs."""

    key: str
    at: int


class UnreadableMessage(ValueError):
    """The bytes are no message of that type."""


MARKER_TYPE = "application/vnd.moments.marker+json"
MARKER_ID_PREFIX = "marker:"
SPOOL_WORD = "spool.word"
"""Type of a machine's word."""
SPOOL_WORD_TYPE = "application/vnd.moments.spool-word+json"
SPOOL_ID_PREFIX = f"{MARKER_ID_PREFIX}spool:"
SIGNAL_REFUSED = "signal.refused"
"""Type and routing key of a refusal."""
SIGNAL_REPLAY = "signal.replay"
"""Type and routing key of the wish to read a refused signal again."""
SIGNAL_REPLAYED = "signal.replayed"
"""Type and routing key of what became of it."""
KEY_USED = "key.used"
"""Type and routing key of a key's use."""

_OWN_ID_PREFIXES = (MARKER_ID_PREFIX, "tombstone:", "identified:", "stitched:")
"""Messages of the services in a partition are known by these: no signal's may begin so."""
_LONGEST_MESSAGE_ID = 200

_encoder = msgspec.json.Encoder()
_moment = msgspec.json.Decoder(MomentState)
_configuration = msgspec.json.Decoder(ConfigurationState)
_suppression = msgspec.json.Decoder(SuppressionState)
_token = msgspec.json.Decoder(TokenState)
_marker = msgspec.json.Decoder(Marker)
_spool_word = msgspec.json.Decoder(SpoolWord)
_refused = msgspec.json.Decoder(SignalRefused)
_replay = msgspec.json.Decoder(SignalReplay)
_replayed = msgspec.json.Decoder(SignalReplayed)
_used = msgspec.json.Decoder(KeyUsed)


def encode(message: msgspec.Struct) -> bytes:
    """The JSON bytes of any message of this module."""
    return _encoder.encode(message)


def message_id_of(signal_id: str) -> str:
    """The signal's own id (DOMAIN §7); a digest where AMQP has no room for it or it would pass for one of our own."""
    plain = signal_id.isascii() and signal_id.isprintable() and len(signal_id) <= _LONGEST_MESSAGE_ID
    if plain and not signal_id.startswith(_OWN_ID_PREFIXES):
        return signal_id
    return blake2b(_encoder.encode(signal_id), digest_size=16).hexdigest()


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


def decode_token_state(body: bytes) -> TokenState:
    """A token's state; raises UnreadableMessage."""
    try:
        return _token.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error


def decode_suppression_state(body: bytes) -> SuppressionState:
    """The state of a customer whose signals are refused; raises UnreadableMessage."""
    try:
        return _suppression.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error


def decode_marker(body: bytes) -> Marker:
    """A marker; raises UnreadableMessage."""
    try:
        return _marker.decode(body)
    except msgspec.DecodeError as error:
        raise UnreadableMessage(str(error)) from error


def decode_spool_word(body: bytes) -> SpoolWord:
    """The word of a machine with a spool; raises UnreadableMessage."""
    try:
        return _spool_word.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessage(str(error)) from error


def decode_signal_refused(body: bytes) -> SignalRefused:
    """A refused signal; raises UnreadableMessage."""
    try:
        return _refused.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessage(str(error)) from error


def decode_signal_replay(body: bytes) -> SignalReplay:
    """A signal to be read again; raises UnreadableMessage."""
    try:
        return _replay.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessage(str(error)) from error


def decode_signal_replayed(body: bytes) -> SignalReplayed:
    """What became of one; raises UnreadableMessage."""
    try:
        return _replayed.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessage(str(error)) from error


def decode_key_used(body: bytes) -> KeyUsed:
    """A key's use; raises UnreadableMessage."""
    try:
        return _used.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableMessage(str(error)) from error
