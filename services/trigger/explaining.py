"""Explanations over recorded signals in virtual time: what a back-test did with each profile, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contracts.moments import MomentState
from contracts.signals import Signal
from contracts.templates import Template
from contracts.times import DAY
from services.trigger.engine.account import Account
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry
from services.trigger.engine.explanation import Known, explain
from services.trigger.engine.moment import compile_moment
from services.trigger.engine.retelling import Case
from services.trigger.engine.turns import InForce, Recorded
from services.trigger.replay import MomentBook, Outcome, Replay

BEFORE_ALL = -1


@dataclass(slots=True)
class Course:
    """A replay of one moment whose course is remembered: signals and decisions by profile, with their places."""

    replay: Replay
    state: MomentState
    template: Template
    expiry: int = DAY
    entries: dict[ProfileId, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    decisions: dict[ProfileId, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    _places: int = 0

    @classmethod
    def of(cls, state: MomentState, template: Template, expiry: int = DAY) -> Course:
        """The course of a moment that has always been running as its state says."""
        book = MomentBook({template.type: template}, {}, expiry)
        book.put(compile_moment(state, template))
        return cls(Replay(book), state, template, expiry)

    def follow(self, signals: Iterable[Signal]) -> None:
        """Go through signals, which come by joinedAt, and run out what is still pending then."""
        for signal in signals:
            self.note(self.replay.advance(signal.joined_at))
            self.receive(signal)
        self.note(self.replay.run_out())

    def receive(self, signal: Signal) -> None:
        """Apply a signal; a repeated one leaves no trace."""
        if self.replay.receive(signal):
            self.entries[profile_of(signal)].append(Entry(self._places, signal))
            self._places += 1

    def note(self, outcomes: Iterator[Outcome]) -> None:
        """Remember decisions, made after the signals so far."""
        for outcome in outcomes:
            configuration, id_type, profile, _, process = outcome.process
            decision = outcome.decision
            self.decisions[ProfileId(configuration, id_type, profile)].append(
                Recorded(
                    after=self._places - 1,
                    at=outcome.decided_at,
                    process=process,
                    raise_id=decision.raise_id,
                    raised=decision.raised,
                    reason=decision.reason,
                    due=decision.due,
                    opened=decision.opened_at,
                    last=decision.last_activity_at,
                    version=self.state.history[-1].version,
                )
            )

    def explain(self, profile: ProfileId, *, process: str | None = None) -> Account:
        """Why the moment was raised for a profile, and why not."""
        begin = self.state.running_since or 0
        in_force = InForce(after=BEFORE_ALL, at=begin, moment=compile_moment(self.state, self.template))
        case = Case(
            profile=profile,
            template=self.template,
            entries=self.entries.get(profile, []),
            turns=[in_force, *self.decisions.get(profile, [])],
            complete=True,
            expiry=self.expiry,
        )
        return explain(case, Known(state=self.state, runs=[(begin, None)]), process=process)
