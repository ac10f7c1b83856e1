"""After the tombstone: looking through what names a customer without an index, or was written by somebody meanwhile.

Twice, with a pause that outlasts every transaction (`shared.store` cuts those off that rest): then the erasure is done,
once every service has answered, and its row names nobody any more. Only what was there by the erasure goes: the
customer may have come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import structlog

from contracts.times import SECOND
from contracts.topology import ERASURE_READERS
from services.trigger.clearing import clear_logs
from services.trigger.erasing import SERVICE, erased_message_id, resend_tombstones
from services.trigger.faltering import put_off
from services.trigger.housekeeping.house import Duty, House
from services.trigger.store import sweeping as store
from services.trigger.store.erasures import (
    ERASED,
    ERASING,
    Erasure,
    add_erased_counts,
    answers,
    due_erasures,
    note_done,
    note_sweep,
)
from services.trigger.store.records import Fenced
from services.trigger.store.rows import Rows
from shared.broker import Broker, Publisher
from shared.store import STORE_FAULTS, fold_log

AGAIN_AFTER = 40 * SECOND
"""Longer than any transaction of another process may rest."""
_SWEEPS = 2
_CHUNK = 1_000
_LOOKS = 20_000
"""Rows of a chunk times customers who are looked for: many erasures at once make no long transaction."""
_FAULTS: tuple[type[Exception], ...] = (*STORE_FAULTS, Fenced)
_log = structlog.get_logger("trigger.erasing")


def sweep(house: House) -> Iterator[int]:
    """Look through the stores for all whose time has come, at once; yields how many rows went with each chunk.

    One at which this fails is put off, and holds up nobody else.
    """
    due = [each for each in due_erasures(house.rows, house.now, ERASED) if each.partition in house.owned]
    swept = [each for each in due if each.sweeps < _SWEEPS or _all_have_answered(house.rows, each)]
    yield from _look(house, [each for each in swept if not each.failures])
    for each in swept:
        if each.failures:
            yield from _look(house, [each])
    for each in due:
        if each not in swept:
            note_sweep(house.rows, each.id, house.now + AGAIN_AFTER, looked=False)
            yield 0


def _look(house: House, erasures: Sequence[Erasure]) -> Iterator[int]:
    """Look through the stores for some; where that fails, for each half of them, down to the one that it is."""
    if not erasures:
        return
    try:
        yield from _look_through(house.rows, erasures)
        for each in erasures:
            with house.rows.database.atomic():
                _finish(house, each)
            yield 0
        return
    except _FAULTS:
        raise
    except Exception as error:
        if len(erasures) == 1:
            _log.exception("erasing.look_failed", erasure=erasures[0].id)
            put_off(house.rows, erasures[0], error, house.now)
    yield 0
    if len(erasures) > 1:
        half = len(erasures) // 2
        yield from _look(house, erasures[:half])
        yield from _look(house, erasures[half:])


SWEEPS = (Duty("logs", clear_logs, everywhere=True), Duty("erasures", sweep, everywhere=True))


def erasures_to_go_on_with(rows: Rows, now: int) -> list[Erasure]:
    """Those of which there is something to do now, beside taking tombstones."""
    return [*due_erasures(rows, now, ERASING), *due_erasures(rows, now, ERASED)]


class Sweeps:
    """Sends tombstones again and calls for looks when their time comes, and sees that SQLite's log does not keep old
    pages. For one thread.
    """

    def __init__(self, rows: Rows, broker: Broker, publisher: Publisher, call: Callable[[], None]) -> None:
        self._rows = rows
        self._broker = broker
        self._publisher = publisher
        self._call = call
        self._underway = self._folded = False

    def look(self, now: int) -> None:
        """Is it time? Between the transactions of the caller."""
        rows = self._rows
        resend_tombstones(rows, self._publisher, now)
        underway = bool(rows.execute("SELECT 1 FROM erasures WHERE state <> 'done' LIMIT 1"))
        due = bool(erasures_to_go_on_with(rows, now))
        if due:
            self._call()
        self._folded = self._folded and not due and underway == self._underway
        self._underway = underway
        if not self._folded:
            self._folded = fold_log(rows.database) and self._broker.fold()


def _look_through(rows: Rows, erasures: Sequence[Erasure]) -> Iterator[int]:
    """Each chunk in a transaction within the caller's: one that fails leaves nothing half done, and that one usable."""
    sought = store.Sought.of(erasures, {each.id: erased_message_id(each.id) for each in erasures})
    chunk = max(1, min(_CHUNK, _LOOKS // len(erasures)))
    for name, walk in store.WALKS:
        place: int | None = 0
        while place is not None:
            with rows.database.atomic():
                gone, place = walk(rows, sought, place, chunk)
                for erasure_id, count in gone.items():
                    add_erased_counts(rows, erasure_id, SERVICE, {name: count})
            yield sum(Counter(gone).values())


def _finish(house: House, erasure: Erasure) -> None:
    """Done when this was at least the second look, and began after every service had answered."""
    complete = _all_have_answered(house.rows, erasure, by=house.now)
    if complete and erasure.sweeps + 1 >= _SWEEPS and not store.is_being_read(house.rows, erasure):
        note_done(house.rows, erasure.id, house.now)
        _log.info("erasing.done", erasure=erasure.id)
        return
    note_sweep(house.rows, erasure.id, house.now + AGAIN_AFTER, looked=True)


def _all_have_answered(rows: Rows, erasure: Erasure, by: int | None = None) -> bool:
    found = answers(rows, erasure.id)
    return all(reader in found and (by is None or found[reader] <= by) for reader in ERASURE_READERS)
