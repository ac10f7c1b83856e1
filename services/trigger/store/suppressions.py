"""The customers whose signals are refused, as config tells of them: keyed hashes that name nobody."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.suppressions import SuppressionState
from services.trigger.store.rows import Rows
from shared.store import Migration

_TABLE = "CREATE TABLE suppressions (id TEXT PRIMARY KEY, version BIGINT NOT NULL, deleted BOOLEAN NOT NULL)"

SUPPRESSIONS_MIGRATION = Migration(
    version=26, name="customers whose signals are refused", statements={"sqlite": (_TABLE,), "postgresql": (_TABLE,)}
)


def save_suppressions(rows: Rows, states: Iterable[SuppressionState]) -> None:
    """Keep the states of customers that are newer."""
    rows.execute_many(
        "INSERT INTO suppressions (id, version, deleted) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted"
        " WHERE excluded.version > suppressions.version",
        [(state.id, state.version, state.deleted) for state in states],
    )


def suppressions(rows: Rows) -> list[SuppressionState]:
    """All states, without the configuration, which is in the hash."""
    found = rows.execute("SELECT id, version, deleted FROM suppressions")
    return [SuppressionState(id=row[0], version=row[1], configuration="", deleted=bool(row[2])) for row in found]
