"""Roll-ups: what happened to a moment per minute, hour and day, written with the ledger; and the feed of outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from contracts.times import DAY, HOUR, MINUTE
from services.trigger.store.rows import Rows
from shared.store import Dialect, Migration

SPANS = (MINUTE, HOUR, DAY)
PAST = -1
"""The bucket that holds, per counter, the sum of the days that are no longer kept (and what was counted before)."""

MOST = 2**58
"""No counter goes beyond it: prices are whatever the public sends, and a sum that a column cannot hold loses a signal.

The sum of thirty-one partitions fits as well.
"""

HOURS_KEPT = 90 * DAY
DAYS_KEPT = 400 * DAY
FEED_KEPT = HOUR
"""For how long a listener may have been away and still get every outcome."""

SIGNALS = "signals"
"""New signals of kinds that the template heeds; it and `late:` are no part of the ledger."""
LATE = "late"
"""`late:<slot>`: raises by the time from their due to the broker's confirmation; see `services.trigger.lateness`."""

_COLUMNS = {
    "moment_id": "text",
    "span": "int8",
    "bucket": "int8",
    "counter": "text",
    "partition": "int4",
    "value": "int8",
}
_KEY = "moment_id, span, bucket, counter, partition"
_FEED_COLUMNS = {"moment_id": "text", "partition": "int4", "raise_id": "text", "decided_at": "int8"}


class Count(NamedTuple):
    """So many of something of a moment, written under a partition that the writer owns."""

    moment: str
    counter: str
    partition: int
    value: int


class Outcome(NamedTuple):
    """A decided occurrence, for the feed."""

    moment: str
    partition: int
    raise_id: str
    decided_at: int


def add_rollups(rows: Rows, counts: Iterable[Count], now: int) -> None:
    """Add to the minute, hour and day of `now`: the worker's clock in this transaction.

    Every worker writes under partitions of its own, in one order, so that none waits for another's rows.
    """
    found = sorted(counts)
    values = [
        (moment, span, now - now % span, counter, partition, min(value, MOST))
        for span in SPANS
        for moment, counter, partition, value in found
        if value
    ]
    rows.insert("rollups", _COLUMNS, values, adding(rows, "rollups", _KEY))


def adding(rows: Rows, table: str, key: str) -> str:
    """The clause after ON CONFLICT that adds to a counter, which stops at MOST."""
    least = "LEAST" if rows.postgresql else "min"
    return f"({key}) DO UPDATE SET value = {least}({table}.value + excluded.value, {MOST})"


def feed_outcomes(rows: Rows, outcomes: Sequence[Outcome]) -> None:
    """Append to the feed. Within a partition its sequence is the order of the commits: one worker writes at a time."""
    rows.insert("outcomes", _FEED_COLUMNS, outcomes)


def forget_some_rollups(rows: Rows, moment_id: str, now: int, minutes_kept: int) -> int:
    """Delete some of the buckets of a moment that are kept no longer: an hour's minutes, a day's hours, a day.

    Cut where a bucket of the next span begins, so that a kept hour has all of its minutes or none. What the days
    counted is added to the past. How many rows; 0 when none is left.
    """
    for span, whole, kept in ((MINUTE, HOUR, minutes_kept), (HOUR, DAY, HOURS_KEPT), (DAY, DAY, DAYS_KEPT)):
        before = now - kept - (now - kept) % whole
        oldest = rows.execute(
            "SELECT min(bucket) FROM rollups WHERE moment_id = ? AND span = ? AND bucket > ?", (moment_id, span, PAST)
        )[0][0]
        if oldest is not None and oldest < before:
            return _forget(rows, moment_id, span, min(oldest - oldest % whole + whole, before))
    return 0


def _forget(rows: Rows, moment_id: str, span: int, before: int) -> int:
    gone = rows.execute(
        "DELETE FROM rollups WHERE moment_id = ? AND span = ? AND bucket > ? AND bucket < ?"
        " RETURNING counter, partition, value",
        (moment_id, span, PAST, before),
    )
    if span == DAY:
        past: Counter[tuple[str, int]] = Counter()
        for counter, partition, value in gone:
            past[counter, partition] += value
        values = [(moment_id, DAY, PAST, *place, min(value, MOST)) for place, value in sorted(past.items())]
        rows.insert("rollups", _COLUMNS, values, adding(rows, "rollups", _KEY))
    return len(gone)


def forget_feed(rows: Rows, before: int, limit: int) -> int:
    """Delete some of the outcomes that were decided before an instant, the first fed ones; how many."""
    oldest = rows.execute("SELECT sequence, decided_at FROM outcomes ORDER BY sequence LIMIT ?", (limit,))
    gone = [(sequence,) for sequence, decided_at in oldest if decided_at < before]
    rows.execute_many("DELETE FROM outcomes WHERE sequence = ?", gone)
    return len(gone)


def counted_moments(rows: Rows) -> list[str]:
    """The moments of which anything may have been counted."""
    sql = "SELECT id FROM moments UNION SELECT moment_id FROM ledger ORDER BY 1"
    return [moment for (moment,) in rows.execute(sql)]


def by_partition(counts: Mapping[tuple[str, str], int], partition: int) -> list[Count]:
    """(moment, counter) → n, as counts under one partition."""
    return [Count(moment, counter, partition, value) for (moment, counter), value in counts.items()]


_TABLE = f"""CREATE TABLE rollups (moment_id TEXT NOT NULL, span BIGINT NOT NULL, bucket BIGINT NOT NULL,
    counter TEXT NOT NULL, partition INTEGER NOT NULL, value BIGINT NOT NULL, PRIMARY KEY ({_KEY}))"""
_FEED = """CREATE TABLE outcomes (sequence {serial}, moment_id TEXT NOT NULL, partition INTEGER NOT NULL,
    raise_id TEXT NOT NULL, decided_at BIGINT NOT NULL)"""
_COMMON = (
    "CREATE INDEX outcomes_by_moment ON outcomes (moment_id, partition, sequence)",
    "CREATE INDEX raises_by_time ON raises (moment_id, decided_at, profile_key) WHERE raised",
    # What the ledger counted before there were roll-ups is the past; raises decided since are in the buckets.
    f"INSERT INTO rollups SELECT moment_id, {DAY}, {PAST}, counter, partition, value FROM ledger",  # noqa: S608
    # So that every raise that was sent has a lateness; the past is part of no period that can be asked for.
    f"INSERT INTO rollups SELECT r.moment_id, {DAY}, {PAST}, '{LATE}:000', 0, count(*) FROM raises r"  # noqa: S608
    " LEFT JOIN outbox o ON o.message_id = r.id AND o.sent_at IS NULL WHERE r.raised AND o.id IS NULL"
    " GROUP BY r.moment_id",
    "CREATE TABLE rollups_since (instant BIGINT NOT NULL)",
    "INSERT INTO rollups_since SELECT coalesce(max(decided_at) + 1, 0) FROM raises",
)


def _statements(dialect: Dialect) -> tuple[str, ...]:
    if dialect == "sqlite":
        serial = "INTEGER PRIMARY KEY AUTOINCREMENT"  # never given twice, also after the newest rows were deleted
        return (f"{_TABLE} WITHOUT ROWID", _FEED.format(serial=serial), *_COMMON)
    serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    options = "WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05)"
    return (f"{_TABLE} {options}", _FEED.format(serial=serial), *_COMMON)


ROLLUPS = Migration(
    version=4,
    name="roll-ups and the feed of outcomes",
    statements={"sqlite": _statements("sqlite"), "postgresql": _statements("postgresql")},
)
