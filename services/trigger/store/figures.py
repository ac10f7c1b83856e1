"""What analytics and its audit read: buckets, feed, what raises say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.times import DAY, MINUTE
from services.trigger.store.rows import Rows

Counters = dict[str, int]


def buckets(rows: Rows, moment_id: str, span: int) -> dict[tuple[str, int], int]:
    """(counter, bucket) → value of every kept bucket of a span, over the partitions."""
    found = rows.execute(
        "SELECT counter, bucket, sum(value) FROM rollups WHERE moment_id = ? AND span = ? GROUP BY counter, bucket",
        (moment_id, span),
    )
    return {(counter, bucket): int(value) for counter, bucket, value in found}


def series(rows: Rows, moment_id: str, span: int, start: int, end: int) -> dict[int, Counters]:
    """Bucket → counter → value, for the buckets from `start` to before `end` in which anything happened."""
    found: dict[int, Counters] = {}
    for bucket, counter, value in rows.execute(
        "SELECT bucket, counter, sum(value) FROM rollups WHERE moment_id = ? AND span = ? AND bucket >= ?"
        " AND bucket < ? GROUP BY bucket, counter ORDER BY bucket",
        (moment_id, span, start, end),
    ):
        found.setdefault(bucket, {})[counter] = int(value)
    return found


def raised_series(rows: Rows, span: int, start: int) -> dict[str, dict[int, int]]:
    """Moment → bucket → raised, for all moments and the buckets from `start` on."""
    moments = [moment for (moment,) in rows.execute("SELECT id FROM moments")]
    found: dict[str, dict[int, int]] = {moment: {} for moment in moments}
    for moment, bucket, value in rows.select_in(
        "SELECT moment_id, bucket, sum(value) FROM rollups WHERE moment_id IN {values} AND span = ? AND bucket >= ?"
        " AND counter = 'raised' GROUP BY moment_id, bucket",
        moments,
        "text",
        more=(span, start),
    ):
        found[moment][bucket] = int(value)
    return found


def pending(rows: Rows, moment_id: str | None = None) -> dict[str, int]:
    """Moment → waits that are not decided, as the ledger has it: opened less what became of them (DOMAIN §6.11)."""
    where, parameters = ("", ()) if moment_id is None else (" WHERE moment_id = ?", (moment_id,))
    found: dict[str, int] = {}
    for moment, counter, value in rows.execute(
        f"SELECT moment_id, counter, sum(value) FROM ledger{where} GROUP BY moment_id, counter",  # noqa: S608
        parameters,
    ):
        group = counter.partition(":")[0]
        sign = 1 if group == "opened" else -1 if group in ("raised", "ended", "suppressed") else 0
        found[moment] = found.get(moment, 0) + sign * int(value)
    return found


def distinct_profiles(rows: Rows, moment_id: str, start: int, end: int) -> int:
    """How many profiles the raises of a span of time had."""
    sql = (
        "SELECT count(DISTINCT profile_key) FROM raises WHERE moment_id = ? AND raised AND decided_at >= ?"
        " AND decided_at < ?"
    )
    return int(rows.execute(sql, (moment_id, start, end))[0][0])


def latest_counts(rows: Rows, moment_id: str, now: int) -> list[tuple[int, str, int]]:
    """(day, counter, value) of the latest two days: changes whenever anything is counted, at little cost."""
    found = rows.execute(
        "SELECT bucket, counter, sum(value) FROM rollups WHERE moment_id = ? AND span = ? AND bucket >= ?"
        " GROUP BY bucket, counter ORDER BY bucket, counter",
        (moment_id, DAY, now - now % DAY - DAY),
    )
    return [(bucket, counter, int(value)) for bucket, counter, value in found]


def first_entry(rows: Rows, moment_id: str) -> int | None:
    """The earliest instant at which a wait of a moment stands in the due index."""
    first = rows.execute("SELECT min(due_at) FROM waits WHERE moment_id = ?", (moment_id,))[0][0]
    return int(first) if first is not None else None


def feed_place(rows: Rows, moment_id: str) -> dict[int, int]:
    """Partition → the last sequence in the feed of a moment, of the partitions that have any."""
    sql = "SELECT partition, max(sequence) FROM outcomes WHERE moment_id = ? GROUP BY partition"
    return {partition: int(last) for partition, last in rows.execute(sql, (moment_id,))}


def feed_after(rows: Rows, moment_id: str, place: Mapping[int, int], limit: int) -> list[tuple[int, int, str]]:
    """(sequence, partition, raise id) of the next outcomes of a moment after a place in the feed, in order."""
    if not place:
        return []
    marks = ", ".join(["(?, ?)"] * len(place))
    values: list[object] = [value for pair in place.items() for value in pair]
    found = rows.execute(
        f"WITH place (partition, sequence) AS (VALUES {marks})"  # noqa: S608
        " SELECT o.sequence, o.partition, o.raise_id FROM place p JOIN outcomes o"
        " ON o.moment_id = ? AND o.partition = p.partition AND o.sequence > p.sequence ORDER BY o.sequence LIMIT ?",
        [*values, moment_id, limit],
    )
    return [(sequence, partition, raise_id) for sequence, partition, raise_id in found]


def counted_since(rows: Rows) -> int:
    """From when on the roll-ups count by the minute: 0 unless the database is older than they are."""
    return int(rows.execute("SELECT max(instant) FROM rollups_since")[0][0] or 0)


def rolled_moments(rows: Rows) -> Sequence[str]:
    """The moments of which anything was counted."""
    return [moment for (moment,) in rows.execute("SELECT DISTINCT moment_id FROM rollups WHERE span = ?", (DAY,))]


def recorded_minutes(rows: Rows, moment_id: str, since: int) -> dict[tuple[str, int], int]:
    """(counter, minute) → rows of `raises` decided at or after `since`."""
    found = rows.execute(
        f"SELECT raised, reason, decided_at / {MINUTE}, count(*) FROM raises"  # noqa: S608
        f" WHERE moment_id = ? AND decided_at >= ? GROUP BY raised, reason, decided_at / {MINUTE}",
        (moment_id, since),
    )
    return {
        ("raised" if raised else f"suppressed:{reason}", int(minute) * MINUTE): int(count)
        for raised, reason, minute, count in found
    }


def unsent_raises(rows: Rows) -> dict[str, int]:
    """Moment → raises whose message the broker has not confirmed."""
    sql = (
        "SELECT r.moment_id, count(*) FROM outbox o JOIN raises r ON r.id = o.message_id"
        " WHERE o.sent_at IS NULL AND r.raised GROUP BY r.moment_id"
    )
    return {moment: int(count) for moment, count in rows.execute(sql)}


def unfed_raises(rows: Rows, since: int) -> dict[str, int]:
    """Moment → outcomes decided at or after `since` that the feed lacks."""
    sql = (
        "SELECT r.moment_id, count(*) FROM raises r LEFT JOIN outcomes o ON o.raise_id = r.id"
        " WHERE r.decided_at >= ? AND o.sequence IS NULL GROUP BY r.moment_id"
    )
    return {moment: int(count) for moment, count in rows.execute(sql, (since,))}
