"""The message of an accepted signal: its bytes, its place among the partitions, its id on the wire."""

from __future__ import annotations

import uuid

from contracts.joining import JOINING_ID_PREFIX, JOINING_TYPE, Joining
from contracts.signals import encode_signal
from contracts.stitching import ANONYMOUS, IDENTIFIED_ID_PREFIX, IDENTIFIED_TYPE, Identified, anonymous_routing_key
from contracts.topology import PARTITIONS, SIGNALS, partition_key, partition_of
from contracts.wire import encode, message_id_of
from services.ingestion.reading import Accepted
from shared.broker import Message

LARGEST_SIGNAL = 65_536


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
        routing_key=_routing_key(signal),
        body=body,
        message_id=message_id_of(signal.id),
        hidden_copies=(partition_key(partition),),
    )


def _routing_key(signal: Accepted) -> str:
    """That of the kind, by which journeys bind; of an anonymous customer one that they do not."""
    if signal.profile.id_type == ANONYMOUS:
        return anonymous_routing_key(signal.kind)
    return signal.kind.routing_key


def identified_messages(identified: Identified, partitions: int) -> tuple[Message, Message]:
    """What tells the owner of a profile that something may join it, and the owner of an anonymous id whose it is.

    Both must be stored before the sender is answered.
    """
    source = partition_of(identified.configuration, ANONYMOUS, identified.anonymous, partitions)
    partition = partition_of(identified.configuration, identified.id_type, identified.profile, partitions)
    joining = Joining(
        partition=partition,
        configuration=identified.configuration,
        id_type=identified.id_type,
        profile=identified.profile,
        source=source,
        at=identified.at,
    )
    name = uuid.uuid4()
    return (
        Message(
            exchange=PARTITIONS,
            routing_key=partition_key(partition),
            body=encode(joining),
            message_id=f"{JOINING_ID_PREFIX}{name}",
            content_type=JOINING_TYPE,
        ),
        Message(
            exchange=PARTITIONS,
            routing_key=partition_key(source),
            body=encode(identified),
            message_id=f"{IDENTIFIED_ID_PREFIX}{name}",
            content_type=IDENTIFIED_TYPE,
        ),
    )
