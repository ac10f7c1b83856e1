"""What the reporting page makes of analytics: steps, days of the viewer, what waited when, reasons in order."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts.times import DAY, HOUR, MINUTE, from_rfc3339, to_datetime, to_rfc3339
from services.config.ui.reports import PERIODS, midnight, period_named, report_of

BERLIN, UTC, DELHI, HAVANA = (ZoneInfo(name) for name in ("Europe/Berlin", "UTC", "Asia/Kolkata", "America/Havana"))
NOON = from_rfc3339("2026-06-10T12:00:00Z")
HOURLY, MINUTELY, DAILY = period_named("day"), period_named("hour"), period_named("month")


def counts(**given: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("signals", "opened", "slid", "raised", "contradicted", "recovered", "ignored"), 0)
    return {**nothing, "ended": {}, "suppressed": {}, "recoveredValue": {}, **given}


def document(series: list[dict[str, Any]], start: str = "2026-06-10T00:00:00Z", step: int = HOUR, **given: Any) -> Any:
    first = from_rfc3339(start)
    points = [{"at": to_rfc3339(first + step * index), **counts(**point)} for index, point in enumerate(series)]
    return {
        "asOf": to_rfc3339(NOON),
        "from": start,
        "totals": counts(),
        "now": {"pending": 0, "nextDueAt": None},
        "lateness": {"count": 0, "p50": None, "p95": None, "p99": None},
        "distinctProfiles": 0,
        "series": points,
        **given,
    }


def test_what_waited_at_the_end_of_each_step_is_reckoned_back_from_what_waits_now() -> None:
    series = [
        {"opened": 5},
        {"opened": 3, "raised": 2, "ended": {"cart/purchase": 1, "emptied": 1}},
        {"suppressed": {"cool_down": 1}},
        {},
    ]

    report = report_of(document(series, now={"pending": 13, "nextDueAt": None}), HOURLY, UTC)

    assert [step.waiting for step in report.steps] == [15, 14, 13, 13]
    assert [(step.opened, step.raised, step.ended, step.suppressed) for step in report.steps] == [
        *((5, 0, 0, 0), (3, 2, 2, 0), (0, 0, 0, 1), (0, 0, 0, 0))
    ]
    assert [step.is_empty for step in report.steps] == [False, False, False, True]


def test_what_cannot_have_waited_is_not_known() -> None:
    report = report_of(document([{}, {"opened": 2}], now={"pending": 1, "nextDueAt": None}), HOURLY, UTC)

    assert [step.waiting for step in report.steps] == [None, 1]


def test_totals_reasons_and_values_are_told_the_greatest_first() -> None:
    totals = counts(
        opened=9,
        ended={"emptied": 1, "cart/purchase": 4, "void": 0, "cart/clear": 1},
        suppressed={"cool_down": 2},
        recoveredValue={"EUR": 5.0, "CHF": 7.5, "XXX": 5.0},
    )

    report = report_of(document([], totals=totals), HOURLY, UTC)

    assert [(reason.code, reason.count) for reason in report.ended_by] == [
        *(("cart/purchase", 4), ("cart/clear", 1), ("emptied", 1))
    ]
    assert (report.opened, report.ended, report.suppressed) == (9, 6, 2)
    assert report.values == (("CHF", 7.5), ("EUR", 5.0), ("XXX", 5.0))
    assert report.is_empty
    assert not report_of(document([{"opened": 1}]), HOURLY, UTC).is_empty
    assert not report_of(document([], now={"pending": 1, "nextDueAt": to_rfc3339(NOON)}), HOURLY, UTC).is_empty


def test_days_are_those_of_the_viewers_clocks_also_when_these_change() -> None:
    hours = [{"opened": 1} for _ in range(72)]

    autumn = report_of(document(hours, "2026-10-23T22:00:00Z"), DAILY, BERLIN)
    spring = report_of(document(hours, "2026-03-27T23:00:00Z"), DAILY, BERLIN)

    assert [step.opened for step in autumn.steps] == [24, 25, 23]
    assert [step.opened for step in spring.steps] == [24, 23, 24, 1]
    assert [to_rfc3339(step.at) for step in autumn.steps[:2]] == [
        "2026-10-23T22:00:00.000Z",
        "2026-10-24T22:00:00.000Z",
    ]


def test_a_week_is_made_of_parts_of_days_that_begin_at_round_hours() -> None:
    week = period_named("week")
    hours = [{"opened": 1} for _ in range(48)]

    report = report_of(document(hours, "2026-10-24T22:00:00Z"), week, BERLIN)

    assert [step.opened for step in report.steps] == [4, *(3,) * 14, 2]
    assert [to_datetime(step.at).astimezone(BERLIN).hour for step in report.steps[:4]] == [0, 3, 6, 9]


@pytest.mark.parametrize("zone", [BERLIN, UTC, DELHI, HAVANA])
@pytest.mark.parametrize("now", ["2026-06-10T12:00:00Z", "2026-10-25T01:30:00Z", "2026-03-08T05:10:00Z"])
def test_thirty_days_begin_at_midnight_and_today_is_one_of_them(zone: ZoneInfo, now: str) -> None:
    instant = from_rfc3339(now)
    first = from_rfc3339(DAILY.query(instant, zone)["from"])
    hours = (instant - first) // HOUR + 1

    report = report_of(document([{}] * hours, to_rfc3339(first)), DAILY, zone)

    assert len(report.steps) == 30
    assert first % HOUR == 0
    assert 0 <= first - midnight(instant, zone, 29) < HOUR


def test_midnight_is_that_of_the_zone() -> None:
    assert to_rfc3339(midnight(NOON, BERLIN, 0)) == "2026-06-09T22:00:00.000Z"
    assert to_rfc3339(midnight(NOON, DELHI, 1)) == "2026-06-08T18:30:00.000Z"


def test_periods_ask_for_the_steps_that_they_show() -> None:
    assert [period.name for period in PERIODS] == ["minutes", "hour", "day", "week", "month"]
    assert MINUTELY.query(NOON, UTC) == {"period": "PT60M", "granularity": "minute"}
    assert HOURLY.query(NOON, UTC) == {"period": f"PT{24 * 60}M", "granularity": "hour"}
    assert period_named("week").query(NOON, UTC) == {"from": "2026-06-04T00:00:00.000Z", "granularity": "hour"}
    assert [period.span for period in PERIODS] == [MINUTE, MINUTE, HOUR, 3 * HOUR, DAY]


@pytest.mark.parametrize("name", ["", "decade", "7D", "<script>"])
def test_an_unknown_period_is_a_day(name: str) -> None:
    assert period_named(name).name == "day"
    assert [period_named(name).name for name in ("15m", "7d", "30d")] == ["minutes", "week", "month"]
