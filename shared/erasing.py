"""How a service that keeps anything of customers takes part in erasing one: told, it erases, then it answers."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from contracts.erasures import (
    ERASURE_DONE,
    ErasureDone,
    ProfileErased,
    UnreadableErasure,
    decode_profile_erased,
)
from contracts.topology import ERASURES_DONE, Topology, erasures_queue
from contracts.wire import encode
from shared.broker import Broker, Delivery, Message, Publisher
from shared.broker.reading import QueueReader
from shared.clock import Clock
from shared.store import STORE_FAULTS

_CONFIRM_WITHIN = 30.0
_log = structlog.get_logger("erasing")

Erase = Callable[[ProfileErased], dict[str, int]]
"""Erases a customer from a service's stores, however often it is called; store → how many rows went."""


def erasure_reader(
    broker: Broker, publisher: Publisher, topology: Topology, reader: str, clock: Clock, erase: Erase
) -> QueueReader:
    """The thread by which a service is told of erasures. What cannot be done is tried again until it can."""

    def take(deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            answer = answer_to(delivery.body, reader, clock, erase)
            if answer is not None:
                publisher.publish(answer).result(_CONFIRM_WITHIN)

    return QueueReader(broker, erasures_queue(reader), take, topology=topology, at_once=20, passing=STORE_FAULTS)


def answer_to(body: bytes, reader: str, clock: Clock, erase: Erase) -> Message | None:
    """Erase, and the message that says so; None for what cannot be read."""
    try:
        told = decode_profile_erased(body)
    except UnreadableErasure as error:
        _log.error("erasing.unreadable", reason=str(error)[:200])
        return None
    counts = erase(told)
    _log.info("erasing.done", erasure=told.erasure, **counts)
    done = ErasureDone(erasure=told.erasure, reader=reader, at=clock.now(), counts=counts)
    return Message(
        exchange=ERASURES_DONE,
        routing_key=ERASURE_DONE,
        body=encode(done),
        message_id=f"{ERASURE_DONE}:{told.erasure}:{reader}",
        content_type="application/json",
    )
