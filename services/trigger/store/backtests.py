"""Jobs of back-tests: asked for, claimed by one process, told of, ended, forgotten. And the log that they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.trigger.store.rows import Row, Rows

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
ATTEMPTS = 2
"""How often a job is begun whose process dies."""

_COLUMNS = (
    "id, state, created_at, started_at, ended_at, seen_at, attempts, total, taken, replayed, reason, request, token"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row without its result. Instants in µs. `seen_at`: when its process told of itself last.

    `total`: signals of the log; `taken`: those that were read; `replayed`: those that went through the engine.
    `token`: the attempt, by which a process knows that the job is still its own.
    """

    id: str
    state: State
    created_at: int
    started_at: int | None
    ended_at: int | None
    seen_at: int
    attempts: int
    total: int
    taken: int
    replayed: int
    reason: str
    request: bytes
    token: str


def add_job(rows: Rows, job_id: str, request: bytes, now: int) -> None:
    """A job is asked for."""
    rows.execute(
        "INSERT INTO backtests"
        " (id, state, created_at, seen_at, attempts, token, total, taken, replayed, reason, request)"
        " VALUES (?, 'queued', ?, ?, 0, '', 0, 0, 0, '', ?)",
        (job_id, now, now, request),
    )


def count_waiting(rows: Rows) -> int:
    """Jobs that are not ended."""
    return int(rows.execute("SELECT count(*) FROM backtests WHERE state IN ('queued', 'running')")[0][0])


def job(rows: Rows, job_id: str) -> Job | None:
    """A job by its id."""
    found = rows.execute(f"SELECT {_COLUMNS} FROM backtests WHERE id = ?", (job_id,))  # noqa: S608
    return _job(found[0]) if found else None


def result(rows: Rows, job_id: str) -> bytes | None:
    """The result of a job that is done."""
    found = rows.execute("SELECT result FROM backtests WHERE id = ? AND state = 'done'", (job_id,))
    return bytes(found[0][0]) if found and found[0][0] is not None else None


def jobs_page(rows: Rows, before: tuple[int, str] | None, limit: int) -> list[Job]:
    """Jobs, the newest first; `before`: createdAt and id of the last one shown."""
    condition = "" if before is None else " WHERE (created_at, id) < (?, ?)"
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM backtests{condition} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
        [*(before or ()), limit],
    )
    return [_job(row) for row in found]


def claim_next(rows: Rows, token: str, now: int) -> Job | None:
    """Begin the oldest job that waits, unless one runs already."""
    found = rows.execute(
        "UPDATE backtests SET state = 'running', token = ?, seen_at = ?, started_at = ?, attempts = attempts + 1,"  # noqa: S608
        " total = 0, taken = 0, replayed = 0"
        " WHERE id = (SELECT id FROM backtests WHERE state = 'queued' ORDER BY created_at, id LIMIT 1)"
        " AND state = 'queued' AND NOT EXISTS (SELECT 1 FROM backtests running WHERE running.state = 'running')"
        f" RETURNING {_COLUMNS}",
        (token, now, now),
    )
    return _job(found[0]) if found else None


def note_progress(rows: Rows, job_id: str, token: str, now: int, progress: tuple[int, int, int]) -> bool:
    """Tell of an attempt: total, taken, replayed. False: it is no longer wanted."""
    found = rows.execute(
        "UPDATE backtests SET seen_at = ?, total = ?, taken = ?, replayed = ?"
        " WHERE id = ? AND token = ? AND state = 'running' RETURNING id",
        (now, *progress, job_id, token),
    )
    return bool(found)


def finish_job(rows: Rows, job_id: str, token: str, now: int, *, result: bytes | None, reason: str = "") -> bool:
    """End an attempt: done with a result, or failed for a reason. False: it was no longer wanted."""
    found = rows.execute(
        "UPDATE backtests SET state = ?, ended_at = ?, seen_at = ?, reason = ?, result = ?"
        " WHERE id = ? AND token = ? AND state = 'running' RETURNING id",
        ("failed" if result is None else "done", now, now, reason, result, job_id, token),
    )
    return bool(found)


def cancel_job(rows: Rows, job_id: str, now: int) -> bool:
    """End a job that waits or runs; whether there was one. Its process notices within a second."""
    found = rows.execute(
        "UPDATE backtests SET state = 'cancelled', ended_at = ? WHERE id = ? AND state IN ('queued', 'running')"
        " RETURNING id",
        (now, job_id),
    )
    return bool(found)


def remove_job(rows: Rows, job_id: str) -> bool:
    """Delete a job in any state; whether there was one."""
    return bool(rows.execute("DELETE FROM backtests WHERE id = ? RETURNING id", (job_id,)))


def give_back(rows: Rows, job_id: str, token: str) -> None:
    """The process of an attempt is ended by its own service, which stops: the attempt does not count."""
    rows.execute(
        "UPDATE backtests SET state = 'queued', attempts = attempts - 1, token = ''"
        " WHERE id = ? AND token = ? AND state = 'running'",
        (job_id, token),
    )


def bury(rows: Rows, job_id: str, token: str, now: int, reason: str) -> None:
    """The process of an attempt has died: another attempt, or the job has failed for a reason."""
    rows.execute(
        "UPDATE backtests SET state = 'queued', token = '' WHERE id = ? AND token = ? AND state = 'running'"
        " AND attempts < ?",
        (job_id, token, ATTEMPTS),
    )
    finish_job(rows, job_id, token, now, result=None, reason=reason)


def silent_jobs(rows: Rows, before: int) -> list[Job]:
    """Jobs that run and of which nothing was heard since an instant."""
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM backtests WHERE state = 'running' AND seen_at < ?",  # noqa: S608
        (before,),
    )
    return [_job(row) for row in found]


def forget_jobs(rows: Rows, before: int, most: int) -> int:
    """Delete ended jobs: those that ended before an instant, and all but the newest; how many."""
    found = rows.execute(
        "DELETE FROM backtests WHERE state IN ('done', 'failed', 'cancelled') AND (ended_at < ? OR id NOT IN"
        " (SELECT id FROM backtests WHERE state IN ('done', 'failed', 'cancelled')"
        " ORDER BY created_at DESC, id DESC LIMIT ?)) RETURNING id",
        (before, most),
    )
    return len(found)


def log_bounds(rows: Rows) -> tuple[int, int]:
    """The least and the greatest place in the signal log; (1, 0) when it is empty."""
    first, last = rows.execute("SELECT (SELECT min(sequence) FROM signals), (SELECT max(sequence) FROM signals)")[0]
    return (1, 0) if last is None else (int(first), int(last))


def log_page(rows: Rows, after: int, until: int, limit: int) -> Sequence[Row]:
    """Sequence, profile number, receivedAt and body of the next signals, in the order of the log."""
    return rows.execute(
        "SELECT sequence, profile, received_at, body FROM signals WHERE sequence > ? AND sequence <= ?"
        " ORDER BY sequence LIMIT ?",
        (after, until, limit),
    )


def _job(row: Row) -> Job:
    return Job(
        id=row[0],
        state=row[1],
        created_at=row[2],
        started_at=row[3],
        ended_at=row[4],
        seen_at=row[5],
        attempts=row[6],
        total=row[7],
        taken=row[8],
        replayed=row[9],
        reason=row[10],
        request=bytes(row[11]),
        token=row[12],
    )
