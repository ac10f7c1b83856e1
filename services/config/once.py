"""Secrets that are shown once: kept in memory from the request that made them to the page that shows them."""

from __future__ import annotations

import threading

from shared.clock import stopwatch

KEPT_FOR = 300.0
"""Seconds after which a secret that nobody came to see is forgotten."""


class ShownOnce:
    """For one process, which is all that config has; after a restart the key is to be made anew."""

    def __init__(self, kept_for: float = KEPT_FOR) -> None:
        self._kept_for = kept_for
        self._lock = threading.Lock()
        self._secrets: dict[tuple[str, str], tuple[float, str]] = {}

    def put(self, session: str, about: str, secret: str) -> None:
        """Keep a secret for the person of a session; what is kept about the same thing goes."""
        with self._lock:
            self._forget()
            self._secrets[session, about] = (stopwatch(), secret)

    def take(self, session: str, about: str) -> str | None:
        """The secret, this once."""
        with self._lock:
            self._forget()
            found = self._secrets.pop((session, about), None)
        return None if found is None else found[1]

    def _forget(self) -> None:
        now = stopwatch()
        self._secrets = {key: kept for key, kept in self._secrets.items() if now - kept[0] < self._kept_for}
