"""The scales of charts: round ticks of numbers, and ticks of time on the clocks of a zone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from contracts.times import DAY, HOUR, to_datetime

_STEPS_OF_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
_STEPS_OF_HOURS = (1, 2, 3, 6, 12, 24, 48, 168, 336)
_STEPS_OF_DAYS = (1, 2, 5, 7, 14, 30, 90, 180, 365)
_UNITS = ((10**15, "P"), (10**12, "T"), (10**9, "B"), (10**6, "M"), (1000, "k"))


@dataclass(frozen=True, slots=True)
class Tick:
    """A label under the step `index`; `narrow`: also where there is room for few."""

    index: int
    label: str
    narrow: bool


def number_ticks(most: float, intervals: int = 3) -> list[int]:
    """Round whole numbers from 0 to one not below `most`, about so many intervals apart; [0] when there is nothing."""
    if most <= 0:
        return [0]
    step = _round_up(most / intervals)
    ticks = [0]
    while ticks[-1] < most:
        ticks.append(ticks[-1] + step)
    return ticks


def _round_up(size: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 1
    while power * 10 < size:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= size)


def compact(value: float) -> str:
    """`950`, `1.2k`, `34M`: at most four characters and a half."""
    for size, unit in _UNITS:
        if abs(value) >= size:
            return (
                f"{value / size:.1f}".removesuffix(".0") + unit if abs(value) < 100 * size else f"{value // size}{unit}"
            )
    return f"{value:g}"


def time_ticks(times: Sequence[int], span: int, zone: ZoneInfo, *, wide: int = 9, narrow: int = 4) -> list[Tick]:
    """Labels of steps that begin at `times` (µs) and are `span` long: round on the clocks of the zone, at most `wide`.

    An hour that a change of the clocks repeats is labelled once; one that it skips leaves a gap.
    """
    local = [to_datetime(at).astimezone(zone) for at in times]
    labelled: list[tuple[int, str]] = []
    for index in _fitting(local, span, wide):
        label = _label(local[index], span)
        if not labelled or labelled[-1][1] != label:
            labelled.append((index, label))
    stride = -(-len(labelled) // narrow)
    return [Tick(index, label, place % stride == 0) for place, (index, label) in enumerate(labelled)]


def time_words(times: Sequence[int], span: int, zone: ZoneInfo) -> list[str]:
    """What each step is called in a table; with the name of the zone where the clocks change in between."""
    local = [to_datetime(at).astimezone(zone) for at in times]
    changes = span < DAY and len({moment.utcoffset() for moment in local}) > 1
    shape = "%a %-d %b" if span >= DAY else "%a %-d %b, %H:%M" if span >= HOUR else "%H:%M"
    return [f"{moment:{shape}}" + (f" {moment.tzname()}" if changes else "") for moment in local]


def _fitting(local: Sequence[datetime], span: int, most: int) -> list[int]:
    """The steps at round times, of the smallest spacing of which at most so many fit."""
    steps = _STEPS_OF_DAYS if span >= DAY else _STEPS_OF_HOURS if span >= HOUR else _STEPS_OF_MINUTES
    for step in steps:
        indexes = [index for index, moment in enumerate(local) if _place(moment, span) % step == 0]
        if len(indexes) <= most:
            return indexes or list(range(min(1, len(local))))
    return []


def _place(moment: datetime, span: int) -> int:
    """How many minutes, hours or days of the zone's clocks lie before it."""
    if span >= DAY:
        return moment.toordinal() - 1
    return (moment.toordinal() - 1) * 24 + moment.hour if span >= HOUR else moment.hour * 60 + moment.minute


def _label(moment: datetime, span: int) -> str:
    if span >= DAY:
        return f"{moment:%-d %b}"
    if span >= HOUR and moment.hour == 0:
        return f"{moment:%a %-d}"
    return f"{moment:%H:%M}"
