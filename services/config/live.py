"""Telling pages that there is news: trigger's stream of a moment, passed on to a browser under its session.

A page is told that something changed and nothing else; it then asks for its part anew, which is rendered here. So no
data of customers travels a second way, and a page shows the same with and without the stream.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from services.config.triggering import Query, TriggerClient, TriggerStream
from shared.clock import stopwatch
from shared.listeners import HEARTBEAT, RETRY, Seats, is_gone, leave_when_slow

LIFE = 600.0
"""Seconds after which a stream ends; its page comes back by itself."""
LOOK_EVERY = 5.0
"""Seconds between two looks at whether the session goes on."""
_EVENT = b"event:"
_CHANGED = b"event: changed\ndata: {}\n\n"


class LivePages:
    """The pages that listen, `most` at a time."""

    def __init__(self, trigger: TriggerClient, most: int) -> None:
        self._trigger = trigger
        self._seats = Seats(most, "the page asks every few seconds instead.")

    def open(
        self, path: str, query: Query, goes_on: Callable[[], bool], connection: socket.socket | None
    ) -> tuple[Iterator[bytes], Callable[[], None]]:
        """The events of a new stream, and what is to be called when it is over.

        `goes_on`: whether the session does. Raises NotFound, TriggerAway, TooManyStreams.
        """
        release = self._seats.take()
        try:
            stream = self._trigger.stream(path, query)
        except BaseException:
            release()
            raise
        leave_when_slow(connection)

        def close() -> None:
            stream.close()
            release()

        return self._events(stream, goes_on, connection), close

    def close(self) -> None:
        """End all streams for good: the process is to stop."""
        self._seats.ended.set()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._seats.taken

    def _events(
        self, stream: TriggerStream, goes_on: Callable[[], bool], connection: socket.socket | None
    ) -> Iterator[bytes]:
        began = looked = stopwatch()
        end = b""
        yield RETRY
        for came in stream:
            now = stopwatch()
            if self._seats.ended.is_set() or now - began >= LIFE or is_gone(connection):
                return
            if now - looked >= LOOK_EVERY:
                if not goes_on():
                    return
                looked = now
            if came:
                yield _CHANGED if _EVENT in end + came else HEARTBEAT
                end = came[-len(_EVENT) + 1 :]
