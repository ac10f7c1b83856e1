"""What an edit of the timing does to a pending wait (DOMAIN §5): pure, for the settling and for the preview."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.times import MINUTE, SECOND
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Wait
from services.trigger.engine.timing import Timing

SPREAD = MINUTE
_FRESH = 10 * SECOND
"""An edit that is settled within this time counts from the instant at which it was made."""


@dataclass(frozen=True, slots=True)
class Retimed:
    """`before`: the due that stood before the edit. `due`: that of the settings now in force, perhaps long past.

    `at_once`: the edit, and not the passing of time, made it due.
    """

    before: int
    due: int
    at_once: bool


def retime(moment: Moment, wait: Wait, settled: int) -> Retimed:
    """What the settings since version `settled` do to a wait that no edit has given a due of its own.

    Pure in the edit's own instant, not in the one at which it is settled: done again it gives the same. Settings that
    were in force already when the wait's last activity was received move nothing.
    """
    versions, opened, last = moment.versions, wait.opened[0], wait.last[0]
    received = wait.received[-1] if wait.received else wait.latest_received
    known = [index for index, version in enumerate(versions) if version.number <= settled or version.since <= received]
    base = known[-1] if known else 0
    before, due = versions[base].timing.due(opened, last), versions[-1].timing.due(opened, last)
    if base == len(versions) - 1:
        return Retimed(before, due, at_once=False)
    return Retimed(before, due, at_once=due <= versions[-1].since and before > versions[base + 1].since)


def spread_start(moment: Moment, now: int) -> int:
    """Where the minute begins over which dues are spread: at the edit, or now when it is known late.

    A minute that would touch the quiet hours begins at their end.
    """
    edited = moment.versions[-1].since
    start = edited if 0 <= now - edited < _FRESH else now
    return _outside(moment.timing, start)


def _outside(timing: Timing, start: int) -> int:
    if timing.quiet is None:
        return start
    end = timing.quiet.leave(start + SPREAD)
    return max(timing.quiet.leave(start), end if end != start + SPREAD else 0)


def spread_places(start: int, placed: int, count: int) -> Iterator[int]:
    """`count` dues, evenly up to the end of the minute that begins at `start`.

    `placed`: the latest due given already by a settling that was cut off, or 0: these go on behind it.
    """
    begin, end = max(start, placed), start + SPREAD
    if begin >= end:
        begin = start
    return (begin + (end - begin) * (place + 1) // count for place in range(count))
