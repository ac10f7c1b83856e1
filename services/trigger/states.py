"""Taking what config tells: each state is kept, and takes effect in the partitions of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.suppressions import SuppressionState
from contracts.tokens import TokenState
from services.trigger.applying import FAULTS
from services.trigger.changes import Changes
from services.trigger.following import Follower
from services.trigger.registry import Registry
from services.trigger.store import records
from services.trigger.store.rows import Rows
from services.trigger.store.tokens import save_token
from services.trigger.suppressed import Suppressed
from shared.clock import Clock


class States:
    """Keeps states, for one session of the worker after the other; used by its thread alone.

    `epochs`: the partitions that the session has. `settled`: called when a moment's state has taken effect in them.
    `told`: called when a moment's state was kept.
    """

    def __init__(
        self,
        rows: Rows,
        registry: Registry,
        changes: Changes,
        suppressed: Suppressed,
        clock: Clock,
        epochs: Mapping[int, int],
        settled: Callable[[], None],
        told: Callable[[], None],
    ) -> None:
        self._rows = rows
        self._registry = registry
        self._changes = changes
        self._suppressed = suppressed
        self._clock = clock
        self._epochs = epochs
        self._settled = settled
        self._told = told

    def load(self) -> None:
        """Take what was kept, in the caller's transaction."""
        self._suppressed.load(self._rows)
        for configuration in records.load_configurations(self._rows).values():
            self._registry.put_configuration(configuration)
        for moment in records.load_moments(self._rows).values():
            self._registry.put_moment(moment)

    def take(self, follower: Follower) -> None:
        """Keep what has come since; what a fault leaves is taken the next time."""
        while not follower.news.empty():
            news = follower.news.get()
            try:
                self._suppressed.keep(self._rows, (each for each in news.states if isinstance(each, SuppressionState)))
                for state in news.states:
                    if not isinstance(state, SuppressionState):
                        self.keep(state)
            except FAULTS:
                follower.news.put(news)
                raise
            news.kept.set()

    def keep(self, state: MomentState | ConfigurationState | TokenState) -> None:
        """Store first: a state whose effects were cut off is settled when its partitions are taken again."""
        if isinstance(state, ConfigurationState):
            with self._atomic():
                records.save_configuration(self._rows, state)
            self._registry.put_configuration(state)
            return
        if isinstance(state, TokenState):
            with self._atomic():
                save_token(self._rows, state)
            return
        with self._atomic():
            records.save_moment(self._rows, state)
        before = self._registry.moment(state.id)
        moment = self._registry.put_moment(state)
        if moment is not None and self._epochs:
            new_run = before is None or not before.running or before.run != moment.run
            new_timing = before is None or before.timing != moment.timing
            owned, now = sorted(self._epochs), self._clock.now()
            self._changes.settle(moment, state.version, owned, now, new_run=new_run, new_timing=new_timing)
            self._settled()
        if moment is not None:
            self._told()

    def settle(self, partitions: list[int], settled: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Partitions were taken: let the states take effect that their last owner had not settled there.

        `settled`: by moment and partition the version and the run that it had.
        """
        for state in list(self._registry.states.values()):
            moment = self._registry.moment(state.id)
            behind = [n for n in partitions if settled.get((state.id, n), (0, 0))[0] < state.version]
            if moment is not None and behind:
                started = any(settled.get((state.id, n), (0, 0))[1] != moment.run for n in behind)
                self._changes.settle(moment, state.version, behind, self._clock.now(), new_run=started)

    def _atomic(self) -> AbstractContextManager[object]:
        return self._rows.database.atomic()
