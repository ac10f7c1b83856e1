"""The wake-up at the earliest due time, and the sweeper behind it (ARCHITECTURE §3.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC

from apscheduler.schedulers.background import BackgroundScheduler

from contracts.times import SECOND, to_datetime
from shared.clock import Clock

_WAKE, _SWEEP, _KEEP = "wake", "sweep", "housekeeping"
_FAR = 2**62
_FIRST_KEEP = 60.0
_RINGS = 8
"""Rings that may overlap: all but one return at once."""


class Alarm:
    """One date job, moved to the earliest due time that it was told of; and interval jobs.

    `wake` runs in the scheduler's thread when the time has come, `sweep` every `every` seconds whatever happened,
    `keep` every `keep_every` seconds, for the first time within a minute.
    """

    def __init__(
        self,
        clock: Clock,
        wake: Callable[[], None],
        sweep: Callable[[], None],
        keep: Callable[[], None],
        every: float = 2.0,
        keep_every: float = 3600.0,
    ):
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._at = _FAR
        self._ringing = self._again = False
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._scheduler.add_job(sweep, "interval", seconds=every, id=_SWEEP)
        first = to_datetime(clock.now() + int(min(keep_every, _FIRST_KEEP) * SECOND))
        self._scheduler.add_job(keep, "interval", seconds=keep_every, id=_KEEP, next_run_time=first)

    def start(self) -> None:
        """Begin to run jobs."""
        self._scheduler.start()

    def stop(self) -> None:
        """End after the job in hand."""
        self._scheduler.shutdown(wait=True)

    def at(self, instant: int | None) -> None:
        """Wake at `instant` (µs), unless an earlier wake-up is set already."""
        if instant is None:
            return
        with self._lock:
            if instant >= self._at:
                return
            self._at = instant
            when = to_datetime(max(instant, self._clock.now()))
            self._scheduler.add_job(
                self._ring,
                "date",
                run_date=when,
                id=_WAKE,
                replace_existing=True,
                misfire_grace_time=None,
                max_instances=_RINGS,
            )

    def _ring(self) -> None:
        """Wake; when a wake-up is in hand already, have that one do it once more.

        A ring must never be skipped: `_at` would stay in the past, and no later alarm would be set any more.
        """
        with self._lock:
            self._at = _FAR
            self._again = self._ringing
            if self._ringing:
                return
            self._ringing = True
        while True:
            try:
                self._wake()
            except BaseException:
                with self._lock:
                    self._ringing = False
                raise
            with self._lock:
                if not self._again:
                    self._ringing = False
                    return
                self._again = False
