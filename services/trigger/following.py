"""Following the configuration: states from config reach the worker's thread, and are acknowledged once kept."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.suppressions import SuppressionState
from contracts.tokens import TokenState
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    SNAPSHOT_REQUEST,
    STATE_CONFIGURATION,
    STATE_MOMENT,
    STATE_SUPPRESSION,
    STATE_TOKEN,
    Binding,
    Queue,
    state_queue,
)
from contracts.wire import (
    SnapshotRequest,
    UnreadableMessage,
    decode_configuration_state,
    decode_moment_state,
    decode_suppression_state,
    decode_token_state,
    encode,
)
from shared.broker import Broker, BrokerError, Consumer, Delivery, Message, Publisher

_log = structlog.get_logger("trigger.following")
State = MomentState | ConfigurationState | TokenState | SuppressionState
_FOLLOWED = (STATE_MOMENT, STATE_CONFIGURATION, STATE_TOKEN, STATE_SUPPRESSION)


@dataclass(slots=True)
class News:
    """States that came together; `kept` is set when they stand in the database."""

    states: list[State]
    kept: threading.Event = field(default_factory=threading.Event)


class Follower:
    """A thread that reads the state queue of this trigger process."""

    def __init__(self, broker: Broker, publisher: Publisher, name: str):
        self._broker = broker
        self._publisher = publisher
        self._name = name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.caught_up = threading.Event()

    def start(self) -> None:
        """Begin; a snapshot of all states is asked for."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._ended.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except Exception as error:
                passing = isinstance(error, BrokerError | TimeoutError)
                _log.warning("following.interrupted", error=type(error).__name__, exc_info=None if passing else error)
                self._ended.wait(1.0)

    def _follow(self) -> None:
        name = state_queue(self._name)
        self._broker.declare_queue(
            Queue(name, dead_letter=DEAD_LETTERS),
            [Binding(CONFIGURATION, name, key) for key in _FOLLOWED],
        )
        self._publisher.publish(
            Message(
                exchange=CONFIGURATION,
                routing_key=SNAPSHOT_REQUEST,
                body=encode(SnapshotRequest(self._name)),
                message_id=f"snapshot:{self._name}",
                content_type="application/json",
                optional=True,
            )
        )
        consumer = self._broker.consumer([name], prefetch=200)
        try:
            while not self._ended.is_set():
                self._take(consumer)
        finally:
            consumer.drop()

    def _take(self, consumer: Consumer) -> None:
        deliveries = consumer.receive(100, 0.5)
        if not deliveries:
            self.caught_up.set()
            return
        news = News(list(_states(deliveries)))
        self.news.put(news)
        while not news.kept.wait(0.5):
            if self._ended.is_set():
                return
        consumer.ack(deliveries[-1])


def _states(deliveries: Sequence[Delivery]) -> list[State]:
    found: list[State] = []
    for delivery in deliveries:
        try:
            if delivery.routing_key == STATE_MOMENT:
                found.append(decode_moment_state(delivery.body))
            elif delivery.routing_key == STATE_CONFIGURATION:
                found.append(decode_configuration_state(delivery.body))
            elif delivery.routing_key == STATE_TOKEN:
                found.append(decode_token_state(delivery.body))
            elif delivery.routing_key == STATE_SUPPRESSION:
                found.append(decode_suppression_state(delivery.body))
        except UnreadableMessage as error:
            _log.error("following.unreadable", routing_key=delivery.routing_key, reason=str(error))
    return found
