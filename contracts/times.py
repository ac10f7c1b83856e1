"""Instants and durations: integers of microseconds inside, RFC 3339 and ISO 8601 text outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def from_datetime(value: datetime) -> int:
    """Microseconds since 1970 of an aware datetime; a naive one raises ValueError."""
    if value.tzinfo is None:
        raise ValueError("a time needs a zone")
    return (value - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """The aware UTC datetime of an instant in microseconds."""
    return _EPOCH + timedelta(microseconds=instant)


def to_rfc3339(instant: int) -> str:
    """`2026-11-23T10:15:30.123Z`: milliseconds where they suffice, else microseconds."""
    seconds, rest = divmod(instant, SECOND)
    if rest % 1000:
        return f"{_second(seconds)}.{rest:06d}Z"
    return f"{_second(seconds)}.{rest // 1000:03d}Z"


@lru_cache(4096)
def _second(seconds: int) -> str:
    """The text of a whole second: what is told together mostly happened in the same few."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")


def from_rfc3339(text: str) -> int:
    """Microseconds since 1970; text that is no date-time with a zone raises ValueError."""
    if "T" not in text and "t" not in text and " " not in text:
        raise ValueError("a time is a date-time with a zone, as 2026-11-23T10:15:30Z")
    return from_datetime(datetime.fromisoformat(text))


def parse_duration(text: str) -> int:
    """Microseconds of an ISO 8601 duration of days, hours, minutes and seconds (`PT2H`, `P1DT30M`)."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()) or text.endswith("T"):
        raise ValueError("a duration is written as in ISO 8601: PT10M, PT2H, P2D")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND


def format_duration(length: int) -> str:
    """The shortest ISO 8601 duration of whole seconds: `PT2H`, `P2D`, `PT0S`."""
    seconds = length // SECOND
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    date = f"{days}D" if days else ""
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"P{date}T{time}" if time else (f"P{date}" if date else "PT0S")
