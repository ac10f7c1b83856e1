"""Publishing states: each change by the outbox in its own transaction, and all of them on request."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from contracts.topology import SNAPSHOT_REQUESTS, Topology
from services.config.access.resources import Token
from services.config.resources import AudienceConfiguration, Deletion, Moment, Suppression
from services.config.states import (
    State,
    configuration_state,
    deleted_state,
    moment_state,
    state_message,
    suppression_state,
    token_state,
)
from services.config.store import ConfigStore
from shared.broker import Broker, Delivery, Publisher
from shared.broker.reading import QueueReader
from shared.clock import Clock
from shared.outbox import Outbox
from shared.store import STORE_FAULTS

_CONFIRM_WITHIN = 30.0
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

    def suppression(self, value: Suppression) -> None:
        """A customer's signals are refused, or taken again."""
        self._add([suppression_state(value)])

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
                *(suppression_state(value) for value in self._store.suppressions.all()),
                *(deleted_state(deletion) for deletion in self._store.deletions()),
            ]

    def _moment_states(self, values: list[Moment]) -> list[State]:
        histories = self._store.histories([value.id for value in values], self._cutoff())
        return [moment_state(value, histories.get(value.id, ())) for value in values]

    def _cutoff(self) -> int:
        return self._clock.now() - self._retention

    def _add(self, states: list[State]) -> None:
        self._outbox.add(state_message(state) for state in states)


def snapshot_reader(broker: Broker, publisher: Publisher, topology: Topology, publication: Publication) -> QueueReader:
    """The thread that publishes all states when a reader asks. Readers keep the newest version of each state."""

    def answer(requests: list[Delivery]) -> None:
        """Requests that came together have one answer."""
        states = publication.snapshot()
        for future in publisher.publish_all([state_message(state) for state in states]):
            future.result(_CONFIRM_WITHIN)
        _log.info("snapshot.published", requests=len(requests), states=len(states))

    return QueueReader(broker, SNAPSHOT_REQUESTS, answer, topology=topology, at_once=100, passing=STORE_FAULTS)
