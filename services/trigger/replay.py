"""The engine over recorded signals in virtual time, all in memory: back-tests and the tests of the engine."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contracts.signals import Signal
from contracts.templates import Template
from contracts.times import DAY
from services.trigger.engine.application import ProfileId, apply_signal, profile_of
from services.trigger.engine.apply import Entry, Rules
from services.trigger.engine.decide import Decision, NotReady, ProcessId, decide, record
from services.trigger.engine.effects import Contradiction, Effects, ProcessKey, Recovery, WaitKey
from services.trigger.engine.filters import Past
from services.trigger.engine.membership import membership_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.retiming import retime, spread_places, spread_start
from services.trigger.engine.state import Process, Wait
from services.trigger.engine.waits import due_of, ready_of, stop_waits


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision with its place: which moment, which process, decided when (µs)."""

    moment: str
    process: ProcessId
    decision: Decision
    decided_at: int


@dataclass(slots=True)
class MomentBook:
    """The rules for the moments of an installation."""

    templates: dict[str, Template]
    moments: dict[str, Moment]
    expiry: int
    attribution: int = 7 * DAY
    _cache: dict[tuple[str, str], Rules] = field(default_factory=dict)
    _concerned: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def rules(self, configuration: str, kind: str) -> Rules:
        """What holds for that kind of process."""
        found = self._cache.get((configuration, kind))
        if found is None:
            found = self._cache[configuration, kind] = self._make(configuration, kind)
        return found

    def concerned(self, configuration: str, kind: str) -> tuple[str, ...]:
        """The ids of the running moments of a configuration whose template heeds a kind of signal."""
        found = self._concerned.get((configuration, kind))
        if found is None:
            found = self._concerned[configuration, kind] = tuple(
                moment.id
                for moment in self.moments.values()
                if moment.running and moment.configuration == configuration and kind in moment.template.effects
            )
        return found

    def put(self, moment: Moment) -> None:
        """A moment's new state."""
        self.moments[moment.id] = moment
        self._cache.clear()
        self._concerned.clear()

    def _make(self, configuration: str, kind: str) -> Rules:
        templates = tuple(template for template in self.templates.values() if template.process == kind)
        known = [m for m in self.moments.values() if m.configuration == configuration and m.template.process == kind]
        return Rules(
            templates,
            {t.type: tuple(m for m in known if m.running and m.template.type == t.type) for t in templates},
            self.expiry,
            {m.id: frozenset(m.template.completes) for m in known if m.template.completes},
            self.attribution,
        )


