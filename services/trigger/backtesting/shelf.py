"""The processes of one kind of one profile, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from contracts.signals import Signal
from services.trigger.engine.application import ProfileId
from services.trigger.engine.apply import Entry
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.state import Process

_PRUNE_AFTER = 4_096


class ProfileShelf:
    """A shelf (`engine.application.Shelf`) that is emptied from profile to profile.

    It keeps the signals that processes still refer to and no others, however many a profile has.
    """

    def __init__(self) -> None:
        self.processes: dict[ProcessKey, tuple[str, Process]] = {}
        self._signals: dict[int, Signal] = {}
        self._levels: list[Entry] = []
        self._key_of: Callable[[str], ProcessKey] = _plain_key

    def begin(self, key_of: Callable[[str], ProcessKey] | None = None) -> None:
        """Forget the last profile. `key_of`: process id → key; any that is unique in the profile by default."""
        self.processes.clear()
        self._signals.clear()
        self._levels.clear()
        self._key_of = key_of or _plain_key

    def keep(self, entry: Entry) -> None:
        """A signal comes to hand, before it is applied."""
        if len(self._signals) >= _PRUNE_AFTER:
            self._prune()
        self._signals[entry.sequence] = entry.signal

    def note_level(self, entry: Entry) -> None:
        """A signal of every process has been applied: processes that are made from now on may join it."""
        self._levels.append(entry)

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:  # noqa: ARG002
        """The process, made when it is new."""
        key = self._key_of(process_id)
        found = self.processes.get(key)
        if found is None:
            found = self.processes[key] = (process_id, Process())
        return key, found[1]

    def siblings(self, profile: ProfileId, kind: str) -> Iterable[tuple[ProcessKey, Process]]:  # noqa: ARG002
        """Every process of the profile."""
        return [(key, process) for key, (_, process) in self.processes.items()]

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:  # noqa: ARG002
        """The profile's signals that belong to every process, in order."""
        return sorted(self._levels, key=lambda entry: entry.signal.key)

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""
        signals = self._signals
        return [Entry(sequence, signals[sequence]) for _, sequence in process.entries]

    def touch(self, key: ProcessKey) -> None:
        """Nothing to do: the process is changed in place."""

    def _prune(self) -> None:
        """Let go of signals that stand in snapshots alone."""
        wanted = {sequence for _, process in self.processes.values() for _, sequence in process.entries}
        wanted.update(level.sequence for level in self._levels)
        if len(wanted) < len(self._signals) // 2:
            self._signals = {sequence: self._signals[sequence] for sequence in wanted}


def _plain_key(process_id: str) -> ProcessKey:
    return process_id.encode("utf-8", "surrogatepass")
