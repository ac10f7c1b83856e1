"""The only place that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time. It is handed in wherever a rule or a row needs it."""

    def now(self) -> int:
        """Microseconds since 1970, UTC. A step back is possible."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """The instant that was set last, in microseconds."""
        return self._now

    def set(self, instant: int) -> None:
        """Move to an instant, forward or back."""
        self._now = instant

    def advance(self, microseconds: int) -> None:
        """Move by a span."""
        self._now += microseconds


def stopwatch() -> float:
    """Seconds on a scale without steps; only differences mean something."""
    return time.perf_counter()
