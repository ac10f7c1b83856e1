"""Refusals are counted in memory and written once a second, so that a flood of them costs nothing."""

from __future__ import annotations

import threading

from contracts.times import HOUR
from services.ingestion.refusals import Refusal
from services.ingestion.store import IngestionStore, RefusedRow
from shared.clock import Clock

_MOST_SORTS = 200
_PREFIX = 8


class RefusalLog:
    """Collects (status, code, start of the key, kind) → how many; no bodies and no profiles are kept.

    `kept`: µs for which the log is kept.
    """

    def __init__(self, store: IngestionStore, clock: Clock, kept: int) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept
        self._forgot_at = 0
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, str, str, str], int] = {}

    def add(self, refusal: Refusal, key_header: str | None, kind: str) -> None:
        """Count one; sorts beyond a bound are not told apart by key any more."""
        prefix = (key_header or "").partition(":")[0][:_PREFIX]
        prefix = prefix if prefix.isascii() and prefix.isprintable() else ""
        with self._lock:
            sort = (refusal.status, refusal.code, prefix, kind)
            if sort not in self._counts and len(self._counts) >= _MOST_SORTS:
                sort = (refusal.status, refusal.code, "", "")
            self._counts[sort] = self._counts.get(sort, 0) + 1

    def flush(self) -> None:
        """Write what was counted; with the database away the counts are dropped, the metrics have them."""
        with self._lock:
            counts, self._counts = self._counts, {}
        now = self._clock.now()
        if counts:
            self._store.record([RefusedRow(now, *sort, count) for sort, count in counts.items()])
        if not 0 <= now - self._forgot_at < HOUR:
            self._forgot_at = now
            self._store.forget_refusals(now - self._kept)
