"""Numbers, money, spans and instants as the app says them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, from_rfc3339
from services.config.ui import words

PARIS = ZoneInfo("Europe/Paris")
NOW = from_rfc3339("2026-11-26T10:00:00Z")


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (1234567, "1,234,567"), (0.5, "0.5"), (2.0, "2"), (None, "–"), (1e9, "1,000,000,000")]
)
def test_numbers_have_their_thousands_and_the_unknown_is_no_zero(value: float | None, told: str) -> None:
    assert words.number(value) == told


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [(12.5, "EUR", "12.50 EUR"), (1200, "JPY", "1,200 JPY"), (1.5, "KWD", "1.500 KWD"), (None, "EUR", "–")],
)
def test_money_has_the_decimals_of_its_currency(amount: float | None, currency: str, told: str) -> None:
    assert words.money(amount, currency) == told


def test_of_nothing_there_is_no_share() -> None:
    assert words.share(1, 0) == "–"
    assert words.share(1, 8) == "12.5\u00a0%"
    assert words.share(2, 2) == "100\u00a0%"


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (0, "0 seconds"),
        (SECOND, "1 second"),
        (2 * HOUR, "2 hours"),
        (DAY + 6 * HOUR + 5 * MINUTE, "1 day 6 hours"),
        (90 * SECOND, "1 minute 30 seconds"),
        (250_000, "250 ms"),
    ],
)
def test_spans_are_told_in_their_two_greatest_units(length: int, told: str) -> None:
    assert words.span(length) == told


@pytest.mark.parametrize(("seconds", "parts"), [(7200, (2, "h")), (5400, (90, "m")), (86400, (1, "d")), (0, (0, "s"))])
def test_a_span_in_a_form_has_the_greatest_unit_in_which_it_is_whole(seconds: int, parts: tuple[int, str]) -> None:
    assert words.span_parts(seconds) == parts


def test_an_instant_of_today_is_the_hour_of_the_viewers_zone() -> None:
    told = words.instant("2026-11-26T09:00:05Z", NOW, PARIS)

    assert ">10:00:05<" in told
    assert 'title="26 Nov 2026, 10:00:05 CET"' in told
    assert 'datetime="2026-11-26T09:00:05.000Z"' in told


def test_older_instants_have_their_day_and_those_of_other_years_their_date() -> None:
    assert ">25 Nov, 23:59<" in words.instant("2026-11-25T22:59:00Z", NOW, PARIS)
    assert ">31 Dec 2025<" in words.instant("2025-12-31T12:00:00Z", NOW, PARIS)


@pytest.mark.parametrize(
    ("age", "told"),
    [(0, "just now"), (5 * SECOND, "5 s ago"), (3 * MINUTE, "3 min ago"), (-2 * HOUR, "in 2 h"), (9 * DAY, "9 d ago")],
)
def test_ages_are_told_in_one_unit(age: int, told: str) -> None:
    assert words.ago_words(age) == told


def test_what_never_happened_is_never() -> None:
    assert "never" in words.ago(None, NOW, PARIS)


@pytest.mark.parametrize("name", ["Nowhere/Land", "", "../etc/passwd", "x" * 300])
def test_a_zone_that_does_not_exist_is_utc(name: str) -> None:
    assert words.zone_named(name).key == "UTC"


def test_instants_in_a_text_are_told_by_the_clock_of_the_viewer_and_the_rest_is_escaped() -> None:
    told = words.with_instants("<b> at 2026-11-26T09:00:01.5Z, not 2026-99-99T99:99:99Z.", NOW, PARIS)

    assert str(told).startswith("&lt;b&gt; at <time ")
    assert ">10:00:01</time>, not 2026-99-99T99:99:99Z." in told
    assert words.with_instants("nothing", NOW, PARIS) == "nothing"
