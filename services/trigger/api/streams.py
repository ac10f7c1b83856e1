"""Live analytics over HTTP as server-sent events: how many listeners, for how long, and when they are gone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import structlog

from services.trigger.api.analytics import Analytics, known_moment
from services.trigger.api.listener import Listener
from services.trigger.api.periods import Period
from shared.clock import Clock, stopwatch
from shared.listeners import HEARTBEAT, RETRY, Seats, is_gone, leave_when_slow
from shared.store import STORE_FAULTS

LIFE = 600.0
"""Seconds after which a stream ends; its listener comes back by itself."""
LOOK_EVERY = 0.5
HEARTBEAT_EVERY = 10.0

_log = structlog.get_logger("trigger.streams")


class Streams:
    """The open streams of this process; `most` at a time."""

    def __init__(self, analytics: Analytics, clock: Clock, most: int) -> None:
        self._analytics = analytics
        self._clock = clock
        self._seats = Seats(most, "read the analytics instead.")

    def open(
        self, moment_id: str, period: Period, last_event_id: str, connection: socket.socket | None
    ) -> tuple[Iterator[bytes], Callable[[], None]]:
        """The events of a new stream, and what is to be called when it is over.

        `connection`: the listener's, where it is known: then its going is noticed at once, and one that does not read
        what it is sent is left after ten seconds. Raises UnknownMoment, WrongPeriod, TooManyStreams.
        """
        with self._analytics.snapshot() as rows:
            known_moment(rows, moment_id)
        self._analytics.window(period, self._clock.now())
        release = self._seats.take()
        leave_when_slow(connection)
        listener = Listener(self._analytics, self._clock, moment_id, period, last_event_id)
        return self._events(listener, connection), release

    def close(self) -> None:
        """End all streams for good: the process is to stop."""
        self._seats.ended.set()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._seats.taken

    def _events(self, listener: Listener, connection: socket.socket | None) -> Iterator[bytes]:
        began = spoken = stopwatch()
        yield RETRY
        while not self._seats.ended.is_set() and stopwatch() - began < LIFE and not is_gone(connection):
            events = self._look(listener)
            if not events and stopwatch() - spoken > HEARTBEAT_EVERY:
                events = [HEARTBEAT]
            if events:
                spoken = stopwatch()
                yield b"".join(events)
            if not listener.behind:
                self._seats.ended.wait(LOOK_EVERY)

    def _look(self, listener: Listener) -> list[bytes]:
        """What is new; while the database is away the listener is kept, with heartbeats only."""
        try:
            return listener.look()
        except STORE_FAULTS as error:
            _log.warning("streams.database_away", error=type(error).__name__)
            return []
