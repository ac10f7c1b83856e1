"""The entries of an account, made of what was found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.signals import Signal
from contracts.times import format_duration
from services.trigger.engine.account import Change, Due, Entry, ProcessName, SignalName
from services.trigger.engine.moment import Moment
from services.trigger.engine.reasons import SIGNAL_TEXTS, SignalCode
from services.trigger.engine.state import Track, Wait
from services.trigger.engine.turns import InForce, Recorded
from services.trigger.engine.walk import STOPPED
from services.trigger.engine.wording import due_line, instant, text_of_decision, words_of_measures, words_of_stitch


def signal_line(
    signal: Signal,
    process: ProcessName | None,
    code: SignalCode,
    changes: Sequence[Change],
    moment: Moment | None,
    numbers: Mapping[str, Any],
) -> Entry:
    """What a signal was to the waits of a process."""
    words = (SIGNAL_TEXTS[code], words_of_measures(code, numbers), words_of_stitch(signal))
    return Entry(
        place=0,
        at=instant(signal.joined_at),
        event="signal",
        code=code,
        text=" ".join(text for text in words if text),
        process=process,
        signal=SignalName(
            source=signal.source,
            id=signal.id,
            kind=signal.kind.name,
            time=instant(signal.time),
            received_at=instant(signal.received_at),
            site=signal.site,
            stitched_at=instant(signal.stitched_at) if signal.stitched_at else None,
        ),
        settings_version=moment.version_at(signal.received_at).number if moment is not None else None,
        changes=tuple(changes),
        numbers=dict(numbers),
    )


def numbers_of_code(
    code: SignalCode, signal: Signal, moment: Moment | None, track: Track | None, expiry: int
) -> dict[str, Any]:
    """What a reason is measured by."""
    if code is SignalCode.EXPIRED:
        return {"lateBy": format_duration(signal.received_at - signal.time), "expiry": format_duration(expiry)}
    if moment is None:
        return {}
    if code is SignalCode.NOT_RUNNING:
        return {"runningSince": instant(moment.run)} if moment.running else {}
    if code is SignalCode.OTHER_SITE:
        return {"site": signal.site, "sites": list(moment.version_at(signal.received_at).sites)}
    if code is SignalCode.OTHER_KIND:
        return {"kinds": sorted(moment.version_at(signal.received_at).kinds or ())}
    if code is SignalCode.VISIT_CLOSED:
        return {"visitEndsAfter": format_duration(moment.template.revisit)}
    if code in (SignalCode.BEFORE_DECIDED, SignalCode.DECIDED) and track is not None:
        return {"decidedUntil": instant(track.frozen_until)}
    return {}


def settings_line(before: Moment | None, turn: InForce, changes: Sequence[Change]) -> Entry:
    """What a new state of the moment did."""
    moment = turn.moment
    return Entry(
        place=0,
        at=instant(turn.at),
        event="settings",
        code="",
        text=_text_of_state(before, moment),
        settings_version=moment.versions[-1].number,
        changes=tuple(changes),
    )


def _text_of_state(before: Moment | None, moment: Moment) -> str:
    if not moment.running and (before is None or not before.running):
        return "The moment is not running; no signal opens a wait."
    if not moment.running:
        return "The moment is not running any more; its pending waits are suppressed."
    if before is None or not before.running or before.run != moment.run:
        return (
            f"The moment runs: signals received from {instant(moment.run)} on open waits." if moment.run else "It runs."
        )
    return f"Version {moment.versions[-1].number} of the settings came into force."


def decision_line(
    turn: Recorded,
    process: ProcessName,
    wait: Wait | None,
    due: Due | None,
    number: int | None,
    measured: dict[str, Any],
) -> Entry:
    """What was decided of a wait. `number`: of the raise. `wait`: None when its signals are no longer kept."""
    name = wait.number if wait is not None else turn.number if turn.number is not None else -1
    text = text_of_decision(name, raised=turn.raised, reason=turn.reason, due=instant(turn.due), numbers=measured)
    change = Change(
        effect="raised" if turn.raised else "suppressed",
        process=process,
        wait=name,
        text=text,
        reason=turn.reason or None,
        opened_at=_instant(wait.opened[0] if wait is not None else turn.opened),
        last_activity_at=_instant(wait.last[0] if wait is not None else turn.last),
        due=due,
        due_at=instant(turn.due),
        raise_id=turn.raise_id,
        raise_number=number,
        numbers=measured,
    )
    return Entry(
        place=0,
        at=instant(turn.at),
        event="decision",
        code=turn.reason,
        text=text,
        process=process,
        settings_version=turn.version,
        changes=(change,),
    )


def stopped_change(process: ProcessName, moment: Moment, wait: Wait) -> Change:
    """A wait was stopped without a record of its own."""
    due = due_line(moment, wait)
    return Change(
        effect="suppressed",
        process=process,
        wait=wait.number,
        text=text_of_decision(wait.number, raised=False, reason=STOPPED, due=due.at, numbers={}),
        reason=STOPPED,
        opened_at=instant(wait.opened[0]),
        last_activity_at=instant(wait.last[0]),
        due=due,
        due_at=due.at,
    )


def _instant(at: int | None) -> str | None:
    return None if at is None else instant(at)
