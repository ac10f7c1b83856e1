"""Running a back-test: the log is read once and sorted by profile on the disk, then replayed profile by profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contracts.templates import Template, templates
from contracts.times import to_rfc3339
from contracts.topology import partition_of
from services.trigger.backtesting.comparison import Comparison
from services.trigger.backtesting.progress import Progress
from services.trigger.backtesting.reading import LogReader, Places
from services.trigger.backtesting.recorded import RecordedRun, Turn, turns_of
from services.trigger.backtesting.request import Request, moment_in_question
from services.trigger.backtesting.shards import DECISION, RETIMED, SIGNAL, Record, Stream
from services.trigger.backtesting.tally import Tally
from services.trigger.backtesting.timeline import Timeline
from services.trigger.backtesting.virtual import VirtualRun, rules_of
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry, Rules
from services.trigger.engine.decide import Decision, ProcessId
from services.trigger.engine.membership import Membership
from services.trigger.engine.moment import Moment
from services.trigger.store import course
from services.trigger.store.course import Decided, Retimed, Settlement
from services.trigger.store.reading import moment_state
from services.trigger.store.rows import Rows
from shared.settings import Settings

Signals = Iterable[tuple[Entry, Membership]]
_LONGEST_SAMPLE = 2_000
"""A profile of more signals is no example."""
_REPORT_EVERY = 500
_retimed = msgspec.msgpack.Decoder(Retimed)
_decided = msgspec.msgpack.Decoder(Decided)


@dataclass(slots=True)
class _Column:
    """One run with what it adds up to."""

    run: VirtualRun | RecordedRun
    tally: Tally
    settings: dict[str, Any]
    moment: Moment | None = None


class Execution:
    """One request over the log of `rows`. `folder`: on whose disk files for sorting may lie."""

    def __init__(self, request: Request, rows: Rows, settings: Settings, folder: Path, progress: Progress):
        self._request = request
        self._rows = rows
        self._settings = settings
        self._progress = progress
        self._template: Template = templates()[request.type]
        self._turns: dict[int, list[Turn]] = {}
        self._reader = LogReader(rows, request, self._template.process, folder, progress)
        first = self._as_it_ran() if request.as_it_ran else self._virtual(request.settings)
        second = [] if request.compare_with is None else [self._virtual(request.compare_with)]
        self._columns = [first, *second]
        self._comparison = Comparison() if second else None

    def run(self) -> dict[str, Any]:
        """The result; raises NoRoom, and what the progress raises."""
        with self._reader.shards() as shards:
            self._reader.read_signals(shards)
            if self._request.as_it_ran:
                self._reader.read_course(shards)
            for group in shards.groups():
                self._replay(group)
        return self._document()

    def _virtual(self, settings: dict[str, Any]) -> _Column:
        tally = Tally()
        moment = moment_in_question(self._request, self._template, settings)
        run = VirtualRun(moment, self._rules(moment), tally.decide, tally.recover)
        return _Column(run, tally, settings, moment)

    def _rules(self, moment: Moment) -> Rules:
        return rules_of(self._template, moment, self._settings.expiry, self._settings.attribution)

    def _as_it_ran(self) -> _Column:
        request, settings, tally = self._request, self._settings, Tally()
        known = _with_present(self._rows, request.moment_id, settings.partitions)
        self._turns = turns_of(known, self._template, settings.expiry, settings.attribution)

        def decide(process: ProcessId, decision: Decision, now: int) -> None:
            if request.since <= now < request.until:
                tally.decide(process, decision, now)

        run = RecordedRun(self._template, request.moment_id, request.since, decide, tally.recover)
        return _Column(run, tally, request.settings)

    def _replay(self, group: list[Record] | Stream) -> None:
        """The records of one profile number: of one profile, but for a chance of 2⁻⁶⁴."""
        places: Signals = Places(group, self._template.process)
        number = sum(record.kind == SIGNAL for record in group)
        if self._request.as_it_ran or any(record.received_at >= self._request.since for record in group):
            if isinstance(group, list):
                places = list(places)
            profiles = _profiles_of(places)
            for profile in profiles:
                own = places if len(profiles) == 1 else _of_profile(places, profile)
                self._replay_profile(profile, own, group, number)
        self._progress.replayed += number
        self._progress.report()

    def _replay_profile(self, profile: ProfileId, signals: Signals, group: Iterable[Record], number: int) -> None:
        raises = []
        for column in self._columns:
            self._run(column.run, profile, signals, group)
            reason = column.tally.wanted_sample() if number <= _LONGEST_SAMPLE else None
            if reason is not None:
                timeline = self._timeline(column, profile, signals, group)
                column.tally.take_sample(reason, profile, timeline, self._request.moment_id)
            raises.append(column.tally.finish_profile())
        if self._comparison is not None:
            self._comparison.add(profile, *raises)

    def _run(
        self,
        run: VirtualRun | RecordedRun,
        profile: ProfileId,
        signals: Signals,
        group: Iterable[Record],
        timeline: Timeline | None = None,
    ) -> None:
        if isinstance(run, VirtualRun):
            run.begin(profile)
        else:
            partition = partition_of(*profile, self._settings.partitions)
            run.begin(profile, self._turns.get(partition, ()), *_course_of(group))
        receive = run.receive
        if timeline is None and isinstance(signals, list):
            for entry, membership in signals:
                receive(entry, membership)
        else:
            for count, (entry, membership) in enumerate(signals):
                receive(entry, membership)
                if timeline is not None:
                    timeline.received(entry.signal, _counters(run.effects.counts))
                if count % _REPORT_EVERY == 0:
                    self._progress.report()
        run.finish(self._request.until)

    def _timeline(
        self, column: _Column, profile: ProfileId, signals: Signals, group: Iterable[Record]
    ) -> list[dict[str, Any]]:
        """What happened to a profile, run once more."""
        timeline = Timeline()
        run: VirtualRun | RecordedRun
        if column.moment is not None:
            run = VirtualRun(column.moment, self._rules(column.moment), timeline.decided, _pass)
        else:
            run = RecordedRun(self._template, self._request.moment_id, 0, timeline.decided, _pass)
        self._run(run, profile, signals, group, timeline)
        return timeline.document()

    def _document(self) -> dict[str, Any]:
        request = self._request
        columns = [each.tally.document(each.settings, _counters(each.run.effects.counts)) for each in self._columns]
        first = self._columns[0].run
        return {
            "period": {"from": to_rfc3339(request.since), "to": to_rfc3339(request.until)},
            "signals": self._progress.replayed,
            "base": columns[0],
            "compared": columns[1] if len(columns) == 2 else None,
            "comparison": self._comparison.document() if self._comparison is not None else None,
            "agreement": first.agreement.document() if isinstance(first, RecordedRun) else None,
        }


def _pass(_: object) -> None:
    """Nobody listens."""


def _counters(counts: Counter[tuple[str, str]]) -> Counter[str]:
    return Counter({name: value for (_, name), value in counts.items()})


def _profiles_of(signals: Signals) -> list[ProfileId]:
    found: list[ProfileId] = []
    for entry, _ in signals:
        signal = entry.signal
        if not found or signal.profile != found[-1].profile or signal.id_type != found[-1].id_type:
            profile = profile_of(signal)
            if profile not in found:
                found.append(profile)
    return found


def _of_profile(signals: Signals, profile: ProfileId) -> list[tuple[Entry, Membership]]:
    return [(entry, membership) for entry, membership in signals if profile_of(entry.signal) == profile]


def _course_of(group: Iterable[Record]) -> tuple[list[Retimed], list[Decided]]:
    retimed, decided = [], []
    for record in group:
        if record.kind == RETIMED:
            retimed.append(_retimed.decode(record.body))
        elif record.kind == DECISION:
            decided.append(_decided.decode(record.body))
    return retimed, decided


def _with_present(rows: Rows, moment_id: str, partitions: int) -> Iterator[Settlement]:
    """The noted states of a moment; where none is noted (it settled before they were), the present one throughout."""
    noted = course.settlements(rows, moment_id)
    told: frozenset[int] = frozenset().union(*(each.partitions for each in noted))
    present = moment_state(rows, moment_id)
    if present is not None:
        everywhere = frozenset(range(partitions))
        yield Settlement(state=present, after=0, settled_at=0, partitions=everywhere - told)
    yield from noted
