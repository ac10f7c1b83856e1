"""Erasures that are done: their receipts, and the hashes by which repeats of erased signals are recognised."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.erasures import forget_barred_signals, forget_erasures
from services.trigger.store.forgetting import CHUNK


def forget_receipts(house: House) -> Iterator[int]:
    """Forget hashes of signals whose time is over, and receipts that were kept long enough.

    With its receipt goes what drops signals that were received before the erasure and still arrive.
    """
    while gone := forget_barred_signals(house.rows, house.now, CHUNK):
        yield gone
    while gone := forget_erasures(house.rows, house.now - house.settings.receipts_kept, CHUNK):
        yield gone
    yield 0
