"""What the worker does in the scheduler's thread: markers for what is due, a sweeper that sees to what was left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import structlog

from services.trigger.applying import AWAY
from services.trigger.markers import Markers
from services.trigger.store import records, waits
from services.trigger.store.rows import Rows
from services.trigger.sweeping import Sweeps, erasures_to_go_on_with
from shared.clock import Clock
from shared.settings import Settings
from shared.store import connected

_log = structlog.get_logger("trigger.worker")

Ring = Callable[[int | None], None]
"""Have the scheduler wake up at an instant (µs), if there is one and nothing wakes it earlier."""


class Rounds:
    """The jobs of the scheduler.

    `epochs`: the partitions that the session has, which may change meanwhile. `is_held`: whether raises wait for
    somebody's word; then there is nothing to tell of when the sweeper finds something due.
    """

    def __init__(
        self,
        settings: Settings,
        rows: Rows,
        clock: Clock,
        markers: Markers,
        is_held: Callable[[], bool],
        sweeps: Sweeps,
        epochs: Mapping[int, int],
        ring: Ring,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._clock = clock
        self._markers = markers
        self._is_held = is_held
        self._sweeps = sweeps
        self._epochs = epochs
        self._ring = ring

    def wake(self) -> None:
        """Send markers into the partitions with due waits, set the next alarm."""
        with self._guarded("wake"), connected(self._rows.database):
            self.send_markers()

    def sweep(self) -> None:
        """Do what an alarm that was missed, or a worker that died, left undone; tell that this one lives."""
        with self._guarded("sweep"), connected(self._rows.database):
            caught = self.send_markers()
            if caught and not self._is_held():
                _log.info("worker.sweeper_caught", partitions=caught)
            self._ask_for_orphans()
            self._sweeps.look(self._clock.now())
            with self._rows.database.atomic():
                name, now = self._settings.trigger_name, self._clock.now()
                records.note_worker(self._rows, name, now, list(self._epochs))

    def send_markers(self) -> int:
        """Send markers into the partitions with due waits; how many."""
        now = self._clock.now()
        due = waits.next_due(self._rows, range(self._settings.partitions))
        self._ring(min((instant for instant in due.values() if instant > now), default=None))
        return self._markers.send((partition for partition, instant in due.items() if instant <= now), self._epochs)

    def ask_for(self, partitions: Collection[int]) -> None:
        """A partition is taken at its first delivery: give those one that are not owned."""
        self._markers.send([n for n in partitions if n not in self._epochs], ())

    def _ask_for_orphans(self) -> None:
        """Only an owner publishes or looks through the stores.

        A process that died between a raise and its publishing, or an erasure and its end, may have left them in a
        partition that is quiet.
        """
        erasures = erasures_to_go_on_with(self._rows, self._clock.now())
        self.ask_for(records.unsent_partitions(self._rows) | {each.partition for each in erasures})

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """A job that meets a fault leaves a line and lets the next run try."""
        try:
            yield
        except AWAY as error:
            _log.warning(f"worker.{what}_failed", error=type(error).__name__)
