"""The latest signals, accepted and refused, newest first: read from the ends of two logs, each in its own order.

A log is nearly in the order of receipt. What is looked for by its content is looked for in a bounded part of a log at
a time, and the answer says how far that went; a profile has an index.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple

import msgspec

from contracts.signals import Signal, decode_signal, sending_key
from contracts.times import SECOND
from contracts.wire import SignalRefused, SignalReplayed, decode_signal_refused, decode_signal_replayed
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Row, Rows

MOST_READ = 50_000
"""Rows of a log that one request looks through for what it is asked for."""
OVERLAP = 3 * SECOND
"""On PostgreSQL a transaction may commit after one with greater places: for so long, what came is told again."""

REFUSED_COLUMNS = "sequence, body, state, size, replay, answer"
_COLUMNS = {"signals": "sequence, body", "refused": REFUSED_COLUMNS}
_END = 2**62
_AT_FIRST = 100
_MOST_OF_PROFILE = 1_000
_LAST_KEY = b"\xff" * 13
_PAGE = 200


class Place(NamedTuple):
    """A place in both logs: sequences of the last signal and the last refusal that were shown."""

    signal: int
    refusal: int


class Tail(NamedTuple):
    """Up to where the logs were read. `after`: all before it is told. `top`: the ends as they were at `at` (µs)."""

    after_signal: int
    after_refusal: int
    at: int
    top_signal: int
    top_refusal: int

    @property
    def after(self) -> Place:
        """The places after which everything is news."""
        return Place(self.after_signal, self.after_refusal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for; None and empty: anything. `profiles`: one profile, for each configuration it may be of."""

    outcome: Literal["accepted", "refused"] | None = None
    kind: str | None = None
    configuration: str | None = None
    key: str | None = None
    reason: str | None = None
    profiles: Sequence[ProfileId] | None = None

    @property
    def in_text(self) -> list[bytes]:
        """What the bytes of a message hold, if it is one of those wanted."""
        names = (self.kind, self.configuration, self.key, self.reason)
        return [msgspec.json.encode(name) for name in names if name is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A signal of the log with its bytes."""

    sequence: int
    at: int
    signal: Signal
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A refusal. `state`, `size`, `answer`: see refused.py and replays.py."""

    sequence: int
    at: int
    refused: SignalRefused
    state: str
    size: int
    replay: str | None
    answer: SignalReplayed | None

    @property
    def replayable(self) -> bool:
        """Whether a replay may be asked for now."""
        return self.size > 0 and self.state in ("", "refused")


Entry = Accepted | Refused


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `next`: where to go on. `searched_since`: µs; from then on was looked, when that is not everything."""

    entries: list[Entry]
    next: Place | None
    searched_since: int | None


@dataclass(slots=True)
class _Log:
    """One of the two logs, as far as it is looked at. `floor`: entries of a greater place only."""

    table: str
    time: str
    before: int
    floor: int
    cut: bool = False
    taken: int = field(init=False)

    def __post_init__(self) -> None:
        self.taken = self.before

    def next_place(self, *, full: bool) -> int:
        """Where the next page begins: at the last one shown, or under all that was looked at."""
        return self.taken if full or not self.cut else min(self.taken, self.floor + 1)


def read_recent(rows: Rows, wanted: Wanted, *, before: Place | None, after: Place | None, limit: int) -> Found:
    """The newest entries of places before and after given ones."""
    begin, end = after or Place(0, 0), before or Place(_END, _END)
    signals = _bounded(rows, wanted, _Log("signals", "received_at", end.signal, begin.signal))
    refusals = _bounded(rows, wanted, _Log("refused", "at", end.refusal, begin.refusal))
    horizon = max((_instant_of(rows, log) for log in (signals, refusals) if log.cut), default=None)
    entries: list[Entry] = []
    merged = heapq.merge(
        _accepted(rows, wanted, signals), _refused(rows, wanted, refusals), key=lambda entry: entry.at, reverse=True
    )
    for entry in merged:
        if horizon is not None and entry.at < horizon:
            break
        entries.append(entry)
        log = signals if isinstance(entry, Accepted) else refusals
        log.taken = entry.sequence
        if len(entries) == limit:
            break
    full = len(entries) == limit
    if not full and horizon is None:
        return Found(entries, None, None)
    place = Place(signals.next_place(full=full), refusals.next_place(full=full))
    return Found(entries, place, None if full else horizon)


def tail(rows: Rows, before: Tail | None, now: int) -> Tail:
    """Up to where the logs are read by whoever reads them in this transaction, and what may still come before it."""
    signal, refusal = (
        int(rows.execute(f"SELECT max(sequence) FROM {table}")[0][0] or 0)  # noqa: S608 - two constants
        for table in ("signals", "refused")
    )
    if not rows.postgresql:
        return Tail(signal, refusal, now, signal, refusal)
    if before is None:
        return Tail(max(0, signal - _AT_FIRST), max(0, refusal - _AT_FIRST), now, signal, refusal)
    if now - before.at < OVERLAP:
        return before
    return Tail(before.top_signal, before.top_refusal, now, signal, refusal)


def accepted_of(rows: Rows, sequence: int) -> Accepted | None:
    """One signal of the log."""
    found = rows.execute("SELECT sequence, body FROM signals WHERE sequence = ?", (sequence,))
    return _as_accepted(found[0]) if found else None


def refused_of(rows: Rows, sequence: int) -> Refused | None:
    """One refusal."""
    found = rows.execute(f"SELECT {REFUSED_COLUMNS} FROM refused WHERE sequence = ?", (sequence,))  # noqa: S608
    return as_refused(found[0]) if found else None


def _bounded(rows: Rows, wanted: Wanted, log: _Log) -> _Log:
    """The part of a log that is looked through; all of it where an index leads."""
    if wanted.profiles is None and wanted.in_text:
        newest = rows.execute(f"SELECT max(sequence) FROM {log.table} WHERE sequence < ?", (log.before,))[0][0] or 0  # noqa: S608
        least = newest - MOST_READ
        if least > log.floor and _instant(rows, log, least) is not None:
            log.floor, log.cut = least, True
    return log


def _instant(rows: Rows, log: _Log, place: int) -> int | None:
    """When the entry at or before a place came."""
    sql = f"SELECT {log.time} FROM {log.table} WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"  # noqa: S608
    found = rows.execute(sql, (place,))
    return int(found[0][0]) if found else None


def _instant_of(rows: Rows, log: _Log) -> int:
    return _instant(rows, log, log.floor) or 0


def _accepted(rows: Rows, wanted: Wanted, log: _Log) -> Iterator[Entry]:
    if wanted.outcome == "refused" or wanted.reason is not None:
        return
    for row in _rows_of(rows, wanted, log, "key"):
        entry = _as_accepted(row)
        signal = entry.signal
        named = (signal.kind.name, signal.configuration, sending_key(signal))
        profile = ProfileId(signal.configuration, signal.id_type, signal.profile)
        if _fits(wanted, named, profile):
            yield entry


def _refused(rows: Rows, wanted: Wanted, log: _Log) -> Iterator[Entry]:
    if wanted.outcome == "accepted":
        return
    for row in _rows_of(rows, wanted, log, "profile_key"):
        entry = as_refused(row)
        refused = entry.refused
        named = (refused.kind, refused.configuration, refused.key or None)
        profile = ProfileId(refused.configuration, refused.id_type, refused.profile)
        if wanted.reason in (None, refused.code) and _fits(wanted, named, profile):
            yield entry


def _fits(wanted: Wanted, named: tuple[str, str, str | None], profile: ProfileId) -> bool:
    asked = (wanted.kind, wanted.configuration, wanted.key)
    return all(name is None or name == given for name, given in zip(asked, named, strict=True)) and (
        wanted.profiles is None or profile in wanted.profiles
    )


def _rows_of(rows: Rows, wanted: Wanted, log: _Log, key: str) -> Iterator[Row]:
    """Rows from the log's end, a page at a time, without what surely is not wanted."""
    if wanted.profiles is not None:
        found = chain.from_iterable(_of_profile(rows, log, key, profile) for profile in wanted.profiles)
        yield from sorted(found, key=lambda row: -row[0])
        return
    holds = "position(? in body) > 0" if rows.postgresql else "instr(body, ?) > 0"
    needles = wanted.in_text
    sql = (
        f"SELECT {_COLUMNS[log.table]} FROM {log.table} WHERE sequence < ? AND sequence > ?"  # noqa: S608
        f"{f' AND {holds}' * len(needles)} ORDER BY sequence DESC LIMIT {_PAGE}"
    )
    before = log.before
    while page := rows.execute(sql, (before, log.floor, *needles)):
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1][0]


