"""What an answer means for a delivery and its webhook: done, again later, or given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from contracts.times import HOUR, MINUTE, SECOND, from_datetime
from services.trigger.webhooks.resources import Answer, State

DELAYS = (
    *(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    *(2 * HOUR, 5 * HOUR, 10 * HOUR, *(12 * HOUR,) * 5),
)
"""The pauses between attempts: about three days in all."""
LONGEST_RETRY_AFTER = 12 * HOUR
_JITTER = 0.2
_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows. `next_at`: the next attempt of a pending one. `pause_until`: the endpoint asked for a rest.

    `gone`: it wants no more events at all.
    """

    state: State
    next_at: int | None = None
    pause_until: int | None = None
    gone: bool = False


def judge(answer: Answer, attempts: int, now: int, factor: float, chance: float) -> Verdict:
    """The verdict on an answer to the attempt number `attempts` (from 1).

    `factor` stretches the pauses; `chance` (0 to 1) is the draw that scatters them by ±20 %.
    """
    if answer.delivered:
        return Verdict(state="delivered")
    if answer.status == _GONE:
        return Verdict(state="dead", gone=True)
    wished = asked_pause(answer, now)
    pause_until = None if wished is None else now + wished
    if attempts > len(DELAYS):
        return Verdict(state="dead", pause_until=pause_until)
    delay = int(DELAYS[attempts - 1] * factor * (1 - _JITTER + 2 * _JITTER * chance))
    return Verdict(state="pending", next_at=now + max(delay, wished or 0), pause_until=pause_until)


def asked_pause(answer: Answer, now: int) -> int | None:
    """The rest, in µs, that a 429 or 503 asks for by Retry-After (seconds or a date), at most 12 h; None for none."""
    if answer.status not in (_TOO_MANY, _UNAVAILABLE) or answer.retry_after is None:
        return None
    text = answer.retry_after.strip()
    if text.isascii() and text.isdigit():
        wished = int(text[:12]) * SECOND
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        wished = from_datetime(date if date.tzinfo is not None else date.replace(tzinfo=UTC)) - now
    return min(max(wished, 0), LONGEST_RETRY_AFTER)
