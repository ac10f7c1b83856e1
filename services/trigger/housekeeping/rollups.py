"""Roll-ups and the feed: buckets of minutes, hours and days, and the outcomes that listeners can ask for."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.forgetting import CHUNK
from services.trigger.store.rollups import FEED_KEPT, counted_moments, forget_feed, forget_some_rollups


def forget_rollups(house: House) -> Iterator[int]:
    """Forget, moment by moment and an hour's or a day's buckets at a time, what is kept no longer."""
    for moment in counted_moments(house.rows):
        while gone := forget_some_rollups(house.rows, moment, house.now, house.settings.minutes_kept):
            yield gone
        yield 0


def forget_outcomes(house: House) -> Iterator[int]:
    """Forget the outcomes that were fed an hour ago."""
    while gone := forget_feed(house.rows, house.now - FEED_KEPT, CHUNK):
        yield gone
