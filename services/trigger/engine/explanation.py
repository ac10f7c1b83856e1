"""The whole explanation of a moment and a profile, from what is known of both (DOMAIN §6.12). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from contracts.moments import MomentState
from contracts.wire import SignalRefused
from services.trigger.engine.account import (
    Account,
    Answer,
    Change,
    Counts,
    Entry,
    ProcessName,
    Run,
    SettingsLine,
    SignalName,
    WaitLine,
)
from services.trigger.engine.reasons import SIGNAL_TEXTS, VERDICTS, SignalCode, Verdict
from services.trigger.engine.retelling import Case, Retelling
from services.trigger.engine.state import Process
from services.trigger.engine.wording import due_line, instant, words_of_rule

_WAIT_STATES = {"ended": "ended", "raised": "raised", "suppressed": "suppressed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beside the case.

    `state`: of the moment, the newest. `runs`: (start, stop or None), µs. `present`: process id → process as it
    stands. `refusals`: of the profile, by time. `missing`: what is left out, in words.
    """

    state: MomentState
    runs: Sequence[tuple[int, int | None]]
    present: Mapping[str, Process] = field(default_factory=dict)
    refusals: Sequence[SignalRefused] = ()
    missing: str | None = None


def explain(case: Case, known: Known, *, process: str | None = None) -> Account:
    """The account of a case. `process`: only what concerns the process of that id, and what concerns all."""
    retelling = Retelling(case)
    retelling.tell()
    retelling.compare(known.present)
    lines = _numbered(_with_refusals(retelling.lines, known.refusals))
    told = _signals(lines)
    if process is not None:
        lines = [_only(line, process) for line in lines if line.process is None or line.process.id == process]
    waits = _waits(lines, retelling)
    counts = _counts(lines, waits, retelling.other + told - _signals(lines), known)
    profile = case.profile
    return Account(
        moment=_moment(known.state),
        profile={"idType": profile.id_type, "id": profile.profile},
        answer=_answer(lines, counts, known, process),
        rule=words_of_rule(case.template, known.state.settings),
        consistent=not retelling.differences,
        differences=tuple(retelling.differences),
        complete=case.complete and known.missing is None,
        missing=known.missing,
        runs=tuple(Run(since=instant(since), until=None if end is None else instant(end)) for since, end in known.runs),
        settings=tuple(
            SettingsLine(version=each.version, since=instant(each.since), settings=each.settings)
            for each in known.state.history
        ),
        counts=counts,
        waits=tuple(waits),
        entries=tuple(lines),
    )


def _moment(state: MomentState) -> dict[str, str]:
    return {"id": state.id, "name": state.name, "type": state.type, "status": state.status}


def _with_refusals(lines: Sequence[Entry], refusals: Iterable[SignalRefused]) -> Iterator[Entry]:
    """Refusals before what was received or decided after them."""
    waiting = [_refusal(refused) for refused in refusals]
    for line in lines:
        while waiting and waiting[0].at < line.at:
            yield waiting.pop(0)
        yield line
    yield from waiting


def _numbered(lines: Iterable[Entry]) -> list[Entry]:
    return [msgspec.structs.replace(line, place=place) for place, line in enumerate(lines)]


def _only(line: Entry, process: str) -> Entry:
    changes = tuple(change for change in line.changes if change.process.id == process)
    return msgspec.structs.replace(line, changes=changes)


def _refusal(refused: SignalRefused) -> Entry:
    faults = "; ".join(f"{pointer or '/'}: {reason}" for pointer, reason in refused.faults)
    return Entry(
        place=0,
        at=instant(refused.at),
        event="refusal",
        code=refused.code,
        text=f"Ingestion refused it: {refused.reason}" + (f" ({faults})" if faults else "."),
        signal=SignalName(
            source=refused.source,
            id=refused.signal,
            kind=refused.kind,
            time=None if refused.time is None else instant(refused.time),
            received_at=instant(refused.at),
            site=refused.site or None,
        ),
        numbers={"status": refused.status},
    )


