"""What a change of a moment would do to its pending waits, told before anything is saved (DOMAIN §5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from contracts.moments import MomentState, SettingsVersion, Status
from contracts.templates import Template
from contracts.times import HOUR
from services.trigger.engine.decide import Decision, decide, record
from services.trigger.engine.effects import WaitKey
from services.trigger.engine.filters import Past
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.engine.retiming import SPREAD, retime, spread_places, spread_start
from services.trigger.engine.state import Process, Wait
from services.trigger.engine.timing import ready_at
from services.trigger.engine.waits import due_of
from services.trigger.store.cache import Stored
from services.trigger.store.raises import last_raises, raised_orders
from services.trigger.store.reading import sampled_waits
from services.trigger.store.records import settled_versions
from services.trigger.store.rows import Rows, chunks
from services.trigger.store.shelf import BatchShelf
from services.trigger.store.waits import DueWait

MOST = 10_000
"""Waits that are looked at one by one; of more, a sample of so many stands for all."""

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Numbers of waits, as of `as_of` (µs). Of a sample (`exact` is False) they are scaled up.

    `moved`: those whose due changes, `earlier` and `later` of them. `due_at_once`: those that the change makes due;
    they are spread over the minute up to `spread_until`. `suppressed`: by a stop. `raises_before`, `raises_after`:
    expected within an hour without and with the change, if no signal comes.
    """

    as_of: int
    pending: int
    moved: int = 0
    earlier: int = 0
    later: int = 0
    due_at_once: int = 0
    spread_until: int | None = None
    suppressed: int = 0
    raises_before: int = 0
    raises_after: int = 0
    exact: bool = True


class _Move(NamedTuple):
    """A wait with the due that stands and the due that it would have, and when it could be decided by each."""

    row: DueWait
    before: int
    after: int
    ready_before: int
    ready_after: int


def preview(
    rows: Rows,
    state: MomentState,
    template: Template,
    now: int,
    *,
    settings: dict[str, Any] | None = None,
    status: Status | None = None,
    most: int = MOST,
) -> Preview:
    """The effect of a change, which must be a valid one. `rows`: a transaction that sees one state of all tables."""
    present, wanted = _moments(state, template, now, settings, status)
    pending, sample = sampled_waits(rows, state.id, most)
    found = Preview(as_of=now, pending=pending, exact=len(sample) == pending)
    if present is None or wanted is None or not sample:
        return found
    moves, at_once = _moves(rows, present, wanted, sample, now)
    scale = pending / len(sample)
    counts = Counter("earlier" if move.after < move.before else "later" for move in moves if move.after != move.before)
    before = _expected(rows, present, [(move.before, move.ready_before, move.row) for move in moves], now)
    if not wanted.running:
        return replace(found, suppressed=pending, raises_before=round(before * scale))
    after = before
    if wanted.settings != present.settings:
        after = _expected(rows, wanted, [(move.after, move.ready_after, move.row) for move in moves], now)
    return replace(
        found,
        moved=round(counts.total() * scale),
        earlier=round(counts["earlier"] * scale),
        later=round(counts["later"] * scale),
        due_at_once=round(at_once * scale),
        spread_until=spread_start(wanted, now) + SPREAD if at_once else None,
        raises_before=round(before * scale),
        raises_after=round(after * scale),
    )


def _moments(
    state: MomentState, template: Template, now: int, settings: dict[str, Any] | None, status: Status | None
) -> tuple[Moment | None, Moment | None]:
    """The moment as it is and as it would be; None when it has no settings, and so no waits."""
    if not state.history:
        return None, None
    present = compile_moment(state, template)
    history = state.history
    if settings is not None and settings != state.settings:
        history = (*history, SettingsVersion(version=state.version + 1, since=now, settings=settings))
    running = (status or state.status) == "running" and not state.deleted
    changed = compile_moment(msgspec.structs.replace(state, history=history), template)
    return present, replace(changed, running=running)


