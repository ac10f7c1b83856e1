"""What a moment's new state does to waits: stop, start, new timing (DOMAIN §5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import TypeVar

from contracts.signals import decode_signal
from contracts.times import MINUTE
from services.trigger.engine.application import profile_of
from services.trigger.engine.apply import derive
from services.trigger.engine.effects import Effects
from services.trigger.engine.membership import membership_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import ready_of, stop_wait
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache, Stored
from services.trigger.store.course import note_retimed, note_settlement
from services.trigger.store.keys import process_key, profile_key
from services.trigger.store.records import (
    DueWait,
    last_sequence,
    move_waits,
    recent_signals,
    save_effects,
    settle,
    waits_of_moment,
)
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import BatchShelf

SPREAD = MINUTE
_CHUNK = 500

T = TypeVar("T")
Transaction = Callable[[], AbstractContextManager[Rows]]


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
        for chunk in _chunks(pending):
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

        What thereby is due at once gets dues spread evenly over a minute, in the order of the original dues.
        """
        with self._transaction() as rows:
            pending = waits_of_moment(rows, moment.id, partitions)
        overdue: list[tuple[int, DueWait]] = []
        for chunk in _chunks(pending):
            with self._transaction() as rows:
                overdue += self._retime_chunk(rows, moment, chunk, now)
        overdue.sort(key=lambda pair: (pair[0], pair[1].key))
        place = {row.key: now + SPREAD * (index + 1) // len(overdue) for index, (_, row) in enumerate(overdue)}
        for chunk in _chunks([row for _, row in overdue]):
            with self._transaction() as rows:
                shelf = BatchShelf(rows, self._cache)
                moved, given = [], []
                for row, stored, wait in _found(shelf, moment, chunk):
                    wait.override = wait.armed = place[row.key]
                    moved.append((wait.armed, row.key))
                    given.append((stored.profile_key, row.key[0], wait.number, wait.override))
                    shelf.touch(row.key[0])
                shelf.save()
                move_waits(rows, moved)
                note_retimed(rows, moment.id, self._registry.states[moment.id].version, given)

    def _retime_chunk(
        self, rows: Rows, moment: Moment, chunk: Sequence[DueWait], now: int
    ) -> list[tuple[int, DueWait]]:
        shelf = BatchShelf(rows, self._cache)
        moved: list[tuple[int, tuple[bytes, str, int]]] = []
        overdue = []
        for row, _, wait in _found(shelf, moment, chunk):
            before, ready = _due_before(moment, wait), ready_of(moment, wait)
            if wait.override or ready == wait.armed:
                continue
            if ready <= now < before:
                overdue.append((before, row))
                continue
            wait.armed = ready
            moved.append((ready, row.key))
            shelf.touch(row.key[0])
        shelf.save()
        move_waits(rows, moved)
        return overdue

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
        for chunk in _chunks(sorted(keys)):
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


def _due_before(moment: Moment, wait: Wait) -> int:
    """The due with the settings before the last edit; later than now when the edit brought it forward.

    Several edits may come together: no wait was due before the instant at which it stands in the index.
    """
    versions = moment.versions
    return max(wait.armed, versions[max(0, len(versions) - 2)].timing.due(wait.opened[0], wait.last[0]))


def _found(shelf: BatchShelf, moment: Moment, chunk: Sequence[DueWait]) -> Iterator[tuple[DueWait, Stored, Wait]]:
    stored = shelf.fetch({row.key[0] for row in chunk})
    for row in chunk:
        place = stored.get(row.key[0])
        track = place.process.tracks.get(moment.id) if place is not None else None
        wait = next((wait for wait in track.waits if wait.number == row.key[2]), None) if track is not None else None
        if place is not None and wait is not None:
            yield row, place, wait


def _chunks(values: Sequence[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
