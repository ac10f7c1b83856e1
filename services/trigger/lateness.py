"""Lateness: from the due of a raise to the broker's confirmation, counted in slots of equal ratio (DOMAIN §8)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from contracts.times import DAY
from services.trigger.store.raises import raised_dues
from services.trigger.store.rollups import LATE, Count, add_rollups
from services.trigger.store.rows import Rows
from shared.outbox import Sent

SLOTS_PER_DOUBLING = 4
_UNIT = 1_000
"""µs: what is quicker than that falls into the first slot."""
_LAST = math.ceil(math.log2(90 * DAY / _UNIT) * SLOTS_PER_DOUBLING)
_RAISES = "moment."


def slot_of(lateness: int) -> int:
    """The slot of a lateness in µs: slot n holds from 2^(n/4) ms to 2^((n+1)/4) ms; the first and last are open."""
    if lateness < _UNIT:
        return 0
    return min(math.floor(math.log2(lateness / _UNIT) * SLOTS_PER_DOUBLING), _LAST)


def quantile(slots: Mapping[int, int], share: float) -> float | None:
    """The lateness in ms that `share` of the counted raises did not exceed, off by at most the width of a slot (19 %).

    Within a slot it is taken to be spread evenly; None when nothing was counted.
    """
    total = sum(slots.values())
    if not total:
        return None
    wanted, passed = share * total, 0
    for slot, count in sorted(slots.items()):
        if count and passed + count >= wanted:
            lower = 0.0 if slot == 0 else 2 ** (slot / SLOTS_PER_DOUBLING)
            upper = 2 ** ((slot + 1) / SLOTS_PER_DOUBLING)
            return round(lower + (upper - lower) * (wanted - passed) / count, 1)
        passed += count
    raise AssertionError("a share is at most 1")


def slots_of(counters: Mapping[str, int]) -> dict[int, int]:
    """The slots among a moment's counters."""
    prefix = f"{LATE}:"
    return {int(name.removeprefix(prefix)): value for name, value in counters.items() if name.startswith(prefix)}


def note_sent(rows: Rows, sent: Sequence[Sent], now: int) -> None:
    """Count the raises among messages that the broker has confirmed, in the transaction that marks them as sent."""
    partitions = {each.message_id: each.partition for each in sent if each.routing_key.startswith(_RAISES)}
    counts: Counter[tuple[str, str, int]] = Counter()
    for raise_id, moment, due in raised_dues(rows, partitions):
        counts[moment, f"{LATE}:{slot_of(now - due):03d}", partitions[raise_id] or 0] += 1
    add_rollups(rows, [Count(*place, value) for place, value in counts.items()], now)
