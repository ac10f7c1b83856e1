"""What an application of signals changes outside the process itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from contracts.signals import Key, Signal

if TYPE_CHECKING:
    from services.trigger.engine.apply import Entry
    from services.trigger.engine.state import Process
    from services.trigger.engine.walk import Walk

ProcessKey = bytes
WaitKey = tuple[ProcessKey, str, int]
"""Process, moment and number of a wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A signal that came after a raise it speaks against (DOMAIN §6.7); `profile`: configuration, idType, id.

    It counts once for a moment and a signal, also when it speaks against the raises of several processes.
    """

    moment: str
    profile: tuple[str, str, str]
    raise_id: str
    source: str
    signal: str
    time: int
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A wait that was suppressed because its moment was stopped (DOMAIN §5).

    `run`: the run in which it was opened. `due`: the one that stood. `version`: the settings then in force.
    `after`: the place in the signal log up to which signals were applied.
    """

    key: WaitKey
    run: int
    opened: Key
    last: Key
    due: int
    version: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The process of a raise was completed after it (DOMAIN §6.10). `value`: what was bought, by currency."""

    moment: str
    process_key: ProcessKey
    raise_id: str
    signal: Signal
    value: Mapping[str | None, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Effects:
    """Collected over a batch: index entries to write, counters to add, stops and contradictions to record.

    `armed`: wait → due in the index. `disarmed`: waits that are no longer pending. `counts`: (moment, counter) → n,
    with counters `opened`, `slid`, `raised`, `ended:<reason>`, `suppressed:<reason>`, `ignored`; contradictions and
    recoveries are counted by whoever records them. `after`: set by the caller before each signal: the greatest place
    in the log of those that were applied before it.
    """

    armed: dict[WaitKey, int] = field(default_factory=dict)
    disarmed: set[WaitKey] = field(default_factory=set)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    contradictions: list[Contradiction] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    after: int = 0
    recoveries: list[Recovery] = field(default_factory=list)

    def walked(self, walk: Walk) -> None:
        """A moment has walked over signals of a process. Nothing follows: explanations listen here."""

    def applied(self, process_key: ProcessKey, process: Process, entry: Entry) -> None:
        """A signal has been applied to a process. Nothing follows: explanations listen here."""

    def arm(self, key: WaitKey, due: int) -> None:
        """The wait is pending and stands in the index at `due`."""
        self.armed[key] = due

    def disarm(self, key: WaitKey) -> None:
        """The wait is decided or ended."""
        self.armed.pop(key, None)
        self.disarmed.add(key)

    def count(self, moment: str, counter: str, by: int = 1) -> None:
        """Add to a counter of the ledger."""
        self.counts[moment, counter] += by
