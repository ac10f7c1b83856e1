"""Telling again, thing by thing, what became of the waits of a moment on the processes of a profile (DOMAIN §6.12).

The stored signals are applied once more by the very engine, in the order in which they were applied, with the recorded
decisions at the places where they were made. What the engine would do otherwise is said; the record stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from contracts.templates import Template
from contracts.times import DAY
from services.trigger.engine.account import Change, ProcessName
from services.trigger.engine.account import Entry as Line
from services.trigger.engine.application import ProfileId, apply_signal
from services.trigger.engine.apply import Entry, Rules, derive, read_roles
from services.trigger.engine.decide import Decision, NotReady, ProcessId, decide, raise_id_of, record
from services.trigger.engine.effects import ProcessKey
from services.trigger.engine.filters import Past
from services.trigger.engine.gate import Role
from services.trigger.engine.lines import (
    decision_line,
    numbers_of_code,
    settings_line,
    signal_line,
    stopped_change,
)
from services.trigger.engine.measuring import LastRaise, measures
from services.trigger.engine.membership import Membership, membership_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.observing import (
    NOTHING,
    Observer,
    Seen,
    Standing,
    aftermath_of,
    changes_of,
    place_of,
    standing_of,
)
from services.trigger.engine.reasons import SignalCode
from services.trigger.engine.remembering import Memory, key_of
from services.trigger.engine.state import Process, Track, Wait
from services.trigger.engine.turns import InForce, Recorded, in_order
from services.trigger.engine.waits import due_of, stop_wait
from services.trigger.engine.walk import STOPPED
from services.trigger.engine.wording import due_line, instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known: the signals of a profile in the order in which they were applied, and what was done between.

    `complete`: no signal of the profile was forgotten or left out.
    """

    profile: ProfileId
    template: Template
    entries: Sequence[Entry]
    turns: Sequence[InForce | Recorded]
    complete: bool
    expiry: int
    attribution: int = 7 * DAY


