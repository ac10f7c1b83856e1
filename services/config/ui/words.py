"""Numbers, money, spans and instants as people read them."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup, escape

from contracts.times import SECOND, from_rfc3339, parse_duration, to_datetime, to_rfc3339
from services.config.ui.texts import t

UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
"""Unit of a span in forms → seconds, the greatest first."""

_WHOLE_CURRENCIES = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905 - to be read
)
_INSTANT = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")
_THOUSANDTHS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


def number(value: float | None) -> str:
    """`1,234`, `0.5`; what is not known is a dash."""
    if value is None:
        return t("frame.unknown")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def money(amount: float | None, currency: str) -> str:
    """`12.50 EUR`, with the decimals that the currency has."""
    if amount is None:
        return t("frame.unknown")
    decimals = 0 if currency in _WHOLE_CURRENCIES else 3 if currency in _THOUSANDTHS else 2
    return f"{amount:,.{decimals}f} {currency}"


def share(part: float | None, whole: float | None) -> str:
    """`12.5 %`, never broken in two; of nothing there is no share."""
    if part is None or not whole:
        return t("frame.unknown")
    return f"{100 * part / whole:.1f}".removesuffix(".0") + "\u00a0%"


def span_parts(seconds: int) -> tuple[int, str]:
    """A span as a number and the greatest unit in which it is whole: 7200 → (2, `h`)."""
    for unit, size in UNITS:
        if seconds and seconds % size == 0:
            return seconds // size, unit
    return seconds, "s"


def span(microseconds: int) -> str:
    """`2 hours`, `1 day 6 hours`: the two greatest units that are not empty; below a second, milliseconds."""
    if 0 < abs(microseconds) < SECOND:
        return t("frame.span.ms", n=round(microseconds / 1000))
    rest, found = abs(microseconds) // SECOND, []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count:
            found.append(t(f"frame.span.{unit}", n=count))
    return " ".join(found[:2]) or t("frame.span.s", n=0)


def duration(text: str) -> str:
    """The words of an ISO 8601 duration: `PT2H` → `2 hours`."""
    return span(parse_duration(text))


def zone_named(name: str) -> ZoneInfo:
    """The time zone of a name; UTC when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def micros_of(value: int | str) -> int:
    """Microseconds of an instant that is microseconds or RFC 3339 text."""
    return value if isinstance(value, int) else from_rfc3339(value)


def local(value: int | str, zone: ZoneInfo) -> datetime:
    """An instant on the clocks of a zone."""
    return to_datetime(micros_of(value)).astimezone(zone)


def exact(value: int | str, zone: ZoneInfo) -> str:
    """`26 Nov 2026, 11:04:05 CET`, as shown on hover."""
    moment = local(value, zone)
    return f"{moment:%-d %b %Y, %H:%M:%S} {moment.tzname()}"


def instant(value: int | str, now: int, zone: ZoneInfo) -> Markup:
    """A `<time>`: the hour when it is of today, the day and hour of this year, else the date; the exact on hover."""
    moment, today = local(value, zone), local(now, zone)
    if moment.date() == today.date():
        shown = f"{moment:%H:%M:%S}"
    elif moment.year == today.year:
        shown = f"{moment:%-d %b, %H:%M}"
    else:
        shown = f"{moment:%-d %b %Y}"
    return _time(value, zone, shown)


def with_instants(text: str, now: int, zone: ZoneInfo) -> Markup:
    """A text of trigger with its RFC 3339 instants as people read them; the rest is escaped."""
    pieces = [
        _told(piece, now, zone) if place % 2 else escape(piece) for place, piece in enumerate(_INSTANT.split(text))
    ]
    return Markup("").join(pieces)


def _told(text: str, now: int, zone: ZoneInfo) -> Markup:
    """An instant; what only looks like one, as an id of somebody may, stays as it is."""
    try:
        return instant(text, now, zone)
    except (ValueError, OverflowError):
        return escape(text)


def ago(value: int | str | None, now: int, zone: ZoneInfo) -> Markup:
    """A `<time>` that grows older while it is looked at: `3 min ago`; `never` for None."""
    if value is None:
        return Markup('<span class="muted">{}</span>').format(t("frame.never"))
    return _time(value, zone, ago_words(now - micros_of(value)), live=True)


def ago_words(age: int) -> str:
    """How long ago in one unit; what lies ahead is `in …`."""
    seconds = abs(age) // SECOND
    if seconds < 1:
        return t("frame.ago.now")
    unit, size = next((unit, size) for unit, size in UNITS if seconds >= size)
    return t(f"frame.{'ago' if age >= 0 else 'ahead'}.{unit}", count=seconds // size)


def _time(value: int | str, zone: ZoneInfo, shown: str, *, live: bool = False) -> Markup:
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        to_rfc3339(micros_of(value)), exact(value, zone), Markup(" data-ago") if live else "", shown
    )
