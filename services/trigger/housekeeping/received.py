"""The hours in which kinds of signals were received."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.housekeeping.processes import signals_kept
from services.trigger.store.received import HOURS_KEPT, forget_received


def forget_received_kinds(house: House) -> Iterator[int]:
    """Forget hours that nobody asks for any more, and kinds of which no signal is kept."""
    yield forget_received(house.rows, house.now - HOURS_KEPT, house.now - max(signals_kept(house), HOURS_KEPT))
