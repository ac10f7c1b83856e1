"""Due and settle: pure functions of times (DOMAIN §6.2, §6.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from contracts.times import MINUTE, SECOND, from_datetime, to_datetime

SETTLE = 30 * SECOND
SETTLE_CAP = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local times of the day, minutes since midnight; `start` > `end` spans midnight."""

    zone: ZoneInfo
    start: int
    end: int

    @classmethod
    def parse(cls, setting: Mapping[str, str]) -> QuietHours:
        """From the setting's form in the API: zone, from, to."""
        return cls(ZoneInfo(setting["zone"]), _minutes(setting["from"]), _minutes(setting["to"]))

    def leave(self, instant: int) -> int:
        """The instant itself outside the quiet hours, else their end.

        An end that the clocks skip is the instant at which they jump, unless they jump over all that is not quiet
        that day; of a repeated end the first that is not past.
        """
        local = to_datetime(instant).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        spans = self.start > self.end
        inside = (minute >= self.start or minute < self.end) if spans else self.start <= minute < self.end
        if not inside:
            return instant
        day = local.date() + timedelta(days=1 if spans and minute >= self.start else 0)
        end = datetime(day.year, day.month, day.day, self.end // 60, self.end % 60, tzinfo=self.zone)
        return self.leave(self._instant(end, instant))

    def _instant(self, end: datetime, after: int) -> int:
        for fold in (0, 1):
            instant = from_datetime(end.replace(fold=fold))
            if instant > after and to_datetime(instant).astimezone(self.zone).replace(tzinfo=None) == end.replace(
                tzinfo=None
            ):
                return instant
        return max(_jump(end), after)


def _jump(end: datetime) -> int:
    """The instant of the clock change that skips the local time `end`."""
    assert end.tzinfo is not None
    low, high = sorted(from_datetime(end.replace(fold=fold)) for fold in (0, 1))
    offset = to_datetime(low).astimezone(end.tzinfo).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if to_datetime(middle).astimezone(end.tzinfo).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The settings that move a due time. `length`: duration, or the delay of an instant moment."""

    length: int
    instant: bool = False
    maximum: int | None = None
    quiet: QuietHours | None = None

    def due(self, opened: int, last: int) -> int:
        """When a wait with that opening and last activity comes due (DOMAIN §6.2)."""
        due = (opened if self.instant else last) + self.length
        if self.maximum is not None and opened + self.maximum < due:
            due = opened + self.maximum
        return due if self.quiet is None else self.quiet.leave(due)


def ready_at(due: int, latest_received: int, received: list[int]) -> int:
    """When a due wait may be decided (DOMAIN §6.6): at due, or later when signals came late.

    `received`: the receivedAt of its signals, at least those at or after `due`.
    """
    if due > latest_received:
        return due
    first_late = min(instant for instant in received if instant >= due)
    return max(due, min(latest_received + SETTLE, first_late + SETTLE_CAP))
