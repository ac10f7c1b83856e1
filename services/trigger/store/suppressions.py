"""The customers whose signals are refused, as config tells of them: keyed hashes that name nobody."""

from __future__ import annotations

from contracts.suppressions import SuppressionState
from services.trigger.store.rows import Rows
from shared.store import Migration

_TABLE = "CREATE TABLE suppressions (id TEXT PRIMARY KEY, version BIGINT NOT NULL, deleted BOOLEAN NOT NULL)"

SUPPRESSIONS_MIGRATION = Migration(
    version=26, name="customers whose signals are refused", statements={"sqlite": (_TABLE,), "postgresql": (_TABLE,)}
)


def save_suppression(rows: Rows, state: SuppressionState) -> None:
    """Keep a customer's state when it is newer."""
    rows.execute(
        "INSERT INTO suppressions (id, version, deleted) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted"
        " WHERE excluded.version > suppressions.version",
        (state.id, state.version, state.deleted),
    )


def suppressed_subjects(rows: Rows) -> set[bytes]:
    """The hashes of all whose signals are refused (`contracts.erasures.subject_of`)."""
    return {bytes.fromhex(subject) for (subject,) in rows.execute("SELECT id FROM suppressions WHERE NOT deleted")}
