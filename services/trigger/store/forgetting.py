"""What housekeeping deletes, and its own record; each function a chunk inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from services.trigger.store.rows import Rows
from shared.store import Migration

CHUNK = 1000
"""Rows that one transaction looks at or deletes: some milliseconds of work."""

_HOUSEKEEPING = """CREATE TABLE housekeeping (duty TEXT PRIMARY KEY, done_at BIGINT NOT NULL, rounds BIGINT NOT NULL,
    failures BIGINT NOT NULL, forgotten BIGINT NOT NULL, longest BIGINT NOT NULL)"""

HOUSEKEEPING_MIGRATION = Migration(
    version=10,
    name="housekeeping",
    statements={"sqlite": (_HOUSEKEEPING,), "postgresql": (_HOUSEKEEPING,)},
)


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
