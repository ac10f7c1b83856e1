"""What happened to one profile, signal by signal: for the examples of a result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from contracts.signals import Signal
from contracts.times import to_rfc3339
from services.trigger.engine.decide import Decision, ProcessId

_LONGEST = 200
"""Entries; of a longer account the last ones are kept."""


@dataclass(slots=True)
class Timeline:
    """Entries in the order of what happened."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    _before: Counter[str] = field(default_factory=Counter)

    def decided(self, process: ProcessId, decision: Decision, now: int) -> None:
        """A wait was decided."""
        entry = {
            "at": to_rfc3339(now),
            "outcome": "raised" if decision.raised else "suppressed",
            "reason": decision.reason or None,
            "process": process.process,
            "openedAt": to_rfc3339(decision.opened_at),
            "dueAt": to_rfc3339(decision.due),
        }
        self.entries.append({name: value for name, value in entry.items() if value is not None})

    def received(self, signal: Signal, counts: Counter[str]) -> None:
        """A signal was applied; `counts`: the moment's counters since the profile was begun."""
        changed = {name: value - self._before[name] for name, value in counts.items() if value != self._before[name]}
        self._before = Counter(counts)
        self.entries.append(
            {
                "at": to_rfc3339(signal.joined_at),
                "signal": {"source": signal.source, "id": signal.id, "type": signal.kind.name},
                "time": to_rfc3339(signal.time),
                "effects": changed,
            }
        )

    def document(self) -> list[dict[str, Any]]:
        """The entries to show."""
        return self.entries[-_LONGEST:]
