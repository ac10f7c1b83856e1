"""The index of pending waits by their dues, as functions of one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from services.trigger.engine.effects import WaitKey
from services.trigger.store.rows import Rows

_NOT_DOOMED = """AND process_key NOT IN (
    SELECT p.key FROM erasures e JOIN processes p ON p.profile_key = e.profile_key
    WHERE e.state = 'requested' AND e.state <> 'done')"""  # the latter for SQLite, to take the index of those underway
_DUE = (
    "SELECT process_key, moment_id, number, due_at FROM waits"  # noqa: S608
    f" WHERE partition = ? AND due_at <= ? {_NOT_DOOMED} ORDER BY due_at, process_key, moment_id, number LIMIT ?"
)
_DUE_AFTER = _DUE.replace(
    " ORDER BY", " AND due_at >= ? AND (due_at, process_key, moment_id, number) > (?, ?, ?, ?) ORDER BY"
)
NOWHERE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DueWait:
    """A row of the due index."""

    key: WaitKey
    partition: int
    due_at: int


def due_waits(rows: Rows, partition: int, until: int, limit: int, after: DueWait | None = None) -> list[DueWait]:
    """The waits of a partition that stand in the index at or before `until`, earliest first; those `after` one.

    Without those of customers whose tombstones are on their way: however long these take, nothing waits for them.
    """
    if after is None:
        found = rows.execute(_DUE, (partition, until, limit))
    else:
        found = rows.execute(_DUE_AFTER, (partition, until, after.due_at, after.due_at, *after.key, limit))
    return [DueWait((bytes(key), moment, number), partition, due) for key, moment, number, due in found]


def waits_of_profiles(rows: Rows, profiles: Iterable[bytes], until: int) -> list[DueWait]:
    """The waits of profiles that stand in the index at or before `until`."""
    found = rows.select_in(
        "SELECT w.process_key, w.moment_id, w.number, w.partition, w.due_at"
        " FROM processes p JOIN waits w ON w.process_key = p.key WHERE p.profile_key IN {values} AND w.due_at <= ?",
        profiles,
        "bytea",
        more=(until,),
    )
    return [DueWait((bytes(key), moment, n), partition, due) for key, moment, n, partition, due in found]


def move_waits(rows: Rows, moved: Sequence[tuple[int, WaitKey]]) -> None:
    """Set the index entries of waits: (due, wait)."""
    values = [(due, *key) for due, key in moved]
    if not rows.postgresql:
        rows.execute_many("UPDATE waits SET due_at = ? WHERE process_key = ? AND moment_id = ? AND number = ?", values)
    elif values:
        rows.execute(
            "UPDATE waits SET due_at = moved.due"
            " FROM unnest(?::int8[], ?::bytea[], ?::text[], ?::int4[]) AS moved (due, process, moment, place)"
            " WHERE process_key = moved.process AND moment_id = moved.moment AND number = moved.place",
            [list(column) for column in zip(*values, strict=True)],
        )


def delete_waits(rows: Rows, keys: Iterable[WaitKey]) -> None:
    """Take waits out of the index."""
    rows.execute_many("DELETE FROM waits WHERE process_key = ? AND moment_id = ? AND number = ?", list(keys))


def next_due(rows: Rows, partitions: Iterable[int], after: Mapping[int, int] = NOWHERE) -> dict[int, int]:
    """Per partition the earliest entry of the index, among those that `due_waits` finds; the earliest one `after` an
    instant, where one is given.
    """
    sql = f"SELECT due_at FROM waits WHERE partition = ? AND due_at > ? {_NOT_DOOMED} ORDER BY due_at LIMIT 1"  # noqa: S608
    found = {partition: rows.execute(sql, (partition, after.get(partition, -1))) for partition in partitions}
    return {partition: due for partition, earliest in found.items() for (due,) in earliest}


def waits_of_moment(rows: Rows, moment_id: str, partitions: Iterable[int]) -> list[DueWait]:
    """The pending waits of a moment in some partitions, earliest entry first."""
    found = rows.select_in(
        "SELECT process_key, moment_id, number, partition, due_at FROM waits"
        " WHERE partition IN {values} AND moment_id = ?",
        partitions,
        "int4",
        more=(moment_id,),
    )
    waits = [DueWait((bytes(key), moment, n), partition, due) for key, moment, n, partition, due in found]
    return sorted(waits, key=lambda wait: (wait.due_at, wait.key))
