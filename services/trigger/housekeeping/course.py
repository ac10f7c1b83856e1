"""The course of moments: which states took effect when, and which waits an edit re-timed; back-tests read it."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.housekeeping.processes import signals_kept
from services.trigger.store.course import forget_course


def forget_course_of_moments(house: House) -> Iterator[int]:
    """Forget what took effect before the signals that are kept."""
    while gone := forget_course(house.rows, house.now - signals_kept(house)):
        yield gone
