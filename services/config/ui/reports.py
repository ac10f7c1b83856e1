"""What the reporting page shows of a moment's analytics: periods, steps of time, reasons, values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from contracts.times import DAY, HOUR, MINUTE, from_datetime, from_rfc3339, to_datetime, to_rfc3339

_KINDS = ("opened", "raised", "ended", "suppressed")


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time that can be chosen: the latest `length` µs, or so many `days` of the viewer, today among them.

    `span`: of a step, which is put together of what trigger counts by the minute or hour. `every`: seconds between two
    looks when nothing is told meanwhile; a longer span is dearer to read.
    """

    name: str
    length: int
    days: int
    span: int
    every: int

    @property
    def granularity(self) -> str:
        """What trigger is asked for: what a step is put together of."""
        return "minute" if self.span == MINUTE else "hour"

    def query(self, now: int, zone: ZoneInfo) -> dict[str, str]:
        """How trigger is asked for it."""
        if self.days:
            first_hour = -(-midnight(now, zone, self.days - 1) // HOUR) * HOUR
            return {"from": to_rfc3339(first_hour), "granularity": self.granularity}
        return {"period": f"PT{self.length // MINUTE}M", "granularity": self.granularity}


PERIODS: tuple[Period, ...] = (
    Period("minutes", 15 * MINUTE, 0, MINUTE, 1),
    Period("hour", HOUR, 0, MINUTE, 1),
    Period("day", DAY, 0, HOUR, 1),
    Period("week", 0, 7, 3 * HOUR, 2),
    Period("month", 0, 30, DAY, 5),
)
"""In the order of their keys, `1` to `5`."""
_OTHER_NAMES = {"15m": "minutes", "minute": "minutes", "1h": "hour", "24h": "day", "7d": "week", "30d": "month"}


def period_named(name: str) -> Period:
    """The period of a name; a day when there is none."""
    wanted = _OTHER_NAMES.get(name, name)
    return next((period for period in PERIODS if period.name == wanted), PERIODS[2])


@dataclass(frozen=True, slots=True)
class Step:
    """What was counted in one step of time, and how many waits were pending at its end; None: not known."""

    at: int
    opened: int
    raised: int
    ended: int
    suppressed: int
    waiting: int | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.opened or self.raised or self.ended or self.suppressed)


@dataclass(frozen=True, slots=True)
class Reason:
    """How often a reason held."""

    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """The analytics of a moment in a period, as of one instant (µs)."""

    as_of: int
    start: int
    opened: int
    pending: int
    next_due_at: int | None
    raised: int
    recovered: int
    contradicted: int
    ended: int
    suppressed: int
    profiles: int
    values: tuple[tuple[str, float], ...]
    ended_by: tuple[Reason, ...]
    suppressed_by: tuple[Reason, ...]
    lateness: Mapping[str, float | None]
    confirmed: int
    steps: tuple[Step, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened, and nothing waits."""
        return not self.pending and not self.recovered and all(step.is_empty for step in self.steps)


def report_of(document: Mapping[str, Any], period: Period, zone: ZoneInfo) -> Report:
    """The report of what trigger's analytics say."""
    totals, pending = document["totals"], document["now"]["pending"]
    due = document["now"]["nextDueAt"]
    lateness = document["lateness"]
    return Report(
        as_of=from_rfc3339(document["asOf"]),
        start=from_rfc3339(document["from"]),
        opened=totals["opened"],
        pending=pending,
        next_due_at=None if due is None else from_rfc3339(due),
        raised=totals["raised"],
        recovered=totals["recovered"],
        contradicted=totals["contradicted"],
        ended=sum(totals["ended"].values()),
        suppressed=sum(totals["suppressed"].values()),
        profiles=document["distinctProfiles"],
        values=tuple(sorted(totals["recoveredValue"].items(), key=lambda value: (-value[1], value[0]))),
        ended_by=_reasons(totals["ended"]),
        suppressed_by=_reasons(totals["suppressed"]),
        lateness={name: lateness[name] for name in ("p50", "p95", "p99")},
        confirmed=lateness["count"],
        steps=_steps(document["series"], pending, period.span, zone),
    )


def _reasons(counts: Mapping[str, int]) -> tuple[Reason, ...]:
    found = [Reason(code, count) for code, count in counts.items() if count]
    return tuple(sorted(found, key=lambda reason: (-reason.count, reason.code)))


def _steps(series: Sequence[Mapping[str, Any]], pending: int, span: int, zone: ZoneInfo) -> tuple[Step, ...]:
    """The points, of days those of the viewer; what waited at each end is what waits now, less what came since."""
    counted = [(from_rfc3339(point["at"]), _counts(point)) for point in series]
    if span > HOUR:
        counted = _put_together(counted, span // HOUR, zone)
    steps: list[Step] = []
    waiting = pending
    for at, counts in reversed(counted):
        steps.append(Step(at, **counts, waiting=waiting if waiting >= 0 else None))
        waiting -= counts["opened"] - counts["raised"] - counts["ended"] - counts["suppressed"]
    return tuple(reversed(steps))


def _counts(point: Mapping[str, Any]) -> dict[str, int]:
    found = {name: point[name] for name in _KINDS}
    return {name: sum(value.values()) if isinstance(value, Mapping) else value for name, value in found.items()}


def _put_together(
    counted: Sequence[tuple[int, dict[str, int]]], hours: int, zone: ZoneInfo
) -> list[tuple[int, dict[str, int]]]:
    """Hours put together to parts of days on the clocks of a zone; where these change, one is longer or shorter."""

    def part(point: tuple[int, dict[str, int]]) -> tuple[date, int]:
        local = to_datetime(point[0]).astimezone(zone)
        return local.date(), local.hour // hours

    found = []
    for _, points in groupby(counted, part):
        together = list(points)
        found.append((together[0][0], {name: sum(counts[name] for _, counts in together) for name in _KINDS}))
    return found


def midnight(now: int, zone: ZoneInfo, days: int) -> int:
    """The beginning of the day on the clocks of a zone, so many days before that of `now`."""
    day = to_datetime(now).astimezone(zone).date() - timedelta(days=days)
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
