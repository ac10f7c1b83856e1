"""From an explanation alone the outcome can be derived, and it leaves nothing out (DOMAIN §6.12)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, note

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Signal
from contracts.templates import Template, templates
from contracts.times import to_rfc3339
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry
from services.trigger.engine.explanation import Known, explain
from services.trigger.engine.membership import membership_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.reasons import SignalCode
from services.trigger.engine.retelling import Case as ToldCase
from services.trigger.engine.state import Process
from services.trigger.engine.turns import InForce, Recorded
from services.trigger.engine.waits import due_of
from services.trigger.replay import MomentBook, Outcome, Replay
from tests.oracle.budget import drawn
from tests.oracle.cases import CASES, Case
from tests.oracle.strategies import History, any_history
from tests.property.translation import moment_of, signal_of
from tests.support.explanations import DID_NOT_OPEN, derive_from


class Told:
    """A replay of a history that remembers what the store would: signals, decisions and states with their places."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.template: Template = templates()[history.moment.type]
        self.replay = Replay(MomentBook({self.template.type: self.template}, {}, history.expiry))
        self.entries: dict[ProfileId, list[Entry]] = defaultdict(list)
        self.decided: dict[ProfileId, list[Recorded]] = defaultdict(list)
        self.states: list[InForce] = []
        self.outcomes: list[Outcome] = []
        self.place = -1
        for at, turn in self._steps():
            self._note(self.replay.advance(at))
            if isinstance(turn, Signal):
                if self.replay.receive(turn):
                    self.place += 1
                    self.entries[profile_of(turn)].append(Entry(self.place, turn))
            else:
                self._change(at, turn)
        self._note(self.replay.run_out())

    def _steps(self) -> list[tuple[int, Signal | Moment]]:
        moment = self.history.moment
        steps: list[tuple[int, int, Signal | Moment]] = []
        for since, _ in moment.versions:
            run = moment.running_since(since)
            if run is not None:
                steps.append((since, 0, moment_of(moment, run, running=True, at=since)))
        for since, until in moment.runs:
            steps.append((since, 0, moment_of(moment, since, running=True, at=since)))
            if until is not None:
                steps.append((until, 0, moment_of(moment, since, running=False, at=until)))
        steps += [(arrival.came_at, 1, signal_of(arrival)) for arrival in self.history.arrivals]
        return [(at, thing) for at, _, thing in sorted(steps, key=lambda step: step[:2])]

    def _note(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            decision = outcome.decision
            self.outcomes.append(outcome)
            self._record(
                outcome.process[:3],
                Recorded(
                    after=self.place,
                    at=outcome.decided_at,
                    process=outcome.process.process,
                    raise_id=decision.raise_id,
                    raised=decision.raised,
                    reason=decision.reason,
                    due=decision.due,
                    version=self.replay.book.moments[outcome.moment].versions[-1].number,
                ),
            )

    def _record(self, profile: tuple[str, str, str], recorded: Recorded) -> None:
        self.decided[ProfileId(*profile)].append(recorded)

    def _change(self, at: int, moment: Moment) -> None:
        self.states.append(InForce(after=self.place, at=at, moment=moment, version=len(self.states)))
        if moment.running:
            self.replay.book.put(moment)
            return
        for identity, process in self.processes():
            for wait in process.tracks[moment.id].waits if moment.id in process.tracks else ():
                stopped = Recorded(
                    after=self.place,
                    at=at,
                    process=identity.process,
                    raise_id="",
                    raised=False,
                    reason="stopped",
                    due=due_of(moment, wait),
                    number=wait.number,
                    last=wait.last[0],
                    version=moment.versions[-1].number,
                )
                self._record(identity[:3], stopped)
        self.replay.stop(moment)

    def processes(self) -> list[tuple[Any, Process]]:
        """Every process of the replay with its name."""
        return list(self.replay._processes.values())

    def explained(self, profile: ProfileId) -> dict[str, Any]:
        """The explanation as it leaves the house: JSON."""
        moment = self.history.moment
        state = MomentState(
            id=moment.id,
            version=1,
            type=moment.type,
            name="Moment",
            status="running",
            history=(SettingsVersion(version=1, since=0, settings={}),),
        )
        case = ToldCase(
            profile=profile,
            template=self.template,
            entries=self.entries[profile],
            turns=[*self.states, *self.decided[profile]],
            complete=True,
            expiry=self.history.expiry,
        )
        present = {identity.process: process for identity, process in self.processes() if identity[:3] == profile
                   and identity.kind == self.template.process}  # fmt: skip
        known = Known(state=state, runs=moment.runs, present=present)
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(explain(case, known)))
        return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_the_outcome_of_a_case_can_be_derived(case: Case) -> None:
    arrivals = tuple(sorted(case.arrivals, key=lambda arrival: arrival.came_at))

    check_derived(Told(History(arrivals=arrivals, moment=case.moment, expiry=case.expiry)))


