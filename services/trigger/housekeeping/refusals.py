"""Signals that ingestion refused."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.refused import forget_contents, forget_overflow, forget_refusals
from services.trigger.store.replays import forget_replays


def forget_refused(house: House) -> Iterator[int]:
    """Forget what was refused before the time for which refusals are kept, and what is too much."""
    while True:
        gone = forget_refusals(house.rows, house.now - house.settings.refusals_kept) or forget_overflow(house.rows)
        yield gone
        if not gone:
            break
    while emptied := forget_contents(house.rows, house.settings.refusals_size):
        yield emptied
    yield forget_replays(house.rows, house.now - house.settings.audit_retention)
