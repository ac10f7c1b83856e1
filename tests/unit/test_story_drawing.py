"""The drawn timeline: where things lie, over changes of the clocks, without length, and by thousands."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, from_rfc3339
from services.config.ui.stories.drawing import Axis, axis_of, draw_axis, draw_row
from services.config.ui.stories.rows import rows_of
from services.config.ui.stories.story import Occurrence
from tests.support.stories import act, minutes, story_of

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


def drawn(occurrence: Occurrence, now: float = 600, zone: ZoneInfo = UTC) -> tuple[Axis, list[Any]]:
    """The axis of an occurrence, and its rows as elements."""
    axis = axis_of(occurrence, minutes(now), zone)
    rows = [draw_row(axis, row, occurrence.state) for row in rows_of(occurrence)]
    return axis, [ElementTree.fromstring(row) for row in rows]


def only(*acts: Any, **given: Any) -> Occurrence:
    (found,) = story_of(*acts, **given).occurrences
    return found


def lines(row: Any, name: str) -> list[tuple[float, float]]:
    """From where to where the lines of a class go, in per cent."""
    found = row.iter("line")
    return [
        (float(each.get("x1")[:-1]), float(each.get("x2")[:-1])) for each in found if name in each.get("class").split()
    ]


def marks(row: Any) -> list[tuple[str, float]]:
    """The marks and where they stand."""
    found = [each for each in row.iter("svg") if each.get("class") == "tl-mark"]
    return [(each[0].get("class").removeprefix("tl-mark-"), float(each.get("x")[:-1])) for each in found]


def test_bars_grow_to_their_due_and_the_raise_is_marked_there() -> None:
    found = only(act(0), act(30), act(60), duration="PT2H")

    axis, rows = drawn(found)

    begin, dues = axis.place(minutes(0)), [axis.place(minutes(at)) for at in (120, 150, 180)]
    assert [lines(row, "tl-ahead") for row in rows[:3]] == [[(begin, due)] for due in dues]
    assert [lines(row, "tl-waited") for row in rows[:3]] == [[(begin, axis.place(minutes(at)))] for at in (0, 30, 60)]
    assert [marks(row) for row in rows] == [[("waiting", due)] for due in dues] + [[("raised", dues[2])]]
    assert lines(rows[3], "tl-raised") == [(begin, dues[2])]
    assert dues[0] < dues[1] < dues[2] < 100


def test_an_end_is_marked_where_it_happened_and_what_was_not_waited_is_dotted() -> None:
    axis, rows = drawn(only(act(0), act(106, "cart/purchase"), duration="PT2H"))

    end, due = axis.place(minutes(106)), axis.place(minutes(120))
    assert marks(rows[-1]) == [("ended", end)]
    assert lines(rows[-1], "tl-ended") == [(axis.place(minutes(0)), end)]
    assert lines(rows[-1], "tl-never") == [(end, due)]


def test_a_late_signal_stands_at_its_time_with_a_line_to_its_arrival() -> None:
    axis, rows = drawn(only(act(0), act(20, late=20), duration="PT2H"))

    late = rows[1]
    assert lines(late, "tl-late") == [(axis.place(minutes(20)), axis.place(minutes(40)))]
    rings = [float(each.get("cx")[:-1]) for each in late.iter("circle") if each.get("class") == "tl-signal"]
    assert rings == [axis.place(minutes(20))]


def test_quiet_hours_are_shaded_from_the_due_that_it_would_have_had() -> None:
    quiet = {"zone": "UTC", "from": "09:30", "to": "11:00"}
    axis, rows = drawn(only(act(0), duration="PT2H", quietHours=quiet))

    (shade,) = [each for each in rows[0].iter("rect") if each.get("class") == "tl-quiet"]
    left, width = float(shade.get("x")[:-1]), float(shade.get("width")[:-1])
    assert left == axis.place(minutes(120))
    assert left + width == pytest.approx(axis.place(minutes(180)), abs=0.02)
    assert marks(rows[0]) == [("waiting", axis.place(minutes(180)))]


def test_a_cool_down_that_decided_is_shaded_to_its_end() -> None:
    story = story_of(act(0), act(200), duration="PT2H", coolDown="PT4H")
    newest = next(each for each in story.occurrences if each.reason == "cool_down")

    axis, rows = drawn(newest)

    (shade,) = [each for each in rows[-1].iter("rect") if each.get("class") == "tl-cool"]
    assert float(shade.get("x")[:-1]) == 0
    assert float(shade.get("width")[:-1]) == axis.place(minutes(360)) < 100
    assert marks(rows[-1]) == [("suppressed", axis.place(minutes(320)))]


def test_a_recovery_soon_after_is_on_the_axis_and_one_long_after_at_its_edge() -> None:
    axis, rows = drawn(only(act(0), act(150, "cart/purchase"), duration="PT2H"))
    assert marks(rows[-1]) == [("recovered", axis.place(minutes(150)))]
    assert axis.place(minutes(150)) < 100

    axis, rows = drawn(only(act(0), act(6000, "cart/purchase"), duration="PT2H"), now=7000)
    assert marks(rows[-1]) == [("recovered", 100.0)]
    assert axis.end < minutes(300)


def test_what_waits_reaches_to_its_due_with_a_line_for_now() -> None:
    axis, rows = drawn(only(act(0), duration="PT2H", until=60), now=60)

    assert axis.now == minutes(60)
    assert lines(rows[0], "tl-now") == [(axis.place(minutes(60)),) * 2]
    done, _ = drawn(only(act(0), duration="PT2H"))
    assert done.now is None


def test_a_wait_without_length_is_drawn_all_the_same() -> None:
    axis, rows = drawn(only(act(0, "cart/purchase"), type="post_purchase"))

    assert axis.end - axis.start >= SECOND
    assert marks(rows[-1])[0][0] == "raised"
    assert 0 < marks(rows[-1])[0][1] < 100


def test_thousands_of_signals_are_a_small_picture() -> None:
    found = only(*(act(n / 20, "cart/add") for n in range(4000)), duration="PT2H")

    axis = axis_of(found, minutes(600), UTC)
    pictures = [draw_row(axis, row, found.state) for row in rows_of(found)]

    assert sum(len(picture) for picture in pictures) < 20_000


def test_nothing_is_ever_drawn_outside() -> None:
    for gaps in ((0, 1, 2, 5000), (0, 0, 0), (0, 119.99, 239.98), (0, 300, 301, 3000)):
        for found in story_of(*(act(at, late=at % 3) for at in gaps), duration="PT2H").occurrences:
            _, rows = drawn(found, now=9000)
            for row in rows:
                places = re.findall(r'\b(?:x|x1|x2|cx)="([-\d.]+)%"', ElementTree.tostring(row, encoding="unicode"))
                assert places
                assert all(0 <= float(place) <= 100 for place in places)


@pytest.mark.parametrize(
    ("begin", "span", "labels"),
    [
        ("2026-11-26T10:00:00Z", 2 * HOUR, ["10:00", "10:30", "11:00", "11:30", "12:00"]),
        ("2026-11-26T10:00:05Z", 4 * SECOND, ["10:00:05", "10:00:06", "10:00:07", "10:00:08", "10:00:09"]),
        ("2026-11-26T22:10:00Z", 4 * HOUR, ["23:00", "Fri 27 Nov", "01:00", "02:00"]),
        ("2026-11-26T22:10:00Z", 3 * DAY, ["27 Nov", "28 Nov", "29 Nov"]),
        ("2026-01-01T00:00:00Z", 300 * DAY, 5),
        ("2026-01-01T00:00:00Z", 90 * MINUTE, ["Thu 1 Jan", "00:30", "01:00", "01:30"]),
    ],
)
def test_ticks_are_few_and_round(begin: str, span: int, labels: Any) -> None:
    at = from_rfc3339(begin)

    ticks = Axis(at, at + span, UTC).ticks()

    found = [label for _, label in ticks]
    assert found == labels if isinstance(labels, list) else 2 <= len(found) <= labels
    assert [place for place, _ in ticks] == sorted({place for place, _ in ticks})


def test_an_hour_that_the_clocks_skip_has_no_tick_and_one_that_they_repeat_has_one() -> None:
    spring = from_rfc3339("2026-03-29T00:30:00+01:00")
    autumn = from_rfc3339("2026-10-25T00:30:00+02:00")

    forward = Axis(spring, spring + 5 * HOUR, BERLIN).ticks()
    backward = Axis(autumn, autumn + 5 * HOUR, BERLIN).ticks()

    halves = Axis(spring, spring + 5 * HOUR // 2, BERLIN).ticks()
    assert [label for _, label in forward] == ["01:00", "03:00", "04:00", "05:00", "06:00"]
    assert [label for _, label in halves] == ["00:30", "01:00", "01:30", "03:00", "03:30", "04:00"]
    assert [label for _, label in backward] == ["01:00", "02:00", "03:00", "04:00"]
    gaps = [round(b - a) for (a, _), (b, _) in pairwise(backward)]
    assert gaps == [20, 40, 20]


def test_the_head_has_its_times_and_no_words_of_others() -> None:
    axis = Axis(minutes(0), minutes(120), UTC, minutes(30))

    head = draw_axis(axis, '<b>"now"')

    assert "<b>" not in head
    texts = [each.text for each in ElementTree.fromstring(head).iter("text")]
    assert texts == ["08:00", "08:30", "09:00", "09:30", "10:00"]
    assert "style=" not in head
