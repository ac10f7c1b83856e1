"""Scales and charts: round ticks, clocks that change, and what is drawn of nothing, of one, of huge numbers."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from contracts.times import DAY, HOUR, MINUTE, from_rfc3339
from services.config.ui.charts import Series, bar, sparkline, time_chart
from services.config.ui.scales import compact, number_ticks, time_ticks, time_words

BERLIN, UTC, DELHI = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata")
NOON = from_rfc3339("2026-06-10T12:00:00Z")


def hours(start: str, count: int) -> list[int]:
    return [from_rfc3339(start) + HOUR * n for n in range(count)]


def drawn(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def path_of(markup: str, name: str) -> str:
    found = re.search(rf'class="[^"]*{name}[^"]*"[^>]* d="([^"]*)"', markup)
    assert found is not None, markup
    return found[1]


def tops_of(path: str) -> list[tuple[float, float, float]]:
    """(left, foot, height) of each bar."""
    bars = re.findall(r"M([\d.]+) ([\d.]+)v-([\d.]+)h[\d.]+v([\d.]+)z", path)
    assert len(bars) == path.count("M")
    return [(float(left), float(foot), float(tall)) for left, foot, tall, _ in bars]


@pytest.mark.parametrize(
    ("most", "ticks"),
    [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (5, [0, 2, 4, 6]), (10, [0, 5, 10]), (97, [0, 50, 100]), (0.4, [0, 1])],
)
def test_ticks_of_numbers_are_round_and_whole(most: float, ticks: list[int]) -> None:
    assert number_ticks(most) == ticks


@pytest.mark.parametrize("most", [3, 7, 11, 99, 101, 12_345, 10**9 + 1, 9 * 10**17])
def test_ticks_cover_the_numbers_evenly_and_are_few(most: int) -> None:
    ticks = number_ticks(most)

    assert ticks[0] == 0
    assert ticks[-2] < most <= ticks[-1]
    assert len(ticks) <= 5
    assert len({after - before for before, after in pairwise(ticks)}) == 1


def test_numbers_on_axes_are_short() -> None:
    shown = [compact(value) for value in (0, 7, 999, 1000, 1200, 99_900, 100_000, 1_500_000, 3 * 10**9, 2 * 10**15)]
    assert shown == ["0", "7", "999", "1k", "1.2k", "99.9k", "100k", "1.5M", "3B", "2P"]


def test_a_day_is_labelled_at_round_hours_of_the_viewers_clocks() -> None:
    ticks = time_ticks(hours("2026-06-10T13:00:00Z", 24), HOUR, BERLIN)

    assert [tick.label for tick in ticks] == ["15:00", "18:00", "21:00", "Thu 11", "03:00", "06:00", "09:00", "12:00"]
    assert [tick.index for tick in ticks] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert [tick.label for tick in ticks if tick.narrow] == ["15:00", "21:00", "03:00", "09:00"]


def test_hours_of_a_zone_with_half_an_hour_are_told_as_they_are() -> None:
    ticks = time_ticks(hours("2026-06-10T00:00:00Z", 24), HOUR, DELHI)

    assert [tick.label for tick in ticks][:2] == ["06:30", "09:30"]


def test_the_night_in_which_the_clocks_go_back_labels_no_hour_twice_and_tells_them_apart() -> None:
    night = hours("2026-10-24T22:00:00Z", 6)

    assert [tick.label for tick in time_ticks(night, HOUR, BERLIN)] == ["Sun 25", "01:00", "02:00", "03:00", "04:00"]
    assert time_words(night, HOUR, BERLIN)[2:4] == ["Sun 25 Oct, 02:00 CEST", "Sun 25 Oct, 02:00 CET"]
    assert time_words(night[:2], HOUR, BERLIN) == ["Sun 25 Oct, 00:00", "Sun 25 Oct, 01:00"]


def test_the_night_in_which_the_clocks_go_forward_leaves_a_gap() -> None:
    night = hours("2026-03-28T23:00:00Z", 5)

    assert [tick.label for tick in time_ticks(night, HOUR, BERLIN)] == ["Sun 29", "01:00", "03:00", "04:00", "05:00"]


@pytest.mark.parametrize("span", [MINUTE, HOUR, 3 * HOUR, DAY])
@pytest.mark.parametrize("count", [0, 1, 2, 15, 24, 30, 60, 168, 400, 1500])
def test_labels_are_never_too_many_nor_missing(span: int, count: int) -> None:
    ticks = time_ticks([NOON + span * n for n in range(count)], span, BERLIN)

    assert len(ticks) <= 9
    assert sum(tick.narrow for tick in ticks) <= 4
    assert bool(ticks) == bool(count)
    assert all(0 <= tick.index < count for tick in ticks)


def test_days_are_labelled_by_their_date() -> None:
    ticks = time_ticks([NOON + DAY * n for n in range(30)], DAY, UTC)

    assert ticks[0].label == "10 Jun" or ticks[0].index > 0
    assert {re.sub(r"\d+ ", "", tick.label) for tick in ticks} == {"Jun", "Jul"}
    assert time_words([NOON], DAY, UTC) == ["Wed 10 Jun"]
    assert time_words([NOON], MINUTE, BERLIN) == ["14:00"]


def test_bars_stand_upon_each_other_and_reach_the_top_of_the_scale() -> None:
    bars = [
        Series("raised", "Raised", [1, 0, 5]),
        Series("ended", "Ended", [1, 2, 3]),
        Series("suppressed", "S", [0, 0, 2]),
    ]

    svg = time_chart("when", hours("2026-06-10T00:00:00Z", 3), HOUR, UTC, bars, title="T", description="D")

    assert re.findall(r'text-anchor="end" y="[^"]*">(\d+)<', svg) == ["0", "5", "10"]
    assert [(foot, tall) for _, foot, tall in tops_of(path_of(svg, "fill-raised"))] == [(150, 15), (150, 75)]
    assert [(foot, tall) for _, foot, tall in tops_of(path_of(svg, "fill-ended"))] == [(135, 15), (150, 30), (75, 45)]
    assert tops_of(path_of(svg, "striped")) == [(20.75, 30, 30)]
    assert 'fill="url(#when-stripes)"' in svg


def test_the_line_has_its_own_scale_and_breaks_where_nothing_is_known() -> None:
    line = Series("waiting", "Waiting", [1000, 500, None, 250, None, 0])
    bars = [Series("raised", "Raised", [1] * 6)]

    svg = time_chart("when", hours("2026-06-10T00:00:00Z", 6), HOUR, UTC, bars, line, title="T", description="D")

    assert path_of(svg, "stroke-waiting") == "M5 0L15 28M30 42h10M50 56h10"
    assert ">1k<" in svg
    assert ">Waiting<" in svg


@pytest.mark.parametrize("values", [[], [0], [7], [0, 0, 0], [10**17, 1], [None, None]])
def test_nothing_one_zero_and_huge_numbers_are_drawn(values: list[int | None]) -> None:
    times = [NOON + MINUTE * n for n in range(len(values))]

    svg = time_chart(
        "when",
        times,
        MINUTE,
        UTC,
        [Series("raised", "R", values)],
        Series("waiting", "W", values),
        title="T",
        description="D",
    )

    drawn(svg)
    assert "nan" not in svg
    assert "inf" not in svg
    assert len(tops_of(path_of(svg, "fill-raised"))) == sum(1 for value in values if value)
    assert all(tall >= 1.5 for *_, tall in tops_of(path_of(svg, "fill-raised")))
    assert all(foot - tall >= -0.01 for _, foot, tall in tops_of(path_of(svg, "fill-raised")))


def test_where_there_are_no_bars_it_says_so() -> None:
    def chart(raised: int) -> str:
        bars = [Series("raised", "R", [raised])]
        return time_chart("when", [NOON], HOUR, UTC, bars, title="T", description="D", quiet="No <bars>")

    assert "No &lt;bars&gt;" in chart(0)
    assert "bars&gt;" not in chart(1)


def test_names_are_told_and_cannot_become_markup() -> None:
    hostile = '<script>"&\u202e'

    svg = time_chart("when", [NOON], HOUR, UTC, [], Series("waiting", hostile, [1]), title=hostile, description=hostile)

    root = drawn(svg)
    names = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    assert [names[id] for id in (root.get("aria-labelledby") or "").split()] == [hostile, hostile]
    assert "script" not in {element.tag for element in root.iter()}
    assert drawn(sparkline([1], 1, hostile))[0].text == hostile


def test_no_inline_style_is_made() -> None:
    svg = time_chart("when", [NOON], HOUR, UTC, [Series("raised", "R", [1])], title="T", description="D")
    assert "style" not in svg + sparkline([1, 2], 2, "T") + bar(1, 2)


def test_sparklines_of_one_scale_can_be_compared_and_show_the_smallest() -> None:
    assert tops_of(path_of(sparkline([0, 50, 100], 100, "T"), "fill-raised")) == [(10.75, 25, 12.5), (20.75, 25, 25)]
    assert tops_of(path_of(sparkline([1], 10_000, "T"), "fill-raised")) == [(0.75, 25, 1.5)]
    assert tops_of(path_of(sparkline([300], 100, "T"), "fill-raised")) == [(0.75, 25, 25)]
    assert path_of(sparkline([0, 0], 0, "T"), "fill-raised") == ""
    drawn(sparkline([], 0, "T"))


def test_a_level_bar_shows_a_share() -> None:
    def width(value: float, most: float) -> str:
        return drawn(bar(value, most))[1].get("width") or ""

    assert [width(1, 4), width(4, 4), width(9, 4), width(0, 4), width(1, 10**6), width(0, 0)] == [
        *("25%", "100%", "100%", "0%", "0.5%", "0%")
    ]
