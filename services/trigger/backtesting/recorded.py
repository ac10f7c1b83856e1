"""A moment as it ran: the engine over the log once more, with every state and decision in its recorded place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.templates import Template
from services.trigger.backtesting.shelf import ProfileShelf
from services.trigger.backtesting.virtual import OnDecision, OnRecovery, count_contradictions, rules_of
from services.trigger.engine.application import ProfileId, apply_signal
from services.trigger.engine.apply import Entry, Rules, derive
from services.trigger.engine.decide import (
    NotReady,
    ProcessId,
    decide,
    raise_id_of,
    record,
    stopped_id_of,
)
from services.trigger.engine.effects import Effects, Stopped
from services.trigger.engine.filters import Past
from services.trigger.engine.membership import Membership
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Process, Wait
from services.trigger.engine.waits import stop_wait
from services.trigger.engine.walk import STOPPED
from services.trigger.registry import Registry
from services.trigger.store.course import Decided, Retimed, Settlement
from services.trigger.store.keys import process_key, profile_key

_MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Turn:
    """A moment's state in the place where it took effect."""

    after: int
    version: int
    settings_version: int
    moment: Moment
    rules: Rules


def turns_of(
    settlements: Iterable[Settlement], template: Template, expiry: int, attribution: int
) -> dict[int, list[Turn]]:
    """Partition → the states that took effect there, in order."""
    found: dict[int, list[Turn]] = {}
    registries: dict[int, Registry] = {}
    for settlement in settlements:
        for partition in settlement.partitions:
            registry = registries.setdefault(partition, Registry(expiry, {template.type: template}))
            moment = registry.put_moment(settlement.state)
            if moment is not None:
                rules = rules_of(template, moment, expiry, attribution)
                number = moment.versions[-1].number
                turn = Turn(settlement.after, settlement.state.version, number, moment, rules)
                found.setdefault(partition, []).append(turn)
    return found


@dataclass(slots=True)
class Agreement:
    """Whether what the engine decides again is what was recorded."""

    recorded: int = 0
    equal: int = 0
    differing: int = 0
    named: list[dict[str, Any]] = field(default_factory=list)

    def differ(self, raise_id: str, recorded: str | None, replayed: str | None) -> None:
        """Note a decision that differs; None: there is none."""
        self.differing += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append({"id": raise_id, "recorded": recorded, "replayed": replayed})

    def document(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "recorded": self.recorded,
            "equal": self.equal,
            "differing": self.differing,
            "differences": self.named,
        }


