"""When keys were last used: noted in memory for every request, told to config at most once a minute for each key."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from contracts.topology import KEY_USES
from contracts.wire import KEY_USED, KeyUsed, encode
from shared.broker import Message, Publisher
from shared.clock import stopwatch

EVERY = 60.0
"""Seconds between two messages about one key."""


class KeyUses:
    """Used by all request threads; `flush` by one. Only keys that admitted something are in it, so it stays small.

    Best effort: what a killed process had not told is told with the key's next use.
    """

    def __init__(self, publisher: Publisher, *, every: float = EVERY) -> None:
        self._publisher = publisher
        self._every = every
        self._lock = threading.Lock()
        self._latest: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def note(self, key_id: str, at: int) -> None:
        """A key has admitted a request, received at an instant (µs)."""
        with self._lock:
            self._latest[key_id] = max(at, self._latest.get(key_id, 0))

    def flush(self, *, everything: bool = False) -> int:
        """Hand to the broker, without waiting, what was not told within the last minute; how many keys."""
        if not self._latest or not self._publisher.ready:
            return 0
        now = stopwatch()
        with self._lock:  # the publisher's thread takes a key out again when telling of it has failed
            self._told = {key: since for key, since in self._told.items() if now - since < self._every}
            due = {key: at for key, at in self._latest.items() if everything or key not in self._told}
            for key in due:
                del self._latest[key]
                self._told[key] = now
        for key, at in due.items():
            self._tell(key, at)
        return len(due)

    def _tell(self, key: str, at: int) -> None:
        message = Message(
            exchange=KEY_USES,
            routing_key=KEY_USED,
            body=encode(KeyUsed(key=key, at=at)),
            message_id=f"{key}:{at}",
            content_type="application/json",
        )

        def keep_when_it_failed(future: Future[None]) -> None:
            if future.cancelled() or future.exception() is not None:
                with self._lock:
                    self._told.pop(key, None)
                self.note(key, at)

        self._publisher.publish(message).add_done_callback(keep_when_it_failed)
