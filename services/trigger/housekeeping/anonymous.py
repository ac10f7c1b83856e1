"""Anonymous customers: what is held of them, and who they were told to be."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.anonymous import HANDED_KNOWN, count_anonymous, forget_anonymous


def forget_anonymous_customers(house: House) -> Iterator[int]:
    """Forget what was received, and the links that were used, before the time for which they are kept."""
    while True:
        now = house.now
        signals, others = forget_anonymous(house.rows, now - house.settings.anonymous_kept, now - HANDED_KNOWN)
        count_anonymous(house.rows, 0, {"expired": signals})
        yield signals + others
        if not signals + others:
            return
