"""The timeline of an occurrence as SVG: each row's wait on one axis of time, growing to its due. Pure.

Places on the axis are per cent, so that a picture is as wide as there is room for; marks keep their size. Colours
stand in `explanation.css`. The words beside each row say the same: the pictures are nothing to screen readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from contracts.times import DAY, HOUR, MINUTE, SECOND, from_datetime, from_rfc3339, parse_duration, to_datetime
from services.config.ui.stories.rows import Row
from services.config.ui.stories.story import Change, Due, Occurrence

MIDDLE = 16
"""Where the bar of a row lies, pixels from its top."""
_STEPS = tuple(
    size * unit
    for unit, sizes in (
        (SECOND, (1, 2, 5, 10, 15, 30)),
        (MINUTE, (1, 2, 5, 10, 15, 30)),
        (HOUR, (1, 2, 3, 6, 12)),
        (DAY, (1, 2, 7, 14, 28, 91, 182, 364)),
    )
    for size in sizes
)
_MOST_TICKS = 6
_MARGIN = 0.04
_FAR = 0.5
_LATE_DECISION = 2 * SECOND
_MANY = 60
_MARKS = {
    "raised": "M0-7 7 0 0 7-7 0z",
    "recovered": "M-6-1-2 4 7-6",
    "ended": "M-5-5 5 5M5-5-5 5",
    "suppressed": "M-6 0H6",
    "waiting": "M0-7V7",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """A span of time, drawn from the left to the right. `now`: the present instant where it lies within."""

    start: int
    end: int
    zone: ZoneInfo
    now: int | None = None

    def place(self, at: int) -> float:
        """Where an instant lies, in per cent; what lies outside is drawn at the edge."""
        return round(min(100.0, max(0.0, 100 * (at - self.start) / (self.end - self.start))), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Round times on the clocks of the zone, a few: place and label."""
        for step in _STEPS:
            if (self.end - self.start) // step < _MOST_TICKS:
                return [(self.place(at), self._label(at, step)) for at in self._round(step)]
        return []

    def _round(self, step: int) -> Iterator[int]:
        """The instants within at which the clocks of the zone show a multiple of the step."""
        local = to_datetime(self.start).astimezone(self.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        if step >= DAY:
            days = step // DAY
            midnight -= timedelta(days=midnight.toordinal() % days)
        wall, last = midnight, None
        if step < DAY:
            wall += timedelta(
                microseconds=(local.replace(tzinfo=None) - midnight) // timedelta(microseconds=step) * step
            )
        while True:
            at = from_datetime(wall.replace(tzinfo=self.zone))
            if at > self.end:
                return
            if at >= self.start and at != last and _exists(at, wall, self.zone):
                yield at
                last = at
            wall += timedelta(microseconds=step)

    def _label(self, at: int, step: int) -> str:
        local = to_datetime(at).astimezone(self.zone)
        if step >= DAY:
            return f"{local:%-d %b}"
        if (local.hour, local.minute, local.second) == (0, 0, 0):
            return f"{local:%a %-d %b}"
        return f"{local:%H:%M:%S}" if step < MINUTE else f"{local:%H:%M}"


def _exists(at: int, wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of the zone show that time at all; a change of the clocks may skip it."""
    return to_datetime(at).astimezone(zone).replace(tzinfo=None) == wall


def axis_of(occurrence: Occurrence, now: int, zone: ZoneInfo) -> Axis:
    """From its first signal to whatever came last: the due, the decision, the end; what comes long after is left out.

    A wait that is pending reaches to its due, or to now.
    """
    begins = [step.at for step in occurrence.steps if step.event != "settings"]
    known = [occurrence.opened, *begins] if occurrence.opened is not None else begins
    start = min((at for at in known if at is not None), default=now)
    dues = [change.due.at for step in occurrence.steps for change in step.changes if change.due is not None]
    ends = [*dues, occurrence.due.ready if occurrence.due else start, occurrence.closed_at or start]
    if occurrence.state == "pending":
        ends.append(now)
    end = max(start, *ends)
    span = max(end - start, SECOND)
    after = [each for each in (occurrence.recovered_at, _cool_down_end(occurrence)) if each is not None and each > end]
    end = max([end, *(each for each in after if each - end <= span * _FAR)])
    margin = int(max(end - start, SECOND) * _MARGIN)
    within = now if occurrence.state == "pending" else None
    return Axis(start - margin, end + margin, zone, within)


def draw_axis(axis: Axis, now_label: str) -> Markup:
    """The head of the timeline: the times."""
    parts = []
    for index, (place, label) in enumerate(axis.ticks()):
        narrow = " wide-only" if index % 2 else ""
        anchor = "start" if place < 6 else "end" if place > 94 else "middle"
        parts.append(
            f'<line class="tl-grid" x1="{place}%" x2="{place}%" y1="20" y2="100%"/>'
            f'<text class="tl-tick{narrow}" x="{place}%" y="14" text-anchor="{anchor}">{escape(label)}</text>'
        )
    if axis.now is not None:
        place = axis.place(axis.now)
        parts.append(f'<line class="tl-now" x1="{place}%" x2="{place}%" y1="20" y2="100%"/>')
        parts.append(f"<title>{escape(now_label)}</title>")
    return _picture("tl-axis", parts)


def draw_row(axis: Axis, row: Row, state: str) -> Markup:
    """A row: the grid, the wait as it stood after the row, the mark of what happened, and what moved the due."""
    parts = [f'<line class="tl-grid" x1="{place}%" x2="{place}%" y1="0" y2="100%"/>' for place, _ in axis.ticks()]
    if axis.now is not None:
        place = axis.place(axis.now)
        parts.append(f'<line class="tl-now" x1="{place}%" x2="{place}%" y1="0" y2="100%"/>')
    parts += _quiet(axis, row)
    parts += _cool_down(axis, row)
    parts += _bar(axis, row, state)
    parts += _marks(axis, row, state)
    return _picture("tl-row", parts)


def _bar(axis: Axis, row: Row, state: str) -> Iterator[str]:
    if row.opened is None:
        return
    at = row.last.at
    closing = row.closing
    if closing is not None:
        tone = {"ended": "ended", "suppressed": "suppressed", "raised": "raised"}[closing.effect]
        due = closing.due_at or (row.due.at if row.due else at)
        end = min(at, due) if closing.effect == "ended" or at < due else due
        yield _line(axis, row.opened, end, f"tl-bar tl-{tone}")
        if end < due:
            yield _line(axis, end, due, "tl-never")
        return
    if row.due is None or row.last.change("recovered", "contradicted") or _decided_before(row, state):
        return
    reached = min(max(at, row.opened), row.due.at)
    yield _line(axis, row.opened, row.due.at, "tl-bar tl-ahead")
    yield _line(axis, row.opened, reached, "tl-bar tl-waited")


def _decided_before(row: Row, state: str) -> bool:
    """Whether the wait was over when this happened: what comes after the due of one that came due."""
    return state != "pending" and row.due is not None and row.first.at > row.due.at


def _marks(axis: Axis, row: Row, state: str) -> Iterator[str]:
    step, closing = row.last, row.closing
    if closing is not None and closing.effect != "ended":
        yield from _decision(axis, row, closing)
    elif closing is not None:
        yield _mark(axis, step.at, "ended")
    elif step.change("recovered"):
        if step.at > axis.end and row.due is not None:
            yield _line(axis, row.due.at, step.at, "tl-never")
        yield _mark(axis, step.at, "recovered")
    else:
        yield from _signals(axis, row)
        if row.due is not None and row.opened is not None and not _decided_before(row, state):
            yield _mark(axis, row.due.at, "waiting")
    if step.late_by:
        yield _line(axis, step.at, step.learnt, "tl-late")
        yield f'<circle class="tl-arrived" cx="{axis.place(step.learnt)}%" cy="{MIDDLE}" r="3"/>'


def _decision(axis: Axis, row: Row, closing: Change) -> Iterator[str]:
    """At the due, or where it was stopped before; and how much later it was decided."""
    step, stopped = row.last, closing.reason == "stopped"
    due = closing.due_at or step.at
    if step.learnt - due > _LATE_DECISION and not stopped:
        yield _line(axis, due, step.learnt, "tl-late")
    yield _mark(axis, min(due, step.learnt) if stopped else due, closing.effect)


def _signals(axis: Axis, row: Row) -> Iterator[str]:
    """A ring for a signal, dots for many; of very many each place of the picture once."""
    signals = [step.at for step in row.steps if step.event == "signal"]
    if len(signals) == 1:
        yield f'<circle class="tl-signal" cx="{axis.place(signals[0])}%" cy="{MIDDLE}" r="4"/>'
        return
    for place in sorted({round(axis.place(at), 1 if len(signals) <= _MANY else 0) for at in signals}):
        yield f'<circle class="tl-dot" cx="{place}%" cy="{MIDDLE}" r="2"/>'


def _quiet(axis: Axis, row: Row) -> Iterator[str]:
    """The part of the wait that lies in quiet hours: from the due that it would have had to their end."""
    due = row.due
    if due is None or due.quiet_until is None or row.opened is None:
        return
    plain = _plain_due(due, row)
    if plain is not None and plain < due.quiet_until:
        yield _band(axis, plain, due.quiet_until, "tl-quiet")


def _plain_due(due: Due, row: Row) -> int | None:
    base = row.opened
    if due.maximum is None and due.counted_from == "last_activity":
        base = next((change.last for change in reversed(row.last.changes) if change.last is not None), None)
    return None if base is None else base + (due.length if due.maximum is None else due.maximum)


def _cool_down(axis: Axis, row: Row) -> Iterator[str]:
    """The cool-down that decided, from the raise before to its end."""
    span = _cool_down_span(row)
    if span is not None and span[1] > axis.start:
        yield _band(axis, *span, "tl-cool")


def _cool_down_span(row: Row) -> tuple[int, int] | None:
    if row.closing is None or row.closing.reason != "cool_down":
        return None
    numbers = row.closing.numbers
    try:
        begin = from_rfc3339(numbers["lastRaise"]["dueAt"])
        return begin, begin + parse_duration(numbers["coolDown"])
    except (KeyError, TypeError, ValueError):  # an older record, measured by less
        return None


def _cool_down_end(occurrence: Occurrence) -> int | None:
    decision = occurrence.decision
    if decision is None:
        return None
    span = _cool_down_span(Row(kind="step", steps=(), closing=decision))
    return span[1] if span else None


def _band(axis: Axis, begin: int, end: int, name: str) -> str:
    left, right = axis.place(begin), axis.place(end)
    width = round(max(0.4, right - left), 2)
    return f'<rect class="{name}" x="{left}%" width="{width}%" y="4" height="{2 * (MIDDLE - 4)}" rx="2"/>'


def _line(axis: Axis, begin: int, end: int, name: str) -> str:
    left, right = axis.place(begin), axis.place(max(begin, end))
    return f'<line class="{name}" x1="{left}%" x2="{right}%" y1="{MIDDLE}" y2="{MIDDLE}"/>'


def _mark(axis: Axis, at: int, name: str) -> str:
    return (
        f'<svg class="tl-mark" x="{axis.place(at)}%" y="{MIDDLE}">'
        f'<path class="tl-mark-{name}" d="{_MARKS[name]}"/></svg>'
    )


def _picture(name: str, parts: list[str]) -> Markup:
    return Markup(  # noqa: S704 - numbers, names of classes, and texts that were escaped where they were put in
        f'<svg class="{name}" aria-hidden="true" focusable="false" width="100%" height="100%">{"".join(parts)}</svg>'
    )
