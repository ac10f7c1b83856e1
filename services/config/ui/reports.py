"""What the reporting page shows of a moment's analytics: periods, steps of time, reasons, values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from contracts.times import DAY, HOUR, MINUTE, from_datetime, from_rfc3339, to_datetime, to_rfc3339

_DAYS = 30
_KINDS = ("opened", "raised", "ended", "suppressed")


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time that can be chosen. `length`: of the latest so many µs; None for whole days of the viewer.

    `every`: seconds between two looks when nothing is told meanwhile; a longer span is dearer to read.
    """

    name: str
    length: int | None
    granularity: str
    span: int
    every: int

    def query(self, now: int, zone: ZoneInfo) -> dict[str, str]:
        """How trigger is asked for it."""
        if self.length is None:
            first_hour = -(-midnight(now, zone, _DAYS - 1) // HOUR) * HOUR
            return {"from": to_rfc3339(first_hour), "granularity": self.granularity}
        return {"period": f"PT{self.length // MINUTE}M", "granularity": self.granularity}


PERIODS: tuple[Period, ...] = (
    Period("minutes", 15 * MINUTE, "minute", MINUTE, 1),
    Period("hour", HOUR, "minute", MINUTE, 1),
    Period("day", DAY, "hour", HOUR, 1),
    Period("week", 7 * DAY, "hour", HOUR, 2),
    Period("month", None, "hour", DAY, 5),
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
    if span == DAY:
        counted = _by_local_day(counted, zone)
    steps: list[Step] = []
    waiting = pending
    for at, counts in reversed(counted):
        steps.append(Step(at, **counts, waiting=waiting if waiting >= 0 else None))
        waiting -= counts["opened"] - counts["raised"] - counts["ended"] - counts["suppressed"]
    return tuple(reversed(steps))


def _counts(point: Mapping[str, Any]) -> dict[str, int]:
    found = {name: point[name] for name in _KINDS}
    return {name: sum(value.values()) if isinstance(value, Mapping) else value for name, value in found.items()}


def _by_local_day(counted: Sequence[tuple[int, dict[str, int]]], zone: ZoneInfo) -> list[tuple[int, dict[str, int]]]:
    """Hours put together to the days on the clocks of a zone; a day has 23 or 25 hours where these change."""
    found = []
    for _, hours in groupby(counted, lambda point: to_datetime(point[0]).astimezone(zone).date()):
        points = list(hours)
        found.append((points[0][0], {name: sum(counts[name] for _, counts in points) for name in _KINDS}))
    return found


def midnight(now: int, zone: ZoneInfo, days: int) -> int:
    """The beginning of the day on the clocks of a zone, so many days before that of `now`."""
    day = to_datetime(now).astimezone(zone).date() - timedelta(days=days)
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone))
