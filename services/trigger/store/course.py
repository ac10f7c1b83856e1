"""What happened between the signals, with its place in their log: states that took effect, dues that an edit gave.

Together with the column `after` of `raises` it lets a back-test go through the log exactly as it ran, also where the
worker was late, or learned of an edit after its instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from contracts.moments import MomentState
from contracts.wire import decode_moment_state, encode
from services.trigger.store.records import last_sequence
from services.trigger.store.rows import Row, Rows

_SETTLEMENT_COLUMNS = {
    "moment_id": "text",
    "version": "int8",
    "after": "int8",
    "settled_at": "int8",
    "partitions": "text",
    "body": "bytea",
}
_RETIMED_COLUMNS = {
    "moment_id": "text",
    "version": "int8",
    "after": "int8",
    "profile_key": "bytea",
    "process_key": "bytea",
    "number": "int4",
    "due_at": "int8",
}
_CHUNK = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A moment's state took effect in some partitions, after the signals up to `after`."""

    state: MomentState
    after: int
    settled_at: int
    partitions: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retimed:
    """An edit gave a pending wait a due of its own (DOMAIN §5)."""

    version: int
    after: int
    profile_key: bytes
    process_key: bytes
    number: int
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A recorded decision, as in `records.RaiseRow`; what a release that kept no places recorded is left out."""

    id: str
    profile_key: bytes
    process_key: bytes
    raised: bool
    reason: str
    due_at: int
    decided_at: int
    number: int
    run: int
    version: int
    after: int


def note_settlement(rows: Rows, state: MomentState, partitions: Sequence[int], now: int) -> None:
    """A moment's state has taken effect in partitions of the caller."""
    places = ",".join(str(partition) for partition in sorted(partitions))
    row = (state.id, state.version, last_sequence(rows), now, places, encode(state))
    rows.insert("settlements", _SETTLEMENT_COLUMNS, [row])


def note_retimed(rows: Rows, moment_id: str, version: int, waits: Sequence[tuple[bytes, bytes, int, int]]) -> None:
    """An edit gave waits dues: (profile key, process key, number, due)."""
    if waits:
        after = last_sequence(rows)
        rows.insert("retimed", _RETIMED_COLUMNS, [(moment_id, version, after, *wait) for wait in waits])


def settlements(rows: Rows, moment_id: str) -> list[Settlement]:
    """Every noted state of a moment, in the order in which they took effect."""
    sql = (
        "SELECT body, after, settled_at, partitions FROM settlements WHERE moment_id = ?"
        " ORDER BY after, version, settled_at"
    )
    return [
        Settlement(
            state=decode_moment_state(bytes(body)),
            after=after,
            settled_at=settled_at,
            partitions=frozenset(int(name) for name in partitions.split(",") if name),
        )
        for body, after, settled_at, partitions in rows.execute(sql, (moment_id,))
    ]


def retimed_waits(rows: Rows, moment_id: str) -> Iterator[Retimed]:
    """Every due that an edit of the moment gave, in chunks."""
    sql = (
        "SELECT version, after, profile_key, process_key, number, due_at FROM retimed WHERE moment_id = ?"
        " AND (after, version, process_key, number) > (?, ?, ?, ?) ORDER BY after, version, process_key, number LIMIT ?"
    )
    found = _pages(rows, sql, moment_id, (-1, 0, b"", 0), lambda row: (row[1], row[0], bytes(row[3]), row[4]))
    for version, after, profile, process, number, due in found:
        yield Retimed(
            version=version,
            after=after,
            profile_key=bytes(profile),
            process_key=bytes(process),
            number=number,
            due_at=due,
        )


def decisions(rows: Rows, moment_id: str) -> Iterator[Decided]:
    """Every recorded decision of a moment, in chunks, in the order of decision."""
    sql = (
        "SELECT id, profile_key, process_key, raised, reason, due_at, decided_at, number, run, version, after"
        " FROM raises WHERE moment_id = ? AND after IS NOT NULL AND (decided_at, id) > (?, ?)"
        " ORDER BY decided_at, id LIMIT ?"
    )
    for row in _pages(rows, sql, moment_id, (-1, ""), lambda row: (row[6], row[0])):
        yield Decided(
            id=row[0],
            profile_key=bytes(row[1]),
            process_key=bytes(row[2]),
            raised=bool(row[3]),
            reason=row[4],
            due_at=row[5],
            decided_at=row[6],
            number=row[7],
            run=row[8],
            version=row[9],
            after=row[10],
        )


def _pages(rows: Rows, sql: str, moment_id: str, place: Row, place_of: Callable[[Row], Row]) -> Iterator[Row]:
    """The rows of a moment after a place, a chunk to a statement; each goes on at the place of the last row."""
    while True:
        found = rows.execute(sql, (moment_id, *place, _CHUNK))
        yield from found
        if len(found) < _CHUNK:
            return
        place = place_of(found[-1])


def forget_course(rows: Rows, before: int, limit: int = 1000) -> int:
    """Delete what took effect before an instant, but of each moment the newest state of that time; how many rows.

    `before`: µs; signals older than that are kept no more. `limit`: of retimed waits that go at once.
    """
    settled = rows.change(
        "DELETE FROM settlements WHERE settled_at < ? AND EXISTS (SELECT 1 FROM settlements newer"
        " WHERE newer.moment_id = settlements.moment_id AND newer.version > settlements.version"
        " AND newer.settled_at < ?)",
        (before, before),
    )
    row = "ctid" if rows.postgresql else "rowid"
    retimed = rows.change(
        f"DELETE FROM retimed WHERE {row} IN (SELECT {row} FROM retimed WHERE due_at < ? LIMIT ?)",  # noqa: S608
        (before, limit),
    )
    return settled + retimed
