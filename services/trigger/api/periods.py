"""Which span of time analytics are asked for, and in what steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.times import DAY, HOUR, MINUTE
from services.trigger.store.rollups import DAYS_KEPT, HOURS_KEPT
from shared.http import Unprocessable
from shared.problems import Fault

MOST_POINTS = 1500
GRANULARITIES: Mapping[str, int] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
_CHOSEN_UP_TO = {"minute": 6 * HOUR, "hour": 14 * DAY}
"""Without a wish, the finest granularity with a few hundred points."""


class WrongPeriod(Unprocessable):
    """There are no analytics of this period."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whole buckets of a granularity, from `start` to before `end` (µs)."""

    start: int
    end: int
    granularity: str

    @property
    def span(self) -> int:
        """The length of a bucket."""
        return GRANULARITIES[self.granularity]

    @property
    def buckets(self) -> range:
        """The start of each bucket."""
        return range(self.start, self.end, self.span)


@dataclass(frozen=True, slots=True)
class Period:
    """A period as it was asked for: from `start` or of a `length`, to `end` or now; granularity None: to be chosen."""

    start: int | None
    end: int | None
    length: int
    granularity: str | None

    def window(self, now: int, minutes_kept: int) -> Window:
        """The buckets of the period at `now`, the present one included; raises WrongPeriod."""
        end = now + 1 if self.end is None else min(self.end, now + 1)
        start = end - self.length if self.start is None else self.start
        if start >= end:
            raise _wrong("from", "The period is empty or in the future.")
        kept = {"minute": minutes_kept, "hour": HOURS_KEPT, "day": DAYS_KEPT}
        granularity = self.granularity or _choose(end - start, now - start, kept)
        span = GRANULARITIES[granularity]
        last = -(-end // span) * span
        first = start // span * span if self.start is not None else last - max(1, -(-self.length // span)) * span
        if first < (now - kept[granularity]) // span * span:
            raise _wrong("from", f"By the {granularity} the latest {_words(kept[granularity])} are kept.")
        if (last - first) // span > MOST_POINTS:
            raise _wrong("granularity", f"These would be more than {MOST_POINTS} points; take a coarser granularity.")
        return Window(first, last, granularity)


def _choose(length: int, age: int, kept: Mapping[str, int]) -> str:
    for granularity, most in _CHOSEN_UP_TO.items():
        if length <= most and age < kept[granularity]:
            return granularity
    return "day"


def _words(length: int) -> str:
    return f"{length // DAY} days" if length > 7 * DAY else f"{length // HOUR} hours"


def _wrong(parameter: str, reason: str) -> WrongPeriod:
    return WrongPeriod(faults=[Fault("", reason, parameter=parameter)])