class Retelling:
    """Tells a case from its beginning to its end; `lines` and `differences` are there after `tell`.

    `other`: how many signals of the profile concern no process of the template's kind.
    """

    def __init__(self, case: Case) -> None:
        self.lines: list[Line] = []
        self.differences: list[str] = []
        self.other = 0
        self.complete = case.complete
        self.moment: Moment | None = None
        self._case = case
        self._kind = case.template.process
        self._memory = Memory()
        self._observer = Observer(tell=self._applied)
        self._standing: dict[ProcessKey, Standing] = {}
        self._last_raise: LastRaise | None = None
        self._orders: set[str] = set()

    def tell(self) -> None:
        """Go through everything in the order in which it happened."""
        turns = deque(in_order(self._case.turns))
        for entry in self._case.entries:
            while turns and turns[0].after < entry.sequence:
                self._take(turns.popleft())
            self._apply(entry)
        for turn in turns:
            self._take(turn)

    def waits(self) -> Iterable[tuple[ProcessName, Wait]]:
        """What is pending at the end."""
        for identity, _, track in self._tracks():
            for wait in track.waits:
                yield name_of(identity), wait

    def compare(self, present: Mapping[str, Process]) -> None:
        """Hold the end of the account against the processes as they stand in the store, by process id."""
        if self.moment is None or not self.complete:
            return
        told = {identity.process: track for identity, _, track in self._tracks()}
        for process_id, process in present.items():
            track = process.tracks.get(self.moment.id)
            mine = told.get(process_id)
            if _pending(track) != _pending(mine):
                self._differ(f"process {process_id}: other waits are pending than the signals give")
            elif (track.count if track else 0) != (mine.count if mine else 0):
                self._differ(f"process {process_id}: another number of waits was opened than the signals give")

    def rules(self, configuration: str, kind: str) -> Rules:  # noqa: ARG002 - as a rule book is asked
        """What held when the signal was applied."""
        template, moment = self._case.template, self.moment
        running = (moment,) if moment is not None and moment.running else ()
        completing = {moment.id: frozenset(template.completes)} if moment is not None and template.completes else {}
        return Rules((template,), {template.type: running}, self._case.expiry, completing, self._case.attribution)

    def _tracks(self) -> Iterable[tuple[ProcessId, Process, Track]]:
        for identity, process in self._memory.processes.values():
            track = process.tracks.get(self.moment.id) if self.moment is not None else None
            if track is not None:
                yield identity, process, track

    def _differ(self, text: str) -> None:
        """Say what is not as it was recorded; where signals are missing, nothing can be held against the record."""
        if self.complete:
            self.differences.append(text)

    # Signals.

    def _apply(self, entry: Entry) -> None:
        membership = _of_kind(membership_of(entry.signal), self._kind)
        if not membership.own and not membership.every:
            self.other += 1
            return
        self._memory.take(entry)
        self._observer.after = entry.sequence - 1
        told = len(self.lines)
        apply_signal(self._memory, entry, self._case.profile, membership, self, self._observer)
        if membership.every:
            self._memory.note_level(self._kind, entry)
        if len(self.lines) == told:
            self._say(signal_line(entry.signal, None, SignalCode.NO_PROCESS, (), self.moment, {}))

    def _applied(self, key: ProcessKey, process: Process, entry: Entry, seen: Seen) -> None:
        """The observer tells of one application: find out what it did."""
        identity = self._memory.processes[key][0]
        name, moment = name_of(identity), self.moment
        before = self._standing.get(key, NOTHING)
        track = process.tracks.get(moment.id) if moment is not None else None
        changes: list[Change] = []
        if track is not None and moment is not None:
            changes += changes_of(name, moment, track, before, seen)
            changes += aftermath_of(name, track, seen)
        code = self._code(process, entry, seen, before, track)
        self._standing[key] = standing_of(process, moment)
        numbers = numbers_of_code(code, entry.signal, moment, track, self._case.expiry)
        self._say(signal_line(entry.signal, name, code, changes, moment, numbers))

    def _code(self, process: Process, entry: Entry, seen: Seen, before: Standing, track: Track | None) -> SignalCode:
        if process.ignored > before.ignored:
            return SignalCode.TOO_OLD
        role, reason = self._role(process, entry)
        if role is Role.CONTENT:
            return SignalCode(reason)
        if role is Role.END:
            ended = any(given == reason for _, given in seen.ended)
            return SignalCode.ENDED if ended else SignalCode.NOTHING_TO_END
        if seen.walk is None or track is None:
            return SignalCode.NOT_RUNNING
        refused = dict(seen.walk.refused).get(entry.signal.key)
        return refused if refused is not None else place_of(entry.signal.key, seen, before, track)

    def _role(self, process: Process, entry: Entry) -> tuple[Role, str]:
        """The part that the signal has in its process, as all its signals stand now."""
        snapshot = process.snapshot
        quantities = dict(snapshot.quantities) if snapshot else {}
        gates = dict(snapshot.gates) if snapshot else {}
        history = self._memory.history(process)
        rules = self.rules("", self._kind)
        steps = read_roles(quantities, gates, history, rules, snapshot.until[0] if snapshot else None)
        found = zip(history, steps[self._case.template.type], strict=True)
        return next((step[0], step[1]) for known, step in found if known.sequence == entry.sequence)

    def _say(self, line: Line) -> None:
        self.lines.append(msgspec.structs.replace(line, place=len(self.lines)))

    # What was done between the signals.

    def _take(self, turn: InForce | Recorded) -> None:
        if isinstance(turn, InForce):
            self._put_in_force(turn)
        else:
            self._decide(turn)

    def _put_in_force(self, turn: InForce) -> None:
        self._observer.after = turn.after
        before, self.moment = self.moment, turn.moment
        changes: list[Change] = []
        for key, (identity, process) in self._memory.processes.items():
            changes += self._settle(turn, key, identity, process)
        self._say(settings_line(before, turn, changes))

    def _settle(self, turn: InForce, key: ProcessKey, identity: ProcessId, process: Process) -> list[Change]:
        """What the worker does to one process when a state takes effect: stop, open what came since, new dues."""
        moment, name = turn.moment, name_of(identity)
        changes: list[Change] = []
        track = process.tracks.get(moment.id)
        if track is not None and (not moment.running or track.run != moment.run):
            for wait in list(track.waits):
                self._differ(f"wait {wait.number} of process {identity.process} was stopped, and no record says so")
                changes.append(stopped_change(name, moment, wait))
                stop_wait(track, key, moment, wait, self._observer)
            self._standing[key] = standing_of(process, moment)
        behind = track is None or track.run != moment.run
        if moment.running and behind and process.latest_received >= moment.run:
            derive(process, key, self._memory.history(process), self.rules("", self._kind), self._observer)
        track = process.tracks.get(moment.id)
        if track is None:
            return changes
        for wait in track.waits:
            wait.override = turn.given.get((identity.process, wait.number), wait.override)
        changes += changes_of(name, moment, track, self._standing.get(key, NOTHING), self._observer.take())
        self._standing[key] = standing_of(process, moment)
        return changes

    def _decide(self, turn: Recorded) -> None:
        key = key_of(self._kind, turn.process)
        identity, process = self._memory.processes.get(key, (None, None))
        wait = self._wait_of(turn, identity, process)
        if wait is None or identity is None or process is None or self.moment is None:
            self._say_lost(turn)
            return
        moment, track = self.moment, process.tracks[self.moment.id]
        if turn.due != due_of(moment, wait):
            if turn.reason != STOPPED:  # a stop that is learnt late records the due by the settings known then
                self._differ(f"wait {wait.number} was due at {instant(turn.due)}, not at {due_line(moment, wait).at}")
            wait.override = turn.due
        due, measured = due_line(moment, wait), {}
        if turn.reason == STOPPED:
            stop_wait(track, key, moment, wait, self._observer)
        else:
            history = self._memory.history(process)
            measured = measures(process, self._kind, moment, wait, history, self._last_raise)
            decision = self._judge(turn, identity, process, wait, history)
            record(track, wait, decision)
            self._remember(turn, decision)
        self._standing[key] = standing_of(process, moment)
        number = track.raises if turn.raised else None
        self._say(decision_line(turn, name_of(identity), wait, due, number, measured))

    def _judge(
        self, turn: Recorded, identity: ProcessId, process: Process, wait: Wait, history: Sequence[Entry]
    ) -> Decision:
        """The decision as it was recorded; says so when the engine would decide otherwise."""
        assert self.moment is not None
        last_due = self._last_raise.due if self._last_raise is not None else None
        past = Past(last_due=last_due, orders=self._orders)
        decision = decide(process, identity, self.moment, wait, history, now=turn.at, past=past)
        if isinstance(decision, NotReady):
            self._differ(f"wait {wait.number} was decided at {instant(turn.at)}, before {instant(decision.at)}")
            decision = decide(process, identity, self.moment, wait, history, now=decision.at, past=past)
        assert isinstance(decision, Decision)
        if (decision.raised, decision.reason) != (turn.raised, turn.reason):
            mine = decision.reason or "raised"
            self._differ(f"wait {wait.number} is recorded as {turn.reason or 'raised'}, the signals give {mine}")
        return replace(decision, raised=turn.raised, reason=turn.reason, due=turn.due, raise_id=turn.raise_id)

    def _remember(self, turn: Recorded, decision: Decision | None) -> None:
        if not turn.raised:
            return
        if self._last_raise is None or turn.due > self._last_raise.due:
            self._last_raise = LastRaise(turn.raise_id, turn.due)
        if decision is not None:
            self._orders |= decision.orders

    def _wait_of(self, turn: Recorded, identity: ProcessId | None, process: Process | None) -> Wait | None:
        track = process.tracks.get(self.moment.id) if process is not None and self.moment is not None else None
        if track is None or identity is None or self.moment is None:
            return None
        for wait in track.waits:
            if turn.number is not None and self.complete:
                found = wait.number == turn.number
            elif turn.reason == STOPPED:
                found = wait.last[0] == turn.last
            else:
                found = turn.raise_id == raise_id_of(self.moment.id, identity, wait.last[2], wait.last[3])
            if found:
                return wait
        return None

    def _say_lost(self, turn: Recorded) -> None:
        """A decision of which the signals are no longer kept; where all are, it should have been found."""
        self._remember(turn, None)
        self._differ(f"decision {turn.raise_id} is recorded, and the signals give no such wait")
        self._say(decision_line(turn, ProcessName(self._kind, turn.process), None, None, None, {}))


def name_of(identity: ProcessId) -> ProcessName:
    """The name of a process in an account."""
    return ProcessName(identity.kind, identity.process)


def _of_kind(membership: Membership, kind: str) -> Membership:
    """The part of a signal's membership that a kind of process has in it."""
    own = tuple(named for named in membership.own if named[0] == kind)
    return Membership(own, tuple(name for name in membership.every if name == kind), membership.level)


def _pending(track: Track | None) -> list[tuple[int, Any, Any]]:
    waits = track.waits if track is not None else []
    return sorted((wait.number, wait.opened, wait.last) for wait in waits)
