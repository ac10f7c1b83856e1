"""The engine leaves quiet hours when a walk over the clock, minute by minute, does (DOMAIN §4, §6.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import event, given
from hypothesis import strategies as st

from contracts.times import HOUR, MINUTE, SECOND
from services.trigger.engine.timing import QuietHours
from tests.oracle import quiet as oracle
from tests.oracle.budget import drawn

SWITCHES = {  # both switches of a year, and a zone that has none
    "Europe/Paris": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),  # by half an hour
    "America/Santiago": ("2026-04-05T03:00", "2026-09-06T04:00"),  # at midnight
    "Asia/Tokyo": ("2026-06-01T00:00",),
}


def instant_of(text: str) -> int:
    """µs of an instant in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def clock_times() -> st.SearchStrategy[str]:
    """Times of the day, mostly near those that a switch leaves out or repeats."""
    near = st.builds(
        lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 3), st.sampled_from((0, 1, 29, 30, 59))
    )
    anywhere = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
    return st.one_of(near, near, anywhere)


@drawn(300)
@given(data=st.data())
def test_quiet_hours_end_where_the_clock_says(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(sorted(SWITCHES)))
    switch = instant_of(data.draw(st.sampled_from(SWITCHES[zone])))
    instant = switch + data.draw(st.integers(-30, 30)) * HOUR // 2 + data.draw(st.integers(-MINUTE, MINUTE))
    start, end = data.draw(clock_times()), data.draw(clock_times())
    if start == end:
        return
    setting = {"zone": zone, "from": start, "to": end}

    quiet = oracle.QuietHours(zone=zone, start=start, end=end)

    moved = oracle.moved(instant, quiet)
    left = QuietHours.parse(setting).leave(instant)

    event("moved" if moved != instant else "not quiet")
    if moved != instant and _clock(zone, moved).utcoffset() != _clock(zone, instant).utcoffset():
        event("over a switch")
    if moved != instant and quiet.hold(moved - 1) and _wall(zone, moved) < _wall(zone, moved - 1):
        event("the clock goes back to before the quiet hours: their end is the next one")
        assert left > moved
        assert not quiet.hold(left)
        return
    assert left == moved


def _clock(zone: str, instant: int) -> datetime:
    """What the clock shows."""
    return datetime.fromtimestamp(instant / SECOND, ZoneInfo(zone))


def _wall(zone: str, instant: int) -> datetime:
    return _clock(zone, instant).replace(tzinfo=None)
