"""After the tombstone: looking through what names a customer without an index, or was written by somebody meanwhile.

Twice, with a pause that outlasts every transaction (`shared.store` cuts those off that rest): then the erasure is done,
once every service has answered, and its row names nobody any more. Only what was there by the erasure goes: the
customer may have come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import structlog

from contracts.times import SECOND
from contracts.topology import ERASURE_READERS
from services.trigger.erasing import SERVICE, erased_message_id
from services.trigger.housekeeping.house import Duty, House
from services.trigger.store import sweeping as store
from services.trigger.store.erasures import (
    ERASED,
    Erasure,
    add_erased_counts,
    answers,
    erasures_in,
    note_done,
    note_sweep,
)
from services.trigger.store.rows import Rows
from shared.broker import Broker
from shared.store import fold_log

AGAIN_AFTER = 40 * SECOND
"""Longer than any transaction of another process may rest."""
_SWEEPS = 2
_CHUNK = 1_000
_LOOKS = 20_000
"""Rows of a chunk times customers who are looked for: many erasures at once make no long transaction."""
_log = structlog.get_logger("trigger.erasing")


def sweep(house: House) -> Iterator[int]:
    """Look through the stores for all whose time has come, at once; yields how many rows went with each chunk."""
    due = [each for each in due_erasures(house.rows, house.now) if each.partition in house.owned]
    swept = [each for each in due if each.sweeps < _SWEEPS or _all_have_answered(house.rows, each)]
    if swept:
        yield from _look_through(house.rows, swept)
    for each in due:
        _finish(house, each, looked=each in swept)
        yield 0


SWEEPS = (Duty("erasures", sweep, everywhere=True),)


def due_erasures(rows: Rows, now: int) -> list[Erasure]:
    """Those whose stores are to be looked through now."""
    return [each for each in erasures_in(rows, ERASED) if (each.next_at or 0) <= now]


class Sweeps:
    """Calls for looks when their time comes, and sees that SQLite's log does not keep old pages. For one thread."""

    def __init__(self, rows: Rows, broker: Broker, call: Callable[[], None]) -> None:
        self._rows = rows
        self._broker = broker
        self._call = call
        self._underway = self._folded = False

    def look(self, now: int) -> None:
        """Is it time? Between the transactions of the caller."""
        rows = self._rows
        underway = bool(rows.execute("SELECT 1 FROM erasures WHERE state <> 'done' LIMIT 1"))
        due = bool(due_erasures(rows, now))
        if due:
            self._call()
        self._folded = self._folded and not due and underway == self._underway
        self._underway = underway
        if not self._folded:
            self._folded = fold_log(rows.database) and self._broker.fold()


def _look_through(rows: Rows, erasures: list[Erasure]) -> Iterator[int]:
    sought = store.Sought.of(erasures, {each.id: erased_message_id(each.id) for each in erasures})
    chunk = max(1, min(_CHUNK, _LOOKS // len(erasures)))
    for name, walk in store.WALKS:
        place: int | None = 0
        while place is not None:
            gone, place = walk(rows, sought, place, chunk)
            for erasure_id, count in gone.items():
                add_erased_counts(rows, erasure_id, SERVICE, {name: count})
            yield sum(Counter(gone).values())


def _finish(house: House, erasure: Erasure, *, looked: bool) -> None:
    """Done when this was at least the second look, and began after every service had answered."""
    complete = _all_have_answered(house.rows, erasure, by=house.now)
    if looked and complete and erasure.sweeps + 1 >= _SWEEPS and not store.is_being_read(house.rows, erasure):
        note_done(house.rows, erasure.id, house.now)
        _log.info("erasing.done", erasure=erasure.id)
        return
    note_sweep(house.rows, erasure.id, house.now + AGAIN_AFTER, looked=looked)


def _all_have_answered(rows: Rows, erasure: Erasure, by: int | None = None) -> bool:
    found = answers(rows, erasure.id)
    return all(reader in found and (by is None or found[reader] <= by) for reader in ERASURE_READERS)