def _of_profile(rows: Rows, log: _Log, key: str, profile: ProfileId) -> list[Row]:
    """The latest of a profile. "+": else SQLite goes through the whole log by its order (470 ms for 3 in a million)."""
    owner = profile_key(profile)
    first, last = (owner[:8], owner[:8] + _LAST_KEY) if key == "key" else (owner, owner + b"\0")
    return rows.execute(
        f"SELECT {_COLUMNS[log.table]} FROM {log.table} WHERE {key} >= ? AND {key} < ?"  # noqa: S608
        f" AND +sequence < ? AND +sequence > ? ORDER BY +sequence DESC LIMIT {_MOST_OF_PROFILE}",
        (first, last, log.before, log.floor),
    )


def _as_accepted(row: Row) -> Accepted:
    body = bytes(row[1])
    signal = decode_signal(body)
    return Accepted(sequence=row[0], at=signal.joined_at, signal=signal, body=body)


def as_refused(row: Row) -> Refused:
    """A refusal of its row."""
    sequence, body, state, size, replay, answer = row
    refused = decode_signal_refused(bytes(body))
    return Refused(
        sequence=sequence,
        at=refused.at,
        refused=refused,
        state=state,
        size=size,
        replay=replay,
        answer=None if answer is None else decode_signal_replayed(bytes(answer)),
    )