def _waits(lines: Iterable[Entry], retelling: Retelling) -> list[WaitLine]:
    """Every wait with what became of it, from the changes that were told."""
    found: dict[tuple[ProcessName, int], WaitLine] = {}
    for line in lines:
        for change in line.changes:
            key = (change.process, change.wait)
            if change.effect in _WAIT_STATES or key not in found:
                known = found.get(key)
                if known is not None or change.effect not in ("contradicted", "recovered"):
                    found[key] = _wait_line(change)
    for name, wait in retelling.waits():
        stands = found.get((name, wait.number))
        if stands is not None and stands.state == "pending" and retelling.moment is not None:
            found[name, wait.number] = msgspec.structs.replace(
                stands,
                opened_at=instant(wait.opened[0]),
                last_activity_at=instant(wait.last[0]),
                due=due_line(retelling.moment, wait),
            )
    return list(found.values())


def _wait_line(change: Change) -> WaitLine:
    return WaitLine(
        process=change.process,
        wait=change.wait,
        state=_WAIT_STATES.get(change.effect, "pending"),  # type: ignore[arg-type]
        reason=change.reason,
        opened_at=change.opened_at,
        last_activity_at=change.last_activity_at,
        due=change.due,
        raise_id=change.raise_id,
    )


def _signals(lines: Sequence[Entry]) -> int:
    return len({(line.signal.source, line.signal.id) for line in lines if line.signal and line.event == "signal"})


def _counts(lines: Sequence[Entry], waits: Sequence[WaitLine], other: int, known: Known) -> Counts:
    ended = Counter(wait.reason for wait in waits if wait.state == "ended")
    suppressed = Counter(wait.reason for wait in waits if wait.state == "suppressed")
    return Counts(
        signals=_signals(lines),
        other=other,
        refused=len(known.refusals),
        opened=len(waits),
        raised=sum(wait.state == "raised" for wait in waits),
        ended={reason or "": count for reason, count in sorted(ended.items(), key=str)},
        suppressed={reason or "": count for reason, count in sorted(suppressed.items(), key=str)},
        pending=sum(wait.state == "pending" for wait in waits),
    )


def _answer(lines: Sequence[Entry], counts: Counts, known: Known, process: str | None) -> Answer:
    verdict = _verdict(counts, known)
    text = VERDICTS[verdict]
    last = next((c for line in reversed(lines) for c in reversed(line.changes) if c.effect == verdict), None)
    if verdict in (Verdict.RAISED, Verdict.SUPPRESSED, Verdict.ENDED) and last is not None:
        text = f"{text} {last.text}"
    if verdict is Verdict.NEVER_OPENED:
        codes = Counter(line.code for line in lines if line.event == "signal")
        text += "".join(f" {SIGNAL_TEXTS[SignalCode(code)]} ({count}×)" for code, count in codes.most_common())
    if verdict is Verdict.NO_SUCH_SIGNALS and process is not None:
        text = f"The profile is known, but no signal of it concerns the process {process} of this moment."
    if verdict is Verdict.REFUSED:
        text += f" {next(line.text for line in reversed(lines) if line.event == 'refusal')}"
    return Answer(code=verdict, text=text)


def _verdict(counts: Counts, known: Known) -> Verdict:
    cases = (
        (counts.raised, Verdict.RAISED),
        (counts.pending, Verdict.PENDING),
        (counts.suppressed, Verdict.SUPPRESSED),
        (counts.ended, Verdict.ENDED),
        (not known.runs, Verdict.NEVER_RAN),
        (counts.signals, Verdict.NEVER_OPENED),
        (counts.other, Verdict.NO_SUCH_SIGNALS),
        (counts.refused, Verdict.REFUSED),
    )
    return next((verdict for holds, verdict in cases if holds), Verdict.UNKNOWN_PROFILE)
