"""The processes of one profile in memory, as a shelf for the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.trigger.engine.application import ProfileId
from services.trigger.engine.apply import Entry
from services.trigger.engine.decide import ProcessId
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.state import Process


@dataclass(slots=True)
class Memory:
    """A shelf (`application.Shelf`) that forgets nothing. The key of a process is its kind and id."""

    processes: dict[ProcessKey, tuple[ProcessId, Process]] = field(default_factory=dict)
    _entries: dict[int, Entry] = field(default_factory=dict)
    _levels: dict[str, list[Entry]] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """A signal that is about to be applied."""
        self._entries[entry.sequence] = entry

    def note_level(self, kind: str, entry: Entry) -> None:
        """A signal of every process of a kind has been applied."""
        self._levels.setdefault(kind, []).append(entry)

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:
        """The process, made when it is new."""
        key = key_of(kind, process_id)
        if key not in self.processes:
            self.processes[key] = (ProcessId(*profile, kind, process_id), Process())
        return key, self.processes[key][1]

    def siblings(self, profile: ProfileId, kind: str) -> Iterable[tuple[ProcessKey, Process]]:  # noqa: ARG002
        """Every process of that kind; there is but one profile."""
        return [(key, process) for key, (identity, process) in self.processes.items() if identity.kind == kind]

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:  # noqa: ARG002
        """The signals that belong to every process of that kind, in order."""
        return sorted(self._levels.get(kind, ()), key=lambda entry: entry.signal.key)

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""
        return [self._entries[sequence] for _, sequence in process.entries]

    def touch(self, key: ProcessKey) -> None:
        """Nothing to do: the process is changed in place."""


def key_of(kind: str, process_id: str) -> ProcessKey:
    """The key under which a process is remembered."""
    return f"{kind}:{process_id}".encode("utf-8", "surrogatepass")
