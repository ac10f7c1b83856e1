"""Anonymous customers: what is held of them, who they were told to be, and from where that joins profiles."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.anonymous import HANDED_KNOWN, count_anonymous, forget_anonymous
from services.trigger.store.sources import forget_sources


def forget_anonymous_customers(house: House) -> Iterator[int]:
    """Forget what was received, and the links that were used, before the time for which they are kept."""
    while True:
        now = house.now
        signals, others = forget_anonymous(house.rows, now - house.settings.anonymous_kept, now - HANDED_KNOWN)
        count_anonymous(house.rows, 0, {"expired": signals})
        yield signals + others
        if not signals + others:
            break
    looked_at = 1
    while looked_at:
        looked_at, gone = forget_sources(house.rows, house.now - house.settings.anonymous_kept, house.now)
        yield gone
