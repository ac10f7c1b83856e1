"""The words of an explanation: a sentence for everything that an account tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from contracts.signals import Signal
from contracts.templates import Template
from contracts.times import DAY, HOUR, MINUTE, SECOND, format_duration, parse_duration, to_rfc3339
from services.trigger.engine.account import Change, Due
from services.trigger.engine.moment import Moment
from services.trigger.engine.reasons import ENDS, SUPPRESSIONS, SignalCode
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import due_of, ready_of

_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
_MEASURED_BY = {
    "minimum_value": "minimumValue",
    "minimum_views": "minimumViews",
    "categories": "categories",
    "cool_down": "lastRaise",
    "repeat": "raisesBefore",
    "ended_before_raise": "endedBy",
    "stitched": "stitchedAt",
}
_COUNTED = {"last_activity": "the last activity", "opening": "the opening signal"}


def instant(at: int) -> str:
    """An instant as text."""
    return to_rfc3339(at)


def words_of_span(span: int) -> str:
    """`2 h`, `1 d 30 min`, `0.5 s`; of a negative one the size."""
    left = abs(span)
    if left < SECOND:
        return f"{left / SECOND:g} s"
    parts = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts)


def due_line(moment: Moment, wait: Wait) -> Due:
    """When the wait is due with the settings in force, and how that comes about."""
    timing, (opened, last) = moment.timing, (wait.opened[0], wait.last[0])
    plain = (opened if timing.instant else last) + timing.length
    cut = timing.maximum is not None and opened + timing.maximum < plain
    due = due_of(moment, wait)
    moved = not wait.override and due != (opened + (timing.maximum or 0) if cut else plain)
    return Due(
        at=instant(due),
        counted_from="edit" if wait.override else "opening" if timing.instant else "last_activity",
        length=format_duration(timing.length),
        maximum_wait=format_duration(timing.maximum or 0) if cut and not wait.override else None,
        quiet_until=instant(due) if moved else None,
        ready_at=instant(ready_of(moment, wait)),
    )


def words_of_due(due: Due) -> str:
    """`due at …, 10 min after the last activity`."""
    if due.counted_from == "edit":
        text = f"due at {due.at}: an edit made it due at once, spread over a minute"
    elif due.maximum_wait is not None:
        text = f"due at {due.at}: the maximum wait of {_span(due.maximum_wait)} after the first activity"
    else:
        text = f"due at {due.at}: {_span(due.length)} after {_COUNTED[due.counted_from]}"
    if due.quiet_until is not None:
        text += ", moved to the end of the quiet hours"
    if due.ready_at != due.at:
        text += f"; since signals came late it is decided at {due.ready_at}"
    return text


def _span(duration: str) -> str:
    return words_of_span(parse_duration(duration))


def text_of_change(change: Change) -> str:
    """One sentence about one wait."""
    name = f"Wait {change.wait}"
    due = f", {words_of_due(change.due)}" if change.due is not None else ""
    if change.effect == "opened":
        how = "opened"
        if change.split_from is not None:
            how = f"was split from wait {change.split_from}"
        elif change.revived:
            how = "opened where another had ended"
        return f"{name} {how} at {change.opened_at}{due}."
    if change.effect == "slid":
        return f"{name} now has its last activity at {change.last_activity_at}{due}."
    if change.effect == "retimed":
        return f"{name} is now {due.removeprefix(', ')}."
    if change.effect == "closed_after_due":
        return f"{name} had come due before; it will be suppressed, since the process has ended."
    if change.effect == "ended":
        return f"{name} ended: {words_of_end(change.reason or '')}" + (
            f" It is part of wait {change.merged_into} now." if change.merged_into is not None else ""
        )
    if change.effect == "contradicted":
        return f"It contradicts the raise {change.raise_id}: it happened before the due and came too late."
    if change.effect == "recovered":
        return f"It completes what was left: the raise {change.raise_id} has recovered."
    return ""


def words_of_end(reason: str) -> str:
    """Why a wait ended."""
    return ENDS.get(reason) or f"{reason} came at or before its due."


def text_of_decision(number: int, *, raised: bool, reason: str, due: str, numbers: Mapping[str, Any]) -> str:
    """The sentence about a decision, with the numbers that it was measured by."""
    if raised:
        return f"Wait {number} was raised: it was due at {due}, and nothing spoke against it."
    text = f"Wait {number} was suppressed: {SUPPRESSIONS.get(reason, reason)}"
    measured = words_of_numbers(reason, numbers)
    return f"{text} {measured}" if measured else text


def words_of_numbers(reason: str, numbers: Mapping[str, Any]) -> str:
    """What a reason was measured by; nothing where the settings did not ask for it, as far as is known."""
    if numbers.get(_MEASURED_BY.get(reason, "")) is None:
        return ""
    if reason == "minimum_value":
        least = numbers["minimumValue"]
        return f"Worth {numbers['value']} {least['currency']}, asked for {least['amount']} {least['currency']}."
    if reason == "minimum_views":
        return f"{numbers['views']} views since the last raise, asked for {numbers['minimumViews']}."
    if reason == "categories":
        found = ", ".join(numbers["categoriesFound"]) or "none"
        return f"Asked for {', '.join(numbers['categories'])}; found {found}."
    if reason == "cool_down":
        last = numbers["lastRaise"]
        left = _span(numbers["coolDownRemaining"])
        return f"Raise {last['id']} was due at {last['dueAt']}; {left} of the cool-down were left."
    if reason == "stitched":
        return f"That was told at {numbers['stitchedAt']}."
    if reason == "repeat":
        return f"Raises before: {numbers['raisesBefore']}."
    if reason == "ended_before_raise":
        by = numbers["endedBy"]
        return f"{by['kind']} happened at {by['time']}."
    return ""


def words_of_measures(code: SignalCode, numbers: Mapping[str, Any]) -> str:
    """What the reason of a signal was measured by."""
    if code is SignalCode.EXPIRED:
        return f"It was {_span(numbers['lateBy'])} late, the expiry is {_span(numbers['expiry'])}."
    if code is SignalCode.OTHER_SITE:
        return f"It names {numbers['site'] or 'no site'}; the moment asks for {', '.join(numbers['sites'])}."
    if code is SignalCode.OTHER_KIND:
        return f"The moment asks for {', '.join(numbers['kinds'])}."
    if code is SignalCode.NOT_RUNNING and numbers:
        return f"This run began at {numbers['runningSince']}."
    if code is SignalCode.BEFORE_DECIDED:
        return f"That due was at {numbers['decidedUntil']}."
    if code is SignalCode.VISIT_CLOSED:
        return f"A visit is over when nothing came for {_span(numbers['visitEndsAfter'])}."
    return ""


def words_of_stitch(signal: Signal) -> str:
    """That its sender was not known at its receipt."""
    if not signal.stitched_at:
        return ""
    return f"It was sent anonymously; that it is of this profile was told at {instant(signal.stitched_at)}."


def words_of_rule(template: Template, settings: Mapping[str, Any]) -> str:
    """The template's sentence with the settings in it."""
    words = {setting.name: _words_of_setting(settings.get(setting.name)) for setting in template.settings}
    return template.sentence.format_map(defaultdict(lambda: "…", words))


def _words_of_setting(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    try:
        return words_of_span(parse_duration(value))
    except (TypeError, ValueError):
        return "…" if value is None else str(value)