class Replay:
    """Signals in, outcomes out, in virtual time. Signals must come by their receivedAt."""

    def __init__(self, book: MomentBook):
        self.book = book
        self.effects = Effects()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.contradictions: list[Contradiction] = []
        self.recoveries: list[Recovery] = []
        self.duplicates = 0
        self._now = 0
        self._contradicted: set[tuple[str, tuple[str, str, str], str, str]] = set()
        self._signals: list[Signal] = []
        self._seen: set[tuple[ProfileId, str, str]] = set()
        self._processes: dict[ProcessKey, tuple[ProcessId, Process]] = {}
        self._keys: dict[ProfileId, dict[str, list[ProcessKey]]] = {}
        self._levels: dict[ProfileId, dict[str, list[Entry]]] = {}
        self._names: dict[ProcessId, ProcessKey] = {}
        self._index: dict[WaitKey, int] = {}
        self._heap: list[tuple[int, WaitKey]] = []
        self._last_raise: dict[tuple[str, ProfileId], int] = {}
        self._orders: dict[tuple[str, ProfileId], set[str]] = {}

    def receive(self, signal: Signal) -> bool:
        """Apply a signal; False for a repeated one."""
        self._now = max(self._now, signal.joined_at)
        profile = profile_of(signal)
        name = (profile, signal.source, signal.id)
        if name in self._seen:
            self.duplicates += 1
            return False
        self._seen.add(name)
        self._signals.append(signal)
        entry = Entry(len(self._signals) - 1, signal)
        membership = membership_of(signal)
        apply_signal(self, entry, profile, membership, self.book, self.effects)
        for kind in membership.every:
            self._levels.setdefault(profile, {}).setdefault(kind, []).append(entry)
        self._take_effects()
        return True

    def advance(self, now: int, *, inclusive: bool = False) -> Iterator[Outcome]:
        """Decide, in order of readiness, every wait that is ready before `now` (or at it, when inclusive)."""
        while self._heap:
            # What became ready by a signal is decided after all signals of that instant.
            at = max(self._heap[0][0], self._now)
            if at > now or (at == now and not inclusive):
                return
            self._now = at
            ready = {key for due, key in self._pop_until(at) if self._index.get(key) == due}
            decided = [self._decide(key, at) for key in sorted(ready, key=self._order)]
            yield from (outcome for outcome in decided if outcome is not None)

    def _pop_until(self, at: int) -> Iterator[tuple[int, WaitKey]]:
        while self._heap and self._heap[0][0] <= at:
            yield heapq.heappop(self._heap)

    def _order(self, key: WaitKey) -> tuple[int, str, str]:
        """Of what is decided together the smaller (due, process) comes first (DOMAIN §4)."""
        identity, wait = self._processes[key[0]][0], self._wait(key)
        return due_of(self.book.moments[key[1]], wait), identity.kind, identity.process

    def _wait(self, key: WaitKey) -> Wait:
        process_key, moment_id, number = key
        wait = self._processes[process_key][1].wait(moment_id, number)
        assert wait is not None
        return wait

    def run_out(self) -> Iterator[Outcome]:
        """Decide every pending wait at its own time."""
        while self._heap:
            yield from self.advance(max(self._heap[0][0], self._now), inclusive=True)

    def stop(self, moment: Moment) -> None:
        """The moment was stopped: its pending waits are suppressed at once."""
        self.book.put(moment)
        for key, (_, process) in self._processes.items():
            track = process.tracks.get(moment.id)
            if track is not None:
                stop_waits(track, key, moment, self.effects)
        self._take_effects()

    def edit(self, moment: Moment) -> None:
        """The moment's settings were changed at the start of its newest version: pending waits are timed anew.

        What is due at once thereby is spread over a minute, in the order of the dues before (DOMAIN §5).
        """
        settled, edited = self.book.moments[moment.id].versions[-1].number, moment.versions[-1].since
        self._now = max(self._now, edited)
        self.book.put(moment)
        lot = []
        for key in [key for key in self._index if key[1] == moment.id]:
            edit = retime(moment, self._wait(key), settled)
            if edit.at_once and not self._wait(key).override:
                lot.append((edit.before, self._order(key)[1:], key))
            else:
                self._rearm(moment, key)
        dues = spread_places(spread_start(moment, edited), 0, len(lot))
        for (_, _, key), due in zip(sorted(lot), dues, strict=True):
            self._wait(key).override = due
            self._rearm(moment, key)

    def _rearm(self, moment: Moment, key: WaitKey) -> None:
        wait = self._wait(key)
        wait.armed = ready_of(moment, wait)
        self._arm(key, wait.armed)

    @property
    def pending(self) -> int:
        """Waits that are not decided."""
        return len(self._index)

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:
        """The process, made when it is new."""
        identity = ProcessId(*profile, kind, process_id)
        key = self._names.get(identity)
        if key is None:
            key = self._names[identity] = len(self._names).to_bytes(8, "big")
            self._processes[key] = (identity, Process())
            self._keys.setdefault(profile, {}).setdefault(kind, []).append(key)
        return key, self._processes[key][1]

    def siblings(self, profile: ProfileId, kind: str) -> Iterable[tuple[ProcessKey, Process]]:
        """Every process of that kind of the profile."""
        return [(key, self._processes[key][1]) for key in self._keys.get(profile, {}).get(kind, ())]

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:
        """The profile's signals that belong to every process of that kind, in order."""
        return sorted(self._levels.get(profile, {}).get(kind, ()), key=lambda entry: entry.signal.key)

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""
        return [Entry(sequence, self._signals[sequence]) for _, sequence in process.entries]

    def touch(self, key: ProcessKey) -> None:
        """Nothing to do: the process is changed in place."""

    def _decide(self, key: WaitKey, now: int) -> Outcome | None:
        process_key, moment_id, _ = key
        identity, process = self._processes[process_key]
        moment = self.book.moments[moment_id]
        track = process.tracks[moment_id]
        wait = self._wait(key)
        profile = ProfileId(identity.configuration, identity.id_type, identity.profile)
        decision = decide(
            process,
            identity,
            moment,
            wait,
            self.history(process),
            now=now,
            past=Past(
                last_due=self._last_raise.get((moment_id, profile)), orders=self._orders.get((moment_id, profile), ())
            ),
        )
        if isinstance(decision, NotReady):
            wait.armed = decision.at
            self._arm(key, decision.at)
            return None
        record(track, wait, decision)
        del self._index[key]
        if decision.raised:
            self._last_raise[moment_id, profile] = max(self._last_raise.get((moment_id, profile), 0), decision.due)
            if decision.orders:
                self._orders.setdefault((moment_id, profile), set()).update(decision.orders)
        self.counts[moment_id, "raised" if decision.raised else f"suppressed:{decision.reason}"] += 1
        return Outcome(moment_id, identity, decision, now)

    def _arm(self, key: WaitKey, due: int) -> None:
        self._index[key] = due
        heapq.heappush(self._heap, (due, key))

    def _take_effects(self) -> None:
        for key in self.effects.disarmed:
            self._index.pop(key, None)
        for key, due in self.effects.armed.items():
            self._arm(key, due)
        self.counts.update(self.effects.counts)
        for found in self.effects.contradictions:
            name = (found.moment, found.profile, found.source, found.signal)
            if name not in self._contradicted:
                self._contradicted.add(name)
                self.contradictions.append(found)
                self.counts[found.moment, "contradicted"] += 1
        for recovery in self.effects.recoveries:
            self.recoveries.append(recovery)
            self.counts[recovery.moment, "recovered"] += 1
        self.effects = Effects()
