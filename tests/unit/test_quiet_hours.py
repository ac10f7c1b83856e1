"""Quiet hours where clocks change: every instant here was worked out by hand from the laws of the zones (DOMAIN §6.2).

Paris is UTC+1, UTC+2 from the last Sunday of March to the last of October, changed at 01:00 UTC. New York is UTC-5,
UTC-4 from the second Sunday of March to the first of November, changed at 2:00 of the clock. Lord Howe is UTC+10:30,
UTC+11 from the first Sunday of October to the first of April, changed at 2:00 of the clock.
"""

from __future__ import annotations

import pytest

from contracts.times import DAY, HOUR, SECOND, from_rfc3339
from services.trigger.engine.timing import QuietHours, Timing
from tests.support.desk import Desk

STAYS = ""
"""What is due there is due there."""

Row = tuple[str, str, str]
"""The quiet hours, an instant, and the instant to which it is moved."""

PARIS_SPRING: list[Row] = [
    # Quiet all over the change: they end an hour early by the sun.
    ("22:00-08:00", "{eve}T20:59:59.999999Z", STAYS),
    ("22:00-08:00", "{eve}T21:00:00Z", "{day}T06:00:00Z"),
    ("22:00-08:00", "{day}T01:00:00Z", "{day}T06:00:00Z"),
    ("22:00-08:00", "{day}T05:59:59Z", "{day}T06:00:00Z"),
    ("22:00-08:00", "{day}T06:00:00Z", STAYS),
    ("01:30-03:30", "{day}T00:45:00Z", "{day}T01:30:00Z"),
    # 02:30 is skipped: the clocks show 03:00 instead.
    ("22:00-02:30", "{eve}T22:00:00Z", "{day}T01:00:00Z"),
    ("22:00-02:30", "{day}T00:59:59Z", "{day}T01:00:00Z"),
    ("22:00-02:30", "{day}T01:00:00Z", STAYS),
    ("22:00-02:00", "{eve}T22:00:00Z", "{day}T01:00:00Z"),
    ("22:00-03:00", "{eve}T22:00:00Z", "{day}T01:00:00Z"),
    ("02:30-08:00", "{day}T00:59:59Z", STAYS),
    ("02:30-08:00", "{day}T01:00:00Z", "{day}T06:00:00Z"),
    # Hours that do not come on that day, and do on the day before.
    ("02:10-02:50", "{eve}T01:20:00Z", "{eve}T01:50:00Z"),
    ("02:10-02:50", "{day}T00:59:59Z", STAYS),
    ("02:10-02:50", "{day}T01:00:00Z", STAYS),
    ("02:10-02:50", "{day}T01:20:00Z", STAYS),
    ("02:00-03:00", "{day}T01:00:00Z", STAYS),
]
PARIS_AUTUMN: list[Row] = [
    ("22:00-08:00", "{eve}T19:59:59Z", STAYS),
    ("22:00-08:00", "{eve}T20:00:00Z", "{day}T07:00:00Z"),
    ("22:00-08:00", "{day}T00:30:00Z", "{day}T07:00:00Z"),
    ("22:00-08:00", "{day}T01:30:00Z", "{day}T07:00:00Z"),
    ("22:00-08:00", "{day}T07:00:00Z", STAYS),
    ("01:30-03:30", "{eve}T23:45:00Z", "{day}T02:30:00Z"),
    # 02:30 comes twice: the first one ends them; when the clocks show 02:00 again, they are on again up to the second.
    ("22:00-02:30", "{eve}T21:00:00Z", "{day}T00:30:00Z"),
    ("22:00-02:30", "{day}T00:30:00Z", STAYS),
    ("22:00-02:30", "{day}T00:59:59Z", STAYS),
    ("22:00-02:30", "{day}T01:00:00Z", "{day}T01:30:00Z"),
    ("22:00-02:30", "{day}T01:30:00Z", STAYS),
    ("22:00-02:00", "{eve}T21:00:00Z", "{day}T00:00:00Z"),
    ("22:00-02:00", "{day}T01:00:00Z", STAYS),
    ("22:00-03:00", "{eve}T21:00:00Z", "{day}T02:00:00Z"),
    ("02:30-08:00", "{day}T00:29:59Z", STAYS),
    ("02:30-08:00", "{day}T00:30:00Z", "{day}T07:00:00Z"),
    ("02:30-08:00", "{day}T01:00:00Z", STAYS),
    ("02:30-08:00", "{day}T01:30:00Z", "{day}T07:00:00Z"),
    # Hours that come twice on that day.
    ("02:10-02:50", "{day}T00:20:00Z", "{day}T00:50:00Z"),
    ("02:10-02:50", "{day}T00:55:00Z", STAYS),
    ("02:10-02:50", "{day}T01:20:00Z", "{day}T01:50:00Z"),
    ("02:00-03:00", "{day}T00:00:00Z", "{day}T02:00:00Z"),
    ("02:00-03:00", "{day}T01:30:00Z", "{day}T02:00:00Z"),
]
NEW_YORK_SPRING: list[Row] = [
    ("22:00-08:00", "{day}T02:59:59Z", STAYS),
    ("22:00-08:00", "{day}T03:00:00Z", "{day}T12:00:00Z"),
    ("22:00-08:00", "{day}T12:00:00Z", STAYS),
    ("01:30-03:30", "{day}T06:45:00Z", "{day}T07:30:00Z"),
    ("22:00-02:30", "{day}T04:00:00Z", "{day}T07:00:00Z"),
    ("22:00-02:30", "{day}T07:00:00Z", STAYS),
    ("02:30-08:00", "{day}T06:59:59Z", STAYS),
    ("02:30-08:00", "{day}T07:00:00Z", "{day}T12:00:00Z"),
    ("02:10-02:50", "{day}T06:59:59Z", STAYS),
    ("02:10-02:50", "{day}T07:15:00Z", STAYS),
    ("02:10-02:50", "{eve}T07:15:00Z", "{eve}T07:50:00Z"),
]
NEW_YORK_AUTUMN: list[Row] = [
    ("22:00-08:00", "{day}T01:59:59Z", STAYS),
    ("22:00-08:00", "{day}T02:00:00Z", "{day}T13:00:00Z"),
    ("22:00-08:00", "{day}T06:30:00Z", "{day}T13:00:00Z"),
    ("00:30-02:30", "{day}T04:45:00Z", "{day}T07:30:00Z"),
    ("22:00-01:30", "{day}T03:00:00Z", "{day}T05:30:00Z"),
    ("22:00-01:30", "{day}T05:45:00Z", STAYS),
    ("22:00-01:30", "{day}T06:00:00Z", "{day}T06:30:00Z"),
    ("01:30-08:00", "{day}T05:29:59Z", STAYS),
    ("01:30-08:00", "{day}T05:30:00Z", "{day}T13:00:00Z"),
    ("01:30-08:00", "{day}T06:10:00Z", STAYS),
    ("01:30-08:00", "{day}T06:30:00Z", "{day}T13:00:00Z"),
    ("01:10-01:50", "{day}T05:20:00Z", "{day}T05:50:00Z"),
    ("01:10-01:50", "{day}T05:55:00Z", STAYS),
    ("01:10-01:50", "{day}T06:20:00Z", "{day}T06:50:00Z"),
    ("01:00-02:00", "{day}T05:00:00Z", "{day}T07:00:00Z"),
    ("01:00-02:00", "{day}T06:30:00Z", "{day}T07:00:00Z"),
]
LORD_HOWE_SPRING: list[Row] = [
    ("22:00-06:00", "2026-10-03T12:00:00Z", "2026-10-03T19:00:00Z"),
    ("22:00-02:15", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"),
    ("22:00-02:15", "2026-10-03T15:30:00Z", STAYS),
    ("02:15-06:00", "2026-10-03T15:29:59Z", STAYS),
    ("02:15-06:00", "2026-10-03T15:30:00Z", "2026-10-03T19:00:00Z"),
]
LORD_HOWE_AUTUMN: list[Row] = [
    ("22:00-06:00", "2026-04-04T12:00:00Z", "2026-04-04T19:30:00Z"),
    ("22:00-01:45", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z"),
    ("22:00-01:45", "2026-04-04T14:50:00Z", STAYS),
    ("22:00-01:45", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z"),
    ("01:45-06:00", "2026-04-04T14:45:00Z", "2026-04-04T19:30:00Z"),
    ("01:45-06:00", "2026-04-04T15:05:00Z", STAYS),
    ("01:45-06:00", "2026-04-04T15:15:00Z", "2026-04-04T19:30:00Z"),
]
NO_CHANGE: list[Row] = [
    ("22:00-08:00", "2026-03-28T16:29:59Z", STAYS),
    ("22:00-08:00", "2026-03-28T16:30:00Z", "2026-03-29T02:30:00Z"),
    ("22:00-08:00", "2026-10-25T02:29:59Z", "2026-10-25T02:30:00Z"),
    ("09:00-17:00", "2026-10-25T03:30:00Z", "2026-10-25T11:30:00Z"),
    ("00:00-23:59", "2026-10-25T18:29:59Z", "2026-10-25T18:29:59Z"),
    ("00:00-23:59", "2026-10-25T18:30:00Z", "2026-10-26T18:29:00Z"),
]
SWITCHES = [
    ("Europe/Paris", "2026-03-28", "2026-03-29", PARIS_SPRING),
    ("Europe/Paris", "2027-03-27", "2027-03-28", PARIS_SPRING),
    ("Europe/Paris", "2026-10-24", "2026-10-25", PARIS_AUTUMN),
    ("Europe/Paris", "2027-10-30", "2027-10-31", PARIS_AUTUMN),
    ("America/New_York", "2026-03-07", "2026-03-08", NEW_YORK_SPRING),
    ("America/New_York", "2027-03-13", "2027-03-14", NEW_YORK_SPRING),
    ("America/New_York", "2026-10-31", "2026-11-01", NEW_YORK_AUTUMN),
    ("America/New_York", "2027-11-06", "2027-11-07", NEW_YORK_AUTUMN),
    ("Australia/Lord_Howe", "", "", LORD_HOWE_SPRING),
    ("Australia/Lord_Howe", "", "", LORD_HOWE_AUTUMN),
    ("Asia/Kolkata", "", "", NO_CHANGE),
]
CASES = [
    (zone, hours, instant.format(eve=eve, day=day), (moved or instant).format(eve=eve, day=day))
    for zone, eve, day, rows in SWITCHES
    for hours, instant, moved in rows
]


def setting(zone: str, hours: str) -> dict[str, str]:
    """The setting, as in the API."""
    begin, _, end = hours.partition("-")
    return {"zone": zone, "from": begin, "to": end}


@pytest.mark.parametrize(("zone", "hours", "instant", "expected"), CASES)
def test_what_would_be_due_in_the_quiet_hours_is_due_at_their_end(
    zone: str, hours: str, instant: str, expected: str
) -> None:
    timing = Timing(length=2 * HOUR, quiet=QuietHours.parse(setting(zone, hours)))
    last = from_rfc3339(instant) - 2 * HOUR

    due = timing.due(last - HOUR, last)

    assert due == from_rfc3339(expected)
    assert timing.quiet is not None
    assert timing.quiet.leave(due) == due, "what has left the quiet hours is not in them"


@pytest.mark.parametrize(
    ("zone", "hours", "last", "expected"),
    [
        ("Europe/Paris", "22:00-08:00", "2026-03-28T20:00:00Z", "2026-03-29T06:00:00Z"),
        ("Europe/Paris", "22:00-08:00", "2027-10-30T23:30:00Z", "2027-10-31T07:00:00Z"),
        ("Europe/Paris", "22:00-02:30", "2026-03-28T22:30:00Z", "2026-03-29T01:00:00Z"),
        ("America/New_York", "22:00-08:00", "2027-03-14T02:00:00Z", "2027-03-14T12:00:00Z"),
        ("America/New_York", "01:10-01:50", "2026-11-01T04:20:00Z", "2026-11-01T06:50:00Z"),
    ],
)
def test_the_moment_is_raised_then_and_not_a_microsecond_before(
    database_url: str, zone: str, hours: str, last: str, expected: str
) -> None:
    """From the signal to the raise, on a database, two hours after the last activity and past the quiet hours."""
    desk = Desk(database_url, from_rfc3339(last))
    desk.run(since=desk.now - DAY, duration="PT2H", quietHours=setting(zone, hours))
    desk.add("ada")
    due = from_rfc3339(expected)

    desk.clock.set(due - 1)
    assert desk.fire() == 0
    desk.clock.set(due)
    assert desk.fire() == 1

    assert desk.outcomes() == [("ada", True, "", due)]
    desk.clock.advance(SECOND)
    assert desk.differences() == []
    desk.close()
