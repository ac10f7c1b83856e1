"""What housekeeping deletes, and its own record; each function a chunk inside the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from services.trigger.store.rows import Rows
from shared.store import Migration

CHUNK = 1000
"""Rows that one transaction looks at or deletes: some milliseconds of work."""

_HOUSEKEEPING = """CREATE TABLE housekeeping (duty TEXT PRIMARY KEY, done_at BIGINT NOT NULL, rounds BIGINT NOT NULL,
    failures BIGINT NOT NULL, forgotten BIGINT NOT NULL, longest BIGINT NOT NULL)"""

_FORGOTTEN = """CREATE TABLE forgotten (
    moment_id TEXT NOT NULL, counter TEXT NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (moment_id, counter))"""

HOUSEKEEPING_MIGRATION = Migration(
    version=10,
    name="housekeeping",
    statements={"sqlite": (_HOUSEKEEPING, _FORGOTTEN), "postgresql": (_HOUSEKEEPING, _FORGOTTEN)},
)

Contradicted = tuple[str, bytes, str, str]
"""Moment, profile's key, source and id of the signal."""


@dataclass(frozen=True, slots=True)
class DutyRecord:
    """What became of a duty so far: the last round's instant and longest transaction (µs), and sums."""

    duty: str
    done_at: int
    rounds: int
    failures: int
    forgotten: int
    longest: int


def note_duty(rows: Rows, duty: str, *, at: int, forgotten: int, failed: bool, longest: float) -> None:
    """A duty has come to its end. `longest`: seconds."""
    rows.execute(
        "INSERT INTO housekeeping (duty, done_at, rounds, failures, forgotten, longest) VALUES (?, ?, 1, ?, ?, ?)"
        " ON CONFLICT (duty) DO UPDATE SET done_at = excluded.done_at, rounds = housekeeping.rounds + 1,"
        " failures = housekeeping.failures + excluded.failures,"
        " forgotten = housekeeping.forgotten + excluded.forgotten, longest = excluded.longest",
        (duty, at, int(failed), forgotten, int(longest * 1_000_000)),
    )


def duty_records(rows: Rows) -> list[DutyRecord]:
    """What became of every duty."""
    sql = "SELECT duty, done_at, rounds, failures, forgotten, longest FROM housekeeping ORDER BY duty"
    return [DutyRecord(*row) for row in rows.execute(sql)]


def forget_workers_unseen(rows: Rows, before: int) -> int:
    """Delete the workers that were not seen since an instant; how many."""
    return rows.change("DELETE FROM workers WHERE seen_at < ?", (before,))


def counted_moments(rows: Rows) -> list[str]:
    """Every moment that the ledger knows."""
    return [moment for (moment,) in rows.execute("SELECT DISTINCT moment_id FROM ledger ORDER BY moment_id")]


def forget_raises(rows: Rows, moment_id: str, before: int) -> int:
    """Delete a chunk of the outcomes of a moment that were decided before an instant; how many."""
    found = rows.execute(
        "SELECT id, raised, reason FROM raises WHERE moment_id = ? AND decided_at < ? ORDER BY decided_at LIMIT ?",
        (moment_id, before, CHUNK),
    )
    rows.execute_many("DELETE FROM raises WHERE id = ?", [(row[0],) for row in found])
    count_forgotten(
        rows, moment_id, Counter("raised" if raised else f"suppressed:{reason}" for _, raised, reason in found)
    )
    return len(found)


def forget_recoveries(rows: Rows, moment_id: str, before: int) -> int:
    """The same for recoveries that were recorded before an instant."""
    found = rows.execute(
        "SELECT raise_id FROM recoveries WHERE moment_id = ? AND recorded_at < ? ORDER BY recorded_at LIMIT ?",
        (moment_id, before, CHUNK),
    )
    rows.execute_many("DELETE FROM recoveries WHERE raise_id = ?", found)
    count_forgotten(rows, moment_id, {"recovered": len(found)})
    return len(found)


def forget_contradictions(rows: Rows, after: Contradicted, before: int) -> tuple[int, Contradicted | None]:
    """Delete, of the chunk after a place, the contradictions received before an instant; how many, and the place."""
    found = rows.execute(
        "SELECT moment_id, profile_key, source, signal_id, received_at FROM contradictions"
        " WHERE (moment_id, profile_key, source, signal_id) > (?, ?, ?, ?)"
        " ORDER BY moment_id, profile_key, source, signal_id LIMIT ?",
        (*after, CHUNK),
    )
    old = [(row[0], bytes(row[1]), row[2], row[3]) for row in found if row[4] < before]
    rows.execute_many(
        "DELETE FROM contradictions WHERE moment_id = ? AND profile_key = ? AND source = ? AND signal_id = ?", old
    )
    for moment_id, count in Counter(row[0] for row in old).items():
        count_forgotten(rows, moment_id, {"contradicted": count})
    if len(found) < CHUNK:
        return len(old), None
    moment, profile, source, signal, _ = found[-1]
    return len(old), (moment, bytes(profile), source, signal)


def forgotten_counts(rows: Rows) -> dict[tuple[str, str], int]:
    """(moment, counter of the ledger) → how many rows that were counted there are forgotten."""
    found = rows.execute("SELECT moment_id, counter, value FROM forgotten")
    return {(moment, counter): int(value) for moment, counter, value in found}


def count_forgotten(rows: Rows, moment_id: str, counts: Mapping[str, int]) -> None:
    """So many rows that a moment's ledger counts are recorded no more: the audit adds them."""
    rows.insert(
        "forgotten",
        {"moment_id": "text", "counter": "text", "value": "int8"},
        [(moment_id, counter, value) for counter, value in sorted(counts.items()) if value],
        "(moment_id, counter) DO UPDATE SET value = forgotten.value + excluded.value",
    )