class RecordedRun:
    """The profile in hand goes through the log; between its signals come the things that were recorded."""

    def __init__(
        self,
        template: Template,
        moment_id: str,
        since: int,
        on_decision: OnDecision,
        on_recovery: OnRecovery,
    ):
        self.effects = Effects()
        self.agreement = Agreement()
        self._since = since
        self._before = Effects()
        self._template = template
        self._moment_id = moment_id
        self._on_decision = on_decision
        self._on_recovery = on_recovery
        self._shelf = ProfileShelf()
        self._nothing = Rules((template,), {template.type: ()}, 0)
        self._current = self._nothing
        self._place = self._before
        self._profile = ProfileId("", "", "")
        self._moment: Moment | None = None
        self._events: list[tuple[tuple[int, ...], Turn | Retimed | Decided]] = []
        self._next = 0
        self._expected: dict[str, Decided] = {}
        self._last_raise: int | None = None
        self._orders: set[str] = set()

    def rules(self, configuration: str, kind: str) -> Rules:  # noqa: ARG002 - one moment, one kind
        """What holds where the log stands (`engine.application.RuleBook`)."""
        moment = self._moment
        if moment is None or moment.configuration != configuration:
            return self._nothing
        return self._current

    def begin(
        self, profile: ProfileId, turns: Sequence[Turn], retimed: Sequence[Retimed], decisions: Sequence[Decided]
    ) -> None:
        """Take up the next profile, with what was recorded of it and the states of its partition."""
        self._profile = profile
        owner = profile_key(profile)
        self._shelf.begin(lambda name: process_key(owner, self._template.process, name))
        self._moment, self._current, self._place = None, self._nothing, self._before
        self._last_raise = None
        self._orders.clear()
        self._expected = {decided.id: decided for decided in decisions}
        self.agreement.recorded += len(decisions)
        self._events = _in_order(turns, retimed, [d for d in decisions if d.reason != STOPPED])
        self._next = 0

    def receive(self, entry: Entry, membership: Membership) -> None:
        """Do what was recorded before the signal, and apply it."""
        self._go_to(entry.sequence - 1)
        shelf = self._shelf
        self._place = self.effects if entry.signal.joined_at >= self._since else self._before
        shelf.keep(entry)
        apply_signal(shelf, entry, self._profile, membership, self, self._place)
        if membership.every:
            shelf.note_level(entry)
        self._take_effects()

    def finish(self, until: int) -> None:  # noqa: ARG002 - what was recorded later was not read
        """No further signal comes."""
        self._go_to(2**63)
        for decided in self._expected.values():
            self.agreement.differ(decided.id, _text(decided.raised, decided.reason, decided.due_at), None)
        pending = sum(
            len(process.tracks[self._moment_id].waits)
            for _, process in self._shelf.processes.values()
            if self._moment_id in process.tracks
        )
        if pending:
            self.effects.count(self._moment_id, "pending", pending)

    def _go_to(self, place: int) -> None:
        while self._next < len(self._events) and self._events[self._next][0][0] <= place:
            event = self._events[self._next][1]
            self._next += 1
            if isinstance(event, Turn):
                self._turn(event)
            elif isinstance(event, Retimed):
                self._retime(event)
            else:
                self._decide(event)
            self._take_effects()

    def _turn(self, turn: Turn) -> None:
        """The effects of a state on the waits of the profile, as `changes.Changes` has them."""
        moment = self._moment = turn.moment
        self._current = turn.rules
        for key, (_, process) in self._shelf.processes.items():
            track = process.tracks.get(moment.id)
            if track is not None and (not moment.running or track.run != moment.run):
                for wait in list(track.waits):
                    stop_wait(track, key, moment, wait, self._place)
            behind = track is None or track.run != moment.run
            if moment.running and behind and process.latest_received >= moment.run:
                derive(process, key, self._shelf.history(process), self._current, self._place)

    def _retime(self, retimed: Retimed) -> None:
        found = self._find(retimed.process_key, retimed.number)
        if found is not None:
            wait = found[2]
            wait.override = wait.armed = retimed.due_at

    def _find(self, key: bytes, number: int) -> tuple[str, Process, Wait] | None:
        name, process = self._shelf.processes.get(key, ("", None))
        wait = process.wait(self._moment_id, number) if process is not None else None
        return (name, process, wait) if process is not None and wait is not None else None

    def _decide(self, recorded: Decided) -> None:
        found = self._find(recorded.process_key, recorded.number)
        if found is None or self._moment is None:
            return
        name, process, wait = found
        identity = ProcessId(*self._profile, self._template.process, name)
        decision = decide(
            process,
            identity,
            self._moment,
            wait,
            self._shelf.history(process),
            now=recorded.decided_at,
            past=Past(last_due=self._last_raise, orders=self._orders),
            brief=True,
        )
        if isinstance(decision, NotReady):
            return
        record(process.tracks[self._moment_id], wait, decision)
        if decision.raised:
            self._last_raise = max(self._last_raise or 0, decision.due)
            self._orders |= decision.orders
        self._compare(decision.raise_id, decision.raised, decision.reason, decision.due)
        self._on_decision(identity, decision, recorded.decided_at)

    def _compare(self, raise_id: str, raised: bool, reason: str, due: int) -> None:
        recorded, replayed = self._expected.pop(raise_id, None), _text(raised, reason, due)
        was = None if recorded is None else _text(recorded.raised, recorded.reason, recorded.due_at)
        if was == replayed:
            self.agreement.equal += 1
        else:
            self.agreement.differ(raise_id, was, replayed)

    def _take_effects(self) -> None:
        effects = self._place
        effects.armed.clear()
        effects.disarmed.clear()
        for stopped in effects.stopped:
            self._note_stopped(stopped)
        effects.stopped.clear()
        if effects.contradictions:
            count_contradictions(effects)
        for recovery in effects.recoveries:
            self._on_recovery(recovery)
        effects.recoveries.clear()

    def _note_stopped(self, stopped: Stopped) -> None:
        name = self._shelf.processes[stopped.key[0]][0]
        identity = ProcessId(*self._profile, self._template.process, name)
        raise_id = raise_id_of(self._moment_id, identity, stopped.last[2], stopped.last[3])
        self._compare(stopped_id_of(raise_id, stopped.run, stopped.key[2]), False, STOPPED, stopped.due)


def _text(raised: bool, reason: str, due: int) -> str:
    return f"{'raised' if raised else 'suppressed'} {reason} due {due}"


def _in_order(
    turns: Sequence[Turn], retimed: Sequence[Retimed], decisions: Sequence[Decided]
) -> list[tuple[tuple[int, ...], Turn | Retimed | Decided]]:
    """By place in the log; at one place by what they say of the state that was in force."""
    found: list[tuple[tuple[int, ...], Turn | Retimed | Decided]] = []
    found += [((turn.after, turn.version, 0), turn) for turn in turns]
    found += [((each.after, each.version, 1), each) for each in retimed]
    for decided in decisions:
        version = max((turn.version for turn in turns if _was_in_force(turn, decided)), default=0)
        order = (decided.after, version, 2, decided.decided_at, decided.due_at, not decided.raised)
        found.append((order, decided))
    return sorted(found, key=lambda pair: pair[0])


def _was_in_force(turn: Turn, decided: Decided) -> bool:
    """Whether the state had taken effect when the decision was made, as far as that made a difference to it."""
    if turn.after != decided.after:
        return turn.after < decided.after
    return turn.moment.running and turn.moment.run <= decided.run and turn.settings_version <= decided.version
