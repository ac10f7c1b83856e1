"""The table of customers whose signals are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peewee

from services.config.resources import Listing, Suppression
from services.config.store.rows import Rows

_COLUMNS = ("id", "configuration_id", "version", "created_at", "created_by", "ended_at")
SUPPRESSIONS_TABLES = (
    """CREATE TABLE suppressions (
        id TEXT PRIMARY KEY, configuration_id TEXT NOT NULL, version BIGINT NOT NULL, created_at BIGINT NOT NULL,
        created_by TEXT NOT NULL, ended_at BIGINT)""",
    "CREATE INDEX suppressions_by_creation ON suppressions (created_at DESC, id)",
)


class SuppressionStore:
    """Every call needs the config store's `reading()` or `transaction()` around it."""

    def __init__(self, database: peewee.Database) -> None:
        self._rows = Rows(database, "suppressions", _COLUMNS)

    def find(self, suppression_id: str, *, lock: bool = False) -> Suppression | None:
        """One, in force or ended."""
        found = self._rows.find(self._rows.table.id == suppression_id, lock=lock)
        return _of(found[0]) if found else None

    def all(self) -> list[Suppression]:
        """All of them, also those that have ended: readers that were away learn of it."""
        return [_of(row) for row in self._rows.find()]

    def page(self, listing: Listing, configuration_id: str | None) -> tuple[list[Suppression], int]:
        """A page of those in force, the latest first."""
        table = self._rows.table
        conditions = [table.ended_at.is_null()]
        if configuration_id is not None:
            conditions.append(table.configuration_id == configuration_id)
        rows, total = self._rows.page(conditions, [table.created_at.desc(), table.id], listing)
        return [_of(row) for row in rows], total

    def save(self, value: Suppression) -> None:
        """Write a new one, or its next version."""
        row = {
            "id": value.id,
            "configuration_id": value.configuration_id,
            "version": value.version,
            "created_at": value.created_at,
            "created_by": value.created_by,
            "ended_at": value.ended_at,
        }
        table = self._rows.table
        if not table.update(**row).where(table.id == value.id).execute():
            table.insert(**row).execute()


def _of(row: Mapping[str, Any]) -> Suppression:
    return Suppression(
        id=row["id"],
        configuration_id=row["configuration_id"],
        version=row["version"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        ended_at=row["ended_at"],
    )
