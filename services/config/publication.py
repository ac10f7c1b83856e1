"""Publishing states: each change by the outbox in its own transaction, and all of them on request."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog

from contracts.topology import SNAPSHOT_REQUESTS, Topology
from services.config.access.resources import Token
from services.config.resources import AudienceConfiguration, Deletion, Moment
from services.config.states import State, configuration_state, deleted_state, moment_state, state_message, token_state
from services.config.store import ConfigStore
from shared.broker import Broker, BrokerError, Consumer, Publisher
from shared.clock import Clock
from shared.outbox import Outbox
from shared.store import STORE_FAULTS

_CONFIRM_WITHIN = 30.0
_PASSING: tuple[type[Exception], ...] = (*STORE_FAULTS, BrokerError, TimeoutError)
_log = structlog.get_logger("config.publication")


class Publication:
    """Writes the new state of what changed to the outbox, in the caller's transaction.

    `retention`: µs; settings that were in force within it travel with a moment (DOMAIN §5).
    """

    def __init__(self, store: ConfigStore, outbox: Outbox, clock: Clock, retention: int) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._retention = retention

    def configuration(self, value: AudienceConfiguration) -> None:
        """A configuration is new or has changed."""
        self._add([configuration_state(value)])

    def moments(self, values: Iterable[Moment]) -> None:
        """Moments are new or have changed."""
        self._add(self._moment_states(list(values)))

    def token(self, value: Token) -> None:
        """An API token was made or revoked."""
        self._add([token_state(value)])

    def deleted(self, kind: str, value: AudienceConfiguration | Moment) -> None:
        """Something was deleted."""
        self._add([deleted_state(Deletion(kind=kind, id=value.id, version=value.version + 1))])

    def snapshot(self) -> list[State]:
        """All present states, and the last ones of what was deleted."""
        with self._store.reading():
            histories = self._store.histories(None, self._cutoff())
            return [
                *(configuration_state(value) for value in self._store.configurations()),
                *(moment_state(value, histories.get(value.id, ())) for value in self._store.moments()),
                *(token_state(value) for value in self._store.access.tokens()),
                *(deleted_state(deletion) for deletion in self._store.deletions()),
            ]

    def _moment_states(self, values: list[Moment]) -> list[State]:
        histories = self._store.histories([value.id for value in values], self._cutoff())
        return [moment_state(value, histories.get(value.id, ())) for value in values]

    def _cutoff(self) -> int:
        return self._clock.now() - self._retention

    def _add(self, states: list[State]) -> None:
        self._outbox.add(state_message(state) for state in states)


class SnapshotAnswerer:
    """A thread that publishes all states when a reader asks, and goes on after any failure.

    Readers keep the newest version of each state.
    """

    def __init__(self, broker: Broker, publisher: Publisher, topology: Topology, publication: Publication) -> None:
        self._broker = broker
        self._publisher = publisher
        self._topology = topology
        self._publication = publication
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End soon."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except Exception as error:
                passing = isinstance(error, _PASSING)
                _log.warning("snapshot.interrupted", error=type(error).__name__, exc_info=None if passing else error)
                self._ended.wait(1.0)

    def _listen(self) -> None:
        self._broker.declare(self._topology)
        consumer = self._broker.consumer([SNAPSHOT_REQUESTS], prefetch=100)
        try:
            while not self._ended.is_set():
                self._answer(consumer)
        finally:
            consumer.drop()

    def _answer(self, consumer: Consumer) -> None:
        """Requests that came together have one answer."""
        requests = consumer.receive(100, 0.5)
        if not requests:
            return
        states = self._publication.snapshot()
        for future in self._publisher.publish_all([state_message(state) for state in states]):
            future.result(_CONFIRM_WITHIN)
        consumer.ack(requests[-1])
        _log.info("snapshot.published", requests=len(requests), states=len(states))
