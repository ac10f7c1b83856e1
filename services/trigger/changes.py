"""What a moment's new state does to waits: stop, start, new timing (DOMAIN §5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice

from contracts.signals import decode_signal
from contracts.times import MINUTE
from services.trigger.engine.application import profile_of
from services.trigger.engine.apply import derive
from services.trigger.engine.effects import Effects
from services.trigger.engine.membership import membership_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.retiming import retime, spread_places, spread_start
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import ready_of, stop_wait
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache, Stored
from services.trigger.store.course import note_retimed, note_settlement
from services.trigger.store.keys import process_key, profile_key
from services.trigger.store.records import last_sequence, recent_signals, save_effects, settle, settled_versions
from services.trigger.store.rows import Rows, chunks
from services.trigger.store.shelf import BatchShelf
from services.trigger.store.waits import DueWait, move_waits, waits_of_moment

_CHUNK = 500

Transaction = Callable[[], AbstractContextManager[Rows]]


@dataclass(slots=True)
class _Lot:
    """What an edit makes due at once, with the dues that stood. `placed`: the latest due given to such a wait, or 0."""

    waits: list[tuple[int, DueWait]] = field(default_factory=list)
    placed: int = 0

    def take(self, before: int, row: DueWait, wait: Wait) -> None:
        """One more; a due that was given stands."""
        if wait.override:
            self.placed = max(self.placed, wait.override)
        else:
            self.waits.append((before, row))


class Changes:
    """Applies states to the waits of owned partitions, a chunk to a transaction.

    `transaction` opens one that holds the fence. A change that was cut off is done again: every step finds what is
    left to do, and the moment is settled last.
    """

    def __init__(self, transaction: Transaction, registry: Registry, cache: Cache):
        self._cache = cache
        self._transaction = transaction
        self._registry = registry

    def settle(
        self,
        moment: Moment,
        version: int,
        partitions: Sequence[int],
        now: int,
        *,
        new_run: bool = True,
        new_timing: bool = True,
    ) -> None:
        """Do what the moment's newest state means for the partitions' waits.

        `new_run`, `new_timing`: whether the run or the timing may differ from what is settled already.
        """
        if not moment.running:
            self._stop(moment, partitions, now, only_old=False)
        else:
            if new_run:
                self._stop(moment, partitions, now, only_old=True)
                self._catch_up(moment, set(partitions), now)
            if new_timing:
                self._retime(moment, partitions, now)
        with self._transaction() as rows:
            settle(rows, moment.id, partitions, version, moment.run)
            note_settlement(rows, self._registry.states[moment.id], partitions, now)

    def _stop(self, moment: Moment, partitions: Sequence[int], now: int, *, only_old: bool) -> None:
        """Suppress the pending waits; `only_old`: those of an earlier run (a stop and start while away)."""
        with self._transaction() as rows:
            pending = waits_of_moment(rows, moment.id, partitions)
        for chunk in chunks(pending, _CHUNK):
            with self._transaction() as rows:
                shelf, effects = BatchShelf(rows, self._cache), Effects(after=last_sequence(rows))
                for row, stored, wait in _found(shelf, moment, chunk):
                    track = stored.process.tracks[moment.id]
                    if not only_old or track.run != moment.run:
                        stop_wait(track, row.key[0], moment, wait, effects)
                        shelf.touch(row.key[0])
                shelf.save()
                save_effects(rows, effects, shelf.stored, chunk[0].partition, now)

    def _retime(self, moment: Moment, partitions: Sequence[int], now: int) -> None:
        """Move the index entries of waits to the dues of the settings now in force.

        What thereby is due at once gets dues spread evenly over a minute, in the order of the original dues; a
        settling that was cut off goes on behind the dues that it gave.
        """
        with self._transaction() as rows:
            pending = waits_of_moment(rows, moment.id, partitions)
            settled = settled_versions(rows, partitions)
        numbers = {partition: settled.get((moment.id, partition), (0, 0))[0] for partition in partitions}
        lot = _Lot()
        for chunk in chunks(pending, _CHUNK):
            with self._transaction() as rows:
                self._retime_chunk(rows, moment, chunk, numbers, lot)
        lot.waits.sort(key=lambda pair: (pair[0], pair[1].key))
        dues = spread_places(spread_start(moment, now), lot.placed, len(lot.waits))
        for chunk in chunks((row for _, row in lot.waits), _CHUNK):
            with self._transaction() as rows:
                self._spread_chunk(rows, moment, chunk, list(islice(dues, len(chunk))))

    def _retime_chunk(
        self, rows: Rows, moment: Moment, chunk: Sequence[DueWait], settled: Mapping[int, int], lot: _Lot
    ) -> None:
        shelf, moved = BatchShelf(rows, self._cache), []
        for row, _, wait in _found(shelf, moment, chunk):
            edit = retime(moment, wait, settled[row.partition])
            if edit.at_once:
                lot.take(edit.before, row, wait)
                continue
            ready = ready_of(moment, wait)
            if ready != wait.armed:
                wait.armed = ready
                moved.append((ready, row.key))
                shelf.touch(row.key[0])
        shelf.save()
        move_waits(rows, moved)

    def _spread_chunk(self, rows: Rows, moment: Moment, chunk: Sequence[DueWait], dues: Sequence[int]) -> None:
        shelf, moved, given = BatchShelf(rows, self._cache), [], []
        places = {row.key: due for row, due in zip(chunk, dues, strict=True)}
        for row, stored, wait in _found(shelf, moment, chunk):
            wait.override = places[row.key]
            wait.armed = ready_of(moment, wait)
            moved.append((wait.armed, row.key))
            given.append((stored.profile_key, row.key[0], wait.number, wait.override))
            shelf.touch(row.key[0])
        shelf.save()
        move_waits(rows, moved)
        note_retimed(rows, moment.id, self._registry.states[moment.id].version, given)

    def _catch_up(self, moment: Moment, partitions: set[int], now: int) -> None:
        """Open the waits of signals that were applied before the start of the run was known here."""
        with self._transaction() as rows:
            bodies = recent_signals(rows, moment.run, MINUTE)
        signals = [signal for signal in map(decode_signal, bodies) if signal.configuration == moment.configuration]
        keys = {
            process_key(profile_key(profile_of(signal)), kind, name)
            for signal in signals
            for kind, name in membership_of(signal).own
            if kind == moment.template.process
        }
        for chunk in chunks(sorted(keys), _CHUNK):
            with self._transaction() as rows:
                self._derive(rows, moment, chunk, partitions, now)

    def _derive(self, rows: Rows, moment: Moment, keys: Sequence[bytes], partitions: set[int], now: int) -> None:
        shelf, effects = BatchShelf(rows, self._cache), Effects(after=last_sequence(rows))
        rules = self._registry.book.rules(moment.configuration, moment.template.process)
        behind = {
            key: stored
            for key, stored in shelf.fetch(keys).items()
            if stored.partition in partitions and _is_behind(stored, moment)
        }
        shelf.fetch_history(stored.process for stored in behind.values())
        for key, stored in behind.items():
            derive(stored.process, key, shelf.history(stored.process), rules, effects)
            shelf.touch(key)
        shelf.save()
        if behind:
            save_effects(rows, effects, shelf.stored, next(iter(behind.values())).partition, now)


def _is_behind(stored: Stored, moment: Moment) -> bool:
    track = stored.process.tracks.get(moment.id)
    return track is None or track.run != moment.run


def _found(shelf: BatchShelf, moment: Moment, chunk: Sequence[DueWait]) -> Iterator[tuple[DueWait, Stored, Wait]]:
    stored = shelf.fetch({row.key[0] for row in chunk})
    for row in chunk:
        place = stored.get(row.key[0])
        wait = place.process.wait(moment.id, row.key[2]) if place is not None else None
        if place is not None and wait is not None:
            yield row, place, wait
