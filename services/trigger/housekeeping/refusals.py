"""Signals that ingestion refused."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.refused import forget_refusals


def forget_refused(house: House) -> Iterator[int]:
    """Forget what was refused before the time for which refusals are kept, and what is too much."""
    while True:
        gone = forget_refusals(house.rows, house.now - house.settings.refusals_kept)
        yield gone
        if not gone:
            return
