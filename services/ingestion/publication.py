"""The message of an accepted signal: its bytes, its place among the partitions, its id on the wire."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from contracts.signals import encode_signal
from contracts.topology import SIGNALS, partition_key, partition_of
from contracts.wire import MARKER_ID_PREFIX
from services.ingestion.reading import Accepted
from shared.broker import Message

LARGEST_SIGNAL = 65_536
_LONGEST_MESSAGE_ID = 200


def body_of(signal: Accepted) -> bytes:
    """The CloudEvents JSON that travels."""
    return encode_signal(
        id=signal.id, source=signal.source, time=signal.time, data=signal.data, traceparent=signal.traceparent
    )


def message_of(signal: Accepted, partitions: int) -> Message | None:
    """What to publish; None when it is larger than one signal may be."""
    body = body_of(signal)
    if len(body) > LARGEST_SIGNAL:
        return None
    configuration = signal.data.audience_configuration.id
    partition = partition_of(configuration, signal.profile.id_type, signal.profile.id, partitions)
    return Message(
        exchange=SIGNALS,
        routing_key=signal.kind.routing_key,
        body=body,
        message_id=_message_id(signal.id),
        hidden_copies=(partition_key(partition),),
    )


def _message_id(signal_id: str) -> str:
    """The signal's own id (DOMAIN §7); a digest where AMQP has no room for it or it would pass for a marker."""
    plain = signal_id.isascii() and signal_id.isprintable() and len(signal_id) <= _LONGEST_MESSAGE_ID
    if plain and not signal_id.startswith(MARKER_ID_PREFIX):
        return signal_id
    return blake2b(msgspec.json.encode(signal_id), digest_size=16).hexdigest()