@drawn(60)
@given(history=any_history(edits=True))
def test_the_outcome_can_be_derived_from_the_explanation_alone(history: History) -> None:
    note(repr(history))

    check_derived(Told(history))


def check_derived(told: Told) -> None:
    """What every document says, read by a stranger, is what the engine did."""
    documents = [told.explained(profile) for profile in told.entries]

    found = [derive_from(document) for document in documents]
    assert [document["differences"] for document in documents] == [[]] * len(documents)
    assert sorted(each for one in found for each in one.raised) == sorted(
        (o.decision.raise_id, to_rfc3339(o.decision.due)) for o in told.outcomes if o.decision.raised
    )
    counts: Counter[str] = Counter()
    for one in found:
        counts["opened"] += one.opened
        counts["raised"] += len(one.raised)
        counts.update({f"ended:{reason}": n for reason, n in one.ended.items()})
        counts.update(f"suppressed:{reason}" for reason, _ in one.suppressed)
    recorded = {
        counter: n
        for (_, counter), n in told.replay.counts.items()
        if n and counter.partition(":")[0] in ("opened", "raised", "ended", "suppressed")
    }
    assert dict(+counts) == recorded
    assert sum(len(one.pending) for one in found) == told.replay.pending == 0
    assert sum(len(one.contradicted) for one in found) == told.replay.counts[told.history.moment.id, "contradicted"]
    assert sorted(each for one in found for each in one.recovered) == sorted(r.raise_id for r in told.replay.recoveries)
    for document in documents:
        check_counts(document)


def check_counts(document: dict[str, Any]) -> None:
    """The sums and the list of waits say what the entries say."""
    found, counts = derive_from(document), document["counts"]
    assert (counts["opened"], counts["raised"]) == (found.opened, len(found.raised))
    assert counts["ended"] == dict(found.ended)
    assert counts["suppressed"] == dict(Counter(reason for reason, _ in found.suppressed))
    pending = {
        (w["process"]["kind"], w["process"]["id"], w["wait"]) for w in document["waits"] if w["state"] == "pending"
    }
    assert pending == found.pending


@drawn(60)
@given(history=any_history(edits=True))
def test_every_signal_appears_once_for_each_process_and_has_a_reason(history: History) -> None:
    told = Told(history)
    note(repr(history))

    for profile, entries in told.entries.items():
        document = told.explained(profile)

        shown = Counter(
            (e["signal"]["source"], e["signal"]["id"], e["process"] and e["process"]["id"])
            for e in document["entries"]
            if e["event"] == "signal"
        )
        assert set(shown.values()) <= {1}
        concerned = {
            (entry.signal.source, entry.signal.id) for entry in entries if told.template.process in _kinds(entry.signal)
        }
        assert {(source, name) for source, name, _ in shown} == concerned
        held = Counter(
            (source, name, identity.process)
            for identity, process in told.processes()
            if identity[:3] == profile and identity.kind == told.template.process
            for source, name in _names(told, process)
        )
        assert {key: n for key, n in shown.items() if key[2] is not None} == held
        _check_reasons(document, told.template)


def _kinds(signal: Signal) -> set[str]:
    membership = membership_of(signal)
    return {kind for kind, _ in membership.own} | set(membership.every)


def _names(told: Told, process: Process) -> list[tuple[str, str]]:
    signals = [told.replay._signals[sequence] for _, sequence in process.entries]
    return [(signal.source, signal.id) for signal in signals]


def _check_reasons(document: dict[str, Any], template: Template) -> None:
    """Every signal that could have opened and did not says why, in words."""
    for entry in document["entries"]:
        if entry["event"] != "signal":
            continue
        code = entry["code"]
        event(code)
        assert entry["text"]
        opened = [change for change in entry["changes"] if change["effect"] == "opened"]
        if code in DID_NOT_OPEN | {"no_effect", "nothing_to_end", "no_process"}:
            assert not [each for each in opened if each["openedAt"] == entry["signal"]["time"]] or len(opened) == 0
        if entry["signal"]["kind"] in template.opens and entry["process"] is not None:
            assert code in DID_NOT_OPEN | {"opened", "slid", "joined", "ended", "nothing_to_end"}


def test_the_list_of_reasons_is_closed() -> None:
    assert {code.value for code in SignalCode} >= DID_NOT_OPEN
