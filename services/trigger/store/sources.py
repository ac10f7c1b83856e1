"""From which partitions signals of anonymous customers may join a profile (DOMAIN §6.5). Times in µs.

No anonymous id stands here, and a profile has at most one row for each partition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from contracts.stitching import ANONYMOUS
from contracts.times import DAY
from contracts.topology import PARTITIONS, partition_of
from services.trigger.store.rows import Rows
from shared.store import Migration

UNKNOWN = -1
"""The partition of links that stood before the table did."""
_REFRESH = DAY
_CHUNK = 500
_TABLE = """CREATE TABLE anonymous_sources (
    profile_key {blob} NOT NULL, partition INTEGER NOT NULL, seen_at BIGINT NOT NULL,
    PRIMARY KEY (profile_key, partition))"""
_SHARED = (
    "CREATE INDEX anonymous_sources_by_use ON anonymous_sources (seen_at)",
    "INSERT INTO anonymous_sources (profile_key, partition, seen_at)"
    " SELECT profile_key, -1, max(seen_at) FROM anonymous_links GROUP BY profile_key",
)
_COLUMNS = {"profile_key": "bytea", "partition": "int4", "seen_at": "int8"}
_IS_TO_BE_WRITTEN = f"""excluded.seen_at > anonymous_sources.seen_at + {_REFRESH}
    OR (excluded.seen_at > anonymous_sources.seen_at AND EXISTS (SELECT 1 FROM erasures e
        WHERE e.profile_key = excluded.profile_key AND e.state = 'requested' AND e.state <> 'done'))"""  # noqa: S608 - a number of ours
_LINKED_FROM_NOWHERE = (
    "SELECT DISTINCT l.profile_key FROM anonymous_links l WHERE NOT EXISTS"
    " (SELECT 1 FROM anonymous_sources s WHERE s.profile_key = l.profile_key) LIMIT ?"
)
_FORWARDS = f"sent_at IS NULL AND exchange = '{PARTITIONS}'"

SOURCES_MIGRATION = Migration(
    version=27,
    name="partitions of anonymous ids",
    statements={
        "sqlite": (f"{_TABLE.format(blob='BLOB')} WITHOUT ROWID", *_SHARED),
        "postgresql": (_TABLE.format(blob="BYTEA"), *_SHARED),
    },
)

_FORWARDS_INDEX = (f"CREATE INDEX outbox_forwards ON outbox (partition, id) WHERE {_FORWARDS}",)
FORWARDS_MIGRATION = Migration(
    version=30, name="messages to partitions", statements={"sqlite": _FORWARDS_INDEX, "postgresql": _FORWARDS_INDEX}
)


class Source(NamedTuple):
    """Something may join a profile from a partition, as was known `at` an instant."""

    profile: bytes
    partition: int
    at: int


def note_sources(rows: Rows, sources: Iterable[Source]) -> None:
    """Remember them; in one order, since the owners of two partitions may note the same.

    What is told over and over is written once a day; but each time while an erasure is underway, whose end takes what
    was told before it.
    """
    latest: dict[tuple[bytes, int], int] = {}
    for profile, partition, at in sources:
        latest[profile, partition] = max(at, latest.get((profile, partition), at))
    rows.insert(
        "anonymous_sources",
        _COLUMNS,
        [(*key, at) for key, at in sorted(latest.items())],
        f"(profile_key, partition) DO UPDATE SET seen_at = excluded.seen_at WHERE {_IS_TO_BE_WRITTEN}",
    )


def is_any_source(rows: Rows) -> bool:
    """Whether anything may join anybody."""
    return bool(rows.execute("SELECT 1 FROM anonymous_sources LIMIT 1"))


def sources_of(rows: Rows, processes: Iterable[bytes]) -> dict[bytes, set[int]]:
    """By process the partitions from which something may join its profile, where there are any."""
    sql = (
        "SELECT p.key, s.partition FROM processes p JOIN anonymous_sources s ON s.profile_key = p.profile_key"
        " WHERE p.key IN {values}"
    )
    found: dict[bytes, set[int]] = defaultdict(set)
    for process, partition in rows.select_in(sql, processes, "bytea"):
        found[bytes(process)].add(partition)
    return dict(found)


def resolve_sources(rows: Rows, partitions: int) -> int:
    """Find the partitions of links that stood before the table did, up to a chunk of profiles; how many profiles.

    Then those of profiles that are linked and have none at all: a worker of an older release, beside one of this,
    linked them. On SQLite there is none beside, and the look would hold up who writes.
    """
    sql = "SELECT profile_key FROM anonymous_sources WHERE partition = ? LIMIT ?"
    unknown = [bytes(profile) for (profile,) in rows.execute(sql, (UNKNOWN, _CHUNK))]
    if not unknown and rows.postgresql:
        unknown = [bytes(profile) for (profile,) in rows.execute(_LINKED_FROM_NOWHERE, (_CHUNK,))]
    links = rows.select_in(
        "SELECT profile_key, configuration, anonymous, seen_at FROM anonymous_links WHERE profile_key IN {values}",
        unknown,
        "bytea",
    )
    note_sources(
        rows,
        [
            Source(bytes(profile), partition_of(configuration, ANONYMOUS, anonymous, partitions), seen_at)
            for profile, configuration, anonymous, seen_at in links
        ],
    )
    rows.execute_many(
        "DELETE FROM anonymous_sources WHERE profile_key = ? AND partition = ?", [(each, UNKNOWN) for each in unknown]
    )
    return len(unknown)


def erase_sources(rows: Rows, profile: bytes, at: int) -> int:
    """Forget where something of a profile came from, as was known at an instant; how many rows."""
    return rows.change("DELETE FROM anonymous_sources WHERE profile_key = ? AND seen_at <= ?", (profile, at))


def forget_sources(rows: Rows, before: int, now: int) -> tuple[int, int]:
    """Look, up to a chunk, at what was told before an instant, and delete it where no link stands: how many rows each.

    Where one does, the row is to be looked at again as much later.
    """
    old = rows.execute(
        "SELECT profile_key, partition FROM anonymous_sources WHERE seen_at < ? ORDER BY seen_at LIMIT ?",
        (before, _CHUNK),
    )
    keys = sorted((bytes(profile), partition) for profile, partition in old)
    sql = "SELECT DISTINCT profile_key FROM anonymous_links WHERE profile_key IN {values}"
    linked = {bytes(profile) for (profile,) in rows.select_in(sql, {profile for profile, _ in keys}, "bytea")}
    rows.execute_many(
        "UPDATE anonymous_sources SET seen_at = ? WHERE profile_key = ? AND partition = ?",
        [(now, *key) for key in keys if key[0] in linked],
    )
    rows.execute_many(
        "DELETE FROM anonymous_sources WHERE profile_key = ? AND partition = ? AND seen_at < ?",
        [(*key, before) for key in keys if key[0] not in linked],
    )
    return len(keys), sum(key[0] not in linked for key in keys)


def last_forward(rows: Rows, partition: int) -> int | None:
    """The place in the outbox of the last message of a partition to others that is not sent; None where all are."""
    return _forward(rows, partition, "DESC")


def first_forward(rows: Rows, partition: int) -> int | None:
    """The same of the first one."""
    return _forward(rows, partition, "ASC")


def _forward(rows: Rows, partition: int, order: str) -> int | None:
    """By the index of forwards, however many other messages wait; SQLite takes it for the exchange in words only."""
    sql = f"SELECT id FROM outbox WHERE {_FORWARDS} AND partition = ? ORDER BY id {order} LIMIT 1"  # noqa: S608
    found = rows.execute(sql, (partition,))
    return int(found[0][0]) if found else None
