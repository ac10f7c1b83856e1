"""The round of housekeeping: every duty in turn, chunk by chunk, between the batches of the worker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from services.trigger.housekeeping.house import Duty, House
from services.trigger.store.forgetting import note_duty
from services.trigger.store.records import Fenced
from services.trigger.store.rows import Rows
from shared.clock import stopwatch
from shared.store import STORE_FAULTS

SHARE = 0.1
"""The part of the worker's time that a round may take."""

_log = structlog.get_logger("trigger.housekeeping")
_FAULTS: tuple[type[Exception], ...] = (*STORE_FAULTS, Fenced)


@dataclass(slots=True)
class _Running:
    """The duty in hand."""

    duty: Duty
    house: House
    steps: Iterator[int]
    forgotten: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class Keeper:
    """Does a little at each `step`, in the thread of the worker, which alone writes processes.

    After a chunk it rests for nine times as long as that took, so that signals are never held up for more than one.
    A duty that fails is noted and the next one goes on; a fault of the store or the fence is the session's.
    """

    def __init__(
        self,
        duties: Sequence[Duty],
        transaction: Callable[[], AbstractContextManager[Rows]],
        house: Callable[[], House],
        *,
        share: float = SHARE,
    ) -> None:
        self._duties = tuple(duties)
        self._transaction = transaction
        self._house = house
        self._share = share
        self._called = threading.Event()
        self._waiting: deque[Duty] = deque()
        self._running: _Running | None = None
        self._rest_until = 0.0

    def call(self) -> None:
        """A round is due; any thread may say so. One that is underway is finished first."""
        self._called.set()

    def abandon(self) -> None:
        """The session was lost: what is left of the round is left to the next one."""
        self._waiting.clear()
        self._running = None

    @property
    def busy(self) -> bool:
        """Whether there is something to do, now or after the rest."""
        return self._running is not None or bool(self._waiting) or self._called.is_set()

    def rest(self, most: float) -> float:
        """How long the worker may wait for signals before `step` has something to do, in seconds."""
        return min(most, max(0.0, self._rest_until - stopwatch())) if self.busy else most

    def step(self) -> None:
        """Do one chunk, if there is one and the rest is over."""
        if not self.busy or stopwatch() < self._rest_until:
            return
        began = stopwatch()
        if self._running is None:
            self._take_next()
        if self._running is not None:
            self._do_chunk(self._running)
        took = stopwatch() - began
        self._rest_until = began + took / self._share

    def _take_next(self) -> None:
        if not self._waiting:
            self._called.clear()
            self._waiting.extend(self._duties)
        duty, house = self._waiting.popleft(), self._house()
        if duty.everywhere or 0 in house.owned:
            self._running = _Running(duty, house, duty.forget(house))

    def _do_chunk(self, running: _Running) -> None:
        began = stopwatch()
        try:
            with self._transaction():
                gone = next(running.steps, None)
        except _FAULTS:
            raise
        except Exception:
            _log.exception("housekeeping.failed", duty=running.duty.name)
            self._finish(running, failed=True)
            return
        took = stopwatch() - began
        running.seconds += took
        running.longest = max(running.longest, took)
        if gone is None:
            self._finish(running, failed=False)
        else:
            running.forgotten += gone

    def _finish(self, running: _Running, *, failed: bool) -> None:
        self._running = None
        if running.forgotten:
            _log.info(
                "housekeeping.done",
                duty=running.duty.name,
                forgotten=running.forgotten,
                milliseconds=round(running.seconds * 1000),
                longest=round(running.longest * 1000, 1),
            )
        with self._transaction() as rows:
            note_duty(
                rows,
                running.duty.name,
                at=running.house.now,
                forgotten=running.forgotten,
                failed=failed,
                longest=running.longest,
            )
