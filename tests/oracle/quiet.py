"""Quiet hours (§4, §6.2): a wall clock in a zone, and where its quiet hours end. Minute by minute, so slowly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """From and to (`22:00`) on the wall clock of an IANA zone: quiet in [from, to), over midnight when to is less."""

    zone: str
    start: str
    end: str

    def hold(self, instant: int) -> bool:
        """Whether the wall clock shows a quiet hour at the instant."""
        local = (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(self.zone))
        wall, start, end = local.time(), time.fromisoformat(self.start), time.fromisoformat(self.end)
        return start <= wall < end if start < end else wall >= start or wall < end


@cache
def moved(instant: int, quiet: QuietHours | None) -> int:
    """`q` of §6.2: the instant, or the first one after it at which the wall clock shows no quiet hour any more."""
    if quiet is None or not quiet.hold(instant):
        return instant
    instant -= instant % MINUTE
    while quiet.hold(instant):
        instant += MINUTE
    return instant