def _moves(rows: Rows, present: Moment, wanted: Moment, sample: Sequence[DueWait], now: int) -> tuple[list[_Move], int]:
    """What would become of each wait, and how many the change makes due at once."""
    settled = settled_versions(rows, {row.partition for row in sample})
    moves: list[_Move] = []
    lot: list[tuple[int, DueWait, Wait]] = []
    for row, _, wait in _waits(rows, present, sample):
        edit = retime(wanted, wait, settled.get((present.id, row.partition), (0, 0))[0])
        if edit.at_once and not wait.override:
            lot.append((edit.before, row, wait))
        else:
            moves.append(_move(row, wait, due_of(present, wait), due_of(wanted, wait)))
    lot.sort(key=lambda each: (each[0], each[1].key))
    places = spread_places(spread_start(wanted, now), 0, len(lot))
    moves += (_move(row, wait, due_of(present, wait), place) for (_, row, wait), place in zip(lot, places, strict=True))
    return moves, len(lot)


def _move(row: DueWait, wait: Wait, before: int, after: int) -> _Move:
    return _Move(
        row,
        before,
        after,
        ready_at(before, wait.latest_received, wait.received),
        ready_at(after, wait.latest_received, wait.received),
    )


def _expected(rows: Rows, moment: Moment, waits: Sequence[tuple[int, int, DueWait]], now: int) -> int:
    """How many of the waits (due, ready, row) would be raised within an hour, if no signal comes."""
    judge = _Judge(rows, moment)
    soon = [(due, row) for due, ready, row in waits if ready <= now + HOUR]
    soon.sort(key=lambda each: (each[0], each[1].key))
    return sum(judge.raised(chunk) for chunk in chunks(soon, _CHUNK))


class _Judge:
    """Decides waits in the order of their dues, as firing would, and writes nothing."""

    def __init__(self, rows: Rows, moment: Moment) -> None:
        self._rows = rows
        self._moment = moment
        self._again: dict[bytes, Process] = {}
        self._last: dict[bytes, int] = {}
        self._orders: defaultdict[bytes, set[str]] = defaultdict(set)
        self._known: set[bytes] = set()

    def raised(self, chunk: Sequence[tuple[int, DueWait]]) -> int:
        """How many of these are raised."""
        shelf = BatchShelf(self._rows)
        found = list(_waits(self._rows, self._moment, [row for _, row in chunk], shelf))
        shelf.fetch_history(stored.process for _, stored, _ in found)
        self._read_past({stored.profile_key for _, stored, _ in found})
        dues = {row.key: due for due, row in chunk}
        return sum(self._decide(shelf, row.key, stored, wait, dues[row.key]) for row, stored, wait in found)

    def _decide(self, shelf: BatchShelf, key: WaitKey, stored: Stored, wait: Wait, due: int) -> bool:
        profile, process = stored.profile_key, self._again.get(key[0], stored.process)
        wait.override = due
        outcome = decide(
            process,
            stored.identity,
            self._moment,
            wait,
            shelf.history(stored.process),
            now=max(due, wait.latest_received) + HOUR,
            past=Past(last_due=self._last.get(profile), orders=self._orders[profile]),
        )
        assert isinstance(outcome, Decision)
        record(process.tracks[self._moment.id], wait, outcome)
        if len(process.tracks[self._moment.id].waits) > 0:
            self._again[key[0]] = process
        if outcome.raised:
            self._last[profile] = max(self._last.get(profile, 0), outcome.due)
            self._orders[profile].update(outcome.orders)
        return outcome.raised

    def _read_past(self, profiles: set[bytes]) -> None:
        """Load the raises that cool-downs and orders are held against, once for a profile."""
        new = profiles - self._known
        self._known |= new
        if self._moment.settings.get("coolDown"):
            self._last.update(last_raises(self._rows, self._moment.id, new))
        if self._moment.template.once_per == "order":
            self._orders.update(raised_orders(self._rows, self._moment.id, new))


def _waits(
    rows: Rows, moment: Moment, wanted: Sequence[DueWait], shelf: BatchShelf | None = None
) -> Iterator[tuple[DueWait, Stored, Wait]]:
    """The waits of index rows in the moment's present run, with their processes."""
    for chunk in chunks(wanted, _CHUNK):
        place = shelf if shelf is not None else BatchShelf(rows)
        stored = place.fetch({row.key[0] for row in chunk})
        for row in chunk:
            process = stored[row.key[0]].process if row.key[0] in stored else None
            track = process.tracks.get(moment.id) if process is not None else None
            wait = next((wait for wait in track.waits if wait.number == row.key[2]), None) if track else None
            if track is not None and wait is not None and track.run == moment.run:
                yield row, stored[row.key[0]], wait
