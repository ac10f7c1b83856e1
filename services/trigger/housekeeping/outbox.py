"""Messages that were sent: the audit looks at those of the last hour."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.times import HOUR
from services.trigger.housekeeping.house import House
from services.trigger.store.forgetting import CHUNK
from shared.outbox import forget_sent


def forget_messages(house: House) -> Iterator[int]:
    """Forget what the broker confirmed an hour ago."""
    while True:
        gone = forget_sent(house.rows.database, house.now - HOUR, CHUNK)
        yield gone
        if gone < CHUNK:
            return
