"""The audit of the roll-ups: minutes, hours, days, ledger, raises and feed tell the same (DOMAIN §8)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from contracts.times import DAY, HOUR, MINUTE, to_rfc3339
from services.trigger.differing import Difference
from services.trigger.store import figures
from services.trigger.store.forgetting import forgotten_counts
from services.trigger.store.rollups import FEED_KEPT, HOURS_KEPT, LATE, PAST, SIGNALS
from services.trigger.store.rows import Rows

_MARGIN = HOUR
"""The worker that forgets may have another clock than who audits."""
_MINUTES_SURELY_KEPT = 48 * HOUR - _MARGIN
_HOURS_SURELY_KEPT = HOURS_KEPT - _MARGIN
_FEED_SURELY_KEPT = FEED_KEPT - 10 * MINUTE
_NAMES = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_UNRECORDED = "suppressed:erased"
"""What is suppressed by this reason leaves no row of `raises`."""

Buckets = Mapping[tuple[str, int], int]
"""(counter, bucket) → value."""


def rollup_differences(rows: Rows, ledgers: Mapping[str, Mapping[str, int]], now: int) -> Iterator[Difference]:
    """Every difference that the caller's transaction sees; `ledgers`: moment → counter → value."""
    since = figures.counted_since(rows)
    unsent = figures.unsent_raises(rows)
    forgotten = forgotten_counts(rows)
    unfed = figures.unfed_raises(rows, max(since, now - _FEED_SURELY_KEPT))
    for moment in sorted(ledgers.keys() | set(figures.rolled_moments(rows))):
        ledger = ledgers.get(moment, {})
        minutes, hours, days = (figures.buckets(rows, moment, span) for span in (MINUTE, HOUR, DAY))
        yield from _against_ledger(moment, ledger, days, unsent.get(moment, 0))
        yield from _against_parts(moment, MINUTE, HOUR, minutes, hours, now - _MINUTES_SURELY_KEPT)
        yield from _against_parts(moment, HOUR, DAY, hours, days, now - _HOURS_SURELY_KEPT)
        gone = {counter for each, counter in forgotten if each == moment}
        yield from _against_raises(rows, moment, minutes, gone, max(since, now - _MINUTES_SURELY_KEPT))
        if moment in unfed:
            yield Difference(moment=moment, rule="outcomes missing in the feed", expected=0, found=unfed[moment])


def _against_ledger(moment: str, ledger: Mapping[str, int], days: Buckets, unsent: int) -> Iterator[Difference]:
    """The days since the beginning, with the past, make the ledger; every raise that was sent has its lateness."""
    sums: dict[str, int] = {}
    for (counter, _), value in days.items():
        name = LATE if counter.startswith(f"{LATE}:") else counter
        sums[name] = sums.get(name, 0) + value
    sums.pop(SIGNALS, None)
    expected = {
        counter: value
        for counter, value in ledger.items()
        if counter != "pending" and not counter.startswith("unrecorded:")
    }
    expected[LATE] = ledger.get("raised", 0) - unsent
    for counter in sorted(expected.keys() | sums.keys()):
        wanted, found = expected.get(counter, 0), sums.get(counter, 0)
        rule = "raises sent = latenesses counted" if counter == LATE else f"{counter} by the day = ledger"
        if wanted != found:
            yield Difference(moment=moment, rule=rule, expected=wanted, found=found)


def _against_parts(
    moment: str, span: int, whole: int, parts: Buckets, wholes: Buckets, kept_since: int
) -> Iterator[Difference]:
    """Each hour is the sum of its minutes, as long as these are kept; and so for days and hours."""
    sums: dict[tuple[str, int], int] = {}
    for (counter, bucket), value in parts.items():
        place = (counter, bucket - bucket % whole)
        sums[place] = sums.get(place, 0) + value
    kept = {bucket for _, bucket in sums}
    expected = {
        place: value
        for place, value in wholes.items()
        if place[1] != PAST and (place[1] in kept or place[1] >= kept_since)
    }
    rule = f"by the {_NAMES[span]} = by the {_NAMES[whole]}"
    yield from _compare(moment, rule, expected, sums)


def _against_raises(
    rows: Rows, moment: str, minutes: Buckets, forgotten: Container[str], since: int
) -> Iterator[Difference]:
    """What was raised and suppressed by the minute = the rows recorded, from the first whole minute.

    Where rows of a counter have been forgotten, those that are left must not be more than were counted.
    """
    first = since - since % MINUTE + MINUTE
    recorded = figures.recorded_minutes(rows, moment, first)
    counted = {
        (counter, bucket): value
        for (counter, bucket), value in minutes.items()
        if bucket >= first and (counter == "raised" or (counter.startswith("suppressed:") and counter != _UNRECORDED))
    }
    left = {
        place: min(value, recorded.get(place, 0)) if place[0] in forgotten else value
        for place, value in counted.items()
    }
    yield from _compare(moment, "by the minute = rows recorded", left, recorded)


def _compare(moment: str, rule: str, expected: Buckets, found: Buckets) -> Iterator[Difference]:
    """One difference for each counter: its first bucket, and how many more."""
    wrong: dict[str, list[int]] = {}
    for counter, bucket in sorted(expected.keys() | found.keys()):
        if expected.get((counter, bucket), 0) != found.get((counter, bucket), 0):
            wrong.setdefault(counter, []).append(bucket)
    for counter, buckets in wrong.items():
        place = (counter, buckets[0])
        more = f" and {len(buckets) - 1} more" if len(buckets) > 1 else ""
        yield Difference(
            moment=moment,
            rule=f"{counter} {rule}",
            expected=expected.get(place, 0),
            found=found.get(place, 0),
            detail=f"{to_rfc3339(buckets[0])}{more}",
        )
