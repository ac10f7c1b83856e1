"""Live analytics over HTTP as server-sent events: how many listeners, for how long, and when they are gone."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import structlog

from services.trigger.api.analytics import Analytics, known_moment
from services.trigger.api.listener import Listener
from services.trigger.api.periods import Period
from shared.clock import Clock, stopwatch
from shared.http import Unavailable
from shared.store import STORE_FAULTS

LIFE = 600.0
"""Seconds after which a stream ends; its listener comes back by itself."""
LOOK_EVERY = 0.5
HEARTBEAT_EVERY = 10.0
_SEND_WITHIN = 10
_RETRY = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"

_log = structlog.get_logger("trigger.streams")


class TooManyStreams(Unavailable):
    """All streams are taken."""


class Streams:
    """The open streams of this process; `most` at a time."""

    def __init__(self, analytics: Analytics, clock: Clock, most: int) -> None:
        self._analytics = analytics
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._open = 0
        self._ended = threading.Event()

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
        self._take()
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_WITHIN, 0))
        listener = Listener(self._analytics, self._clock, moment_id, period, last_event_id)
        return self._events(listener, connection), _once(self._give_back)

    def close(self) -> None:
        """End all streams for good: the process is to stop."""
        self._ended.set()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open

    def _take(self) -> None:
        with self._lock:
            if self._open >= self._most or self._ended.is_set():
                raise TooManyStreams(f"All {self._most} streams are taken; read the analytics instead.", retry_after=5)
            self._open += 1

    def _give_back(self) -> None:
        with self._lock:
            self._open -= 1

    def _events(self, listener: Listener, connection: socket.socket | None) -> Iterator[bytes]:
        began = spoken = stopwatch()
        yield _RETRY
        while not self._ended.is_set() and stopwatch() - began < LIFE and not _is_gone(connection):
            events = self._look(listener)
            if not events and stopwatch() - spoken > HEARTBEAT_EVERY:
                events = [_HEARTBEAT]
            if events:
                spoken = stopwatch()
                yield b"".join(events)
            if not listener.behind:
                self._ended.wait(LOOK_EVERY)

    def _look(self, listener: Listener) -> list[bytes]:
        """What is new; while the database is away the listener is kept, with heartbeats only."""
        try:
            return listener.look()
        except STORE_FAULTS as error:
            _log.warning("streams.database_away", error=type(error).__name__)
            return []


def _once(call: Callable[[], None]) -> Callable[[], None]:
    """A server may close a response more than once."""
    left = [call]

    def close() -> None:
        if left:
            left.pop()()

    return close


def _is_gone(connection: socket.socket | None) -> bool:
    """Whether the other side has hung up. It has nothing to say while it listens: what can be read is the end."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
