"""The machines of ingestion that may keep signals back, and what they said last (DOMAIN §6.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from services.trigger.store.rows import Rows
from shared.store import Migration

State = Literal["here", "left", "passed"]
"""It is waited for; it has signed off; it was silent for too long, or an operator has given it up."""

_TABLE = """CREATE TABLE spools (machine TEXT PRIMARY KEY, number BIGINT NOT NULL, at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL, waiting BIGINT NOT NULL, state TEXT NOT NULL)"""

SPOOLS_MIGRATION = Migration(
    version=25, name="machines with a spool", statements={"sqlite": (_TABLE,), "postgresql": (_TABLE,)}
)


class SpoolRow(NamedTuple):
    """A machine: the number of its latest word, `at` of it (µs), when it was heard (µs), signals that it keeps back."""

    machine: str
    number: int
    at: int
    heard_at: int
    waiting: int
    state: State


def spool_rows(rows: Rows) -> list[SpoolRow]:
    """Every machine that ever spoke and is not forgotten, by name."""
    sql = "SELECT machine, number, at, heard_at, waiting, state FROM spools ORDER BY machine"
    return [SpoolRow(*row) for row in rows.execute(sql)]


def save_spools(rows: Rows, spools: Iterable[SpoolRow]) -> None:
    """Keep what is newer than what stands: several processes hear the same words, not at the same time."""
    rows.execute_many(
        "INSERT INTO spools (machine, number, at, heard_at, waiting, state) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (machine) DO UPDATE SET number = excluded.number, at = excluded.at,"
        " heard_at = excluded.heard_at, waiting = excluded.waiting, state = excluded.state"
        " WHERE spools.number < excluded.number",
        [tuple(row) for row in spools],
    )


def pass_over(rows: Rows, machine: str, number: int | None = None) -> bool:
    """Wait for a machine no more until it speaks again; not when it has spoken since the word of that number."""
    sql = "UPDATE spools SET state = 'passed' WHERE machine = ? AND state = 'here'"
    if number is None:
        return rows.change(sql, (machine,)) > 0
    return rows.change(f"{sql} AND number <= ?", (machine, number)) > 0


def forget_spools(rows: Rows, before: int) -> int:
    """Delete the machines that are not waited for and were not heard since an instant (µs); how many."""
    return rows.change("DELETE FROM spools WHERE state != 'here' AND heard_at < ?", (before,))
