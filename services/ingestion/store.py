"""Ingestion's database: the newest configuration states and the log of refusals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.configurations import ConfigurationState
from contracts.suppressions import SuppressionState
from shared.store import Migration, close_database, connected, migrate

SCHEMA = "moments_ingestion"
MOST_REFUSALS = 10_000

_STATES = """CREATE TABLE configurations (id TEXT PRIMARY KEY, version BIGINT NOT NULL, state TEXT NOT NULL)"""
_REVISION = """CREATE TABLE revision (one INTEGER PRIMARY KEY, number BIGINT NOT NULL)"""
_FIRST_REVISION = """INSERT INTO revision (one, number) VALUES (1, 0)"""
_REFUSALS = """CREATE TABLE refusals (id {id}, at BIGINT NOT NULL, status INTEGER NOT NULL, code TEXT NOT NULL,
    key_prefix TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL)"""

_SUPPRESSIONS = """CREATE TABLE suppressions (id TEXT PRIMARY KEY, version BIGINT NOT NULL,
    configuration TEXT NOT NULL, deleted INTEGER NOT NULL)"""

MIGRATIONS = (
    Migration(
        1,
        "configurations and refusals",
        {
            "sqlite": (_STATES, _REVISION, _FIRST_REVISION, _REFUSALS.format(id="INTEGER PRIMARY KEY")),
            "postgresql": (
                _STATES,
                _REVISION,
                _FIRST_REVISION,
                _REFUSALS.format(id="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
            ),
        },
    ),
    Migration(2, "customers whose signals are refused", {"sqlite": (_SUPPRESSIONS,), "postgresql": (_SUPPRESSIONS,)}),
)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """Refusals of one sort within a second or so: when (µs), why, with which key, of which kind, how many."""

    at: int
    status: int
    code: str
    key_prefix: str
    kind: str
    count: int


class IngestionStore:
    """The tables; safe for several processes. `revision` rises with every change of the states; 0: none ever came."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._decoder = msgspec.json.Decoder(ConfigurationState)

    def migrate(self) -> None:
        """Bring the tables up to date."""
        migrate(self._database, MIGRATIONS)

    def close(self) -> None:
        """Close all connections."""
        close_database(self._database)

    def keep(self, states: Iterable[ConfigurationState]) -> int:
        """Keep those that are newer than what is kept, in one transaction; returns how many were.

        One of the same version that says something else is kept, too: before an update this process may have read
        it without the fields that it did not know.
        """
        mark = self._database.param
        statement = (
            f"INSERT INTO configurations (id, version, state) VALUES ({mark}, {mark}, {mark}) "  # noqa: S608 - a placeholder
            "ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state "
            "WHERE configurations.version < excluded.version "
            "OR (configurations.version = excluded.version AND configurations.state <> excluded.state)"
        )
        with connected(self._database), self._database.atomic():
            changed = 0
            for state in states:
                values = (state.id, state.version, msgspec.json.encode(state).decode())
                changed += self._database.execute_sql(statement, values).rowcount
            if changed:
                self._database.execute_sql("UPDATE revision SET number = number + 1")
        return changed

    def keep_suppressions(self, states: Iterable[SuppressionState]) -> int:
        """The same for customers whose signals are refused, or taken again."""
        mark = self._database.param
        statement = (
            f"INSERT INTO suppressions (id, version, configuration, deleted) VALUES ({', '.join([mark] * 4)}) "  # noqa: S608
            "ON CONFLICT (id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted "
            "WHERE suppressions.version < excluded.version"
        )
        with connected(self._database), self._database.atomic():
            changed = 0
            for state in states:
                values = (state.id, state.version, state.configuration, int(state.deleted))
                changed += self._database.execute_sql(statement, values).rowcount
            if changed:
                self._database.execute_sql("UPDATE revision SET number = number + 1")
        return changed

    def suppressed(self) -> dict[str, frozenset[bytes]]:
        """Configuration → the hashes of the customers whose signals are refused."""
        found: dict[str, set[bytes]] = {}
        with connected(self._database):
            sql = "SELECT configuration, id FROM suppressions WHERE deleted = 0"
            for configuration, subject in self._database.execute_sql(sql).fetchall():
                found.setdefault(configuration, set()).add(bytes.fromhex(subject))
        return {configuration: frozenset(subjects) for configuration, subjects in found.items()}

    def mark_answered(self) -> None:
        """Config has answered, be it that there is no configuration: count that as the first change."""
        with connected(self._database), self._database.atomic():
            self._database.execute_sql("UPDATE revision SET number = 1 WHERE number = 0")

    def revision(self) -> int:
        """The number of changes so far."""
        with connected(self._database):
            return int(self._database.execute_sql("SELECT number FROM revision").fetchone()[0])

    def states(self) -> list[ConfigurationState]:
        """All states, deleted ones too."""
        with connected(self._database):
            rows = self._database.execute_sql("SELECT state FROM configurations ORDER BY id").fetchall()
        return [self._decoder.decode(row[0]) for row in rows]

    def record(self, rows: Sequence[RefusedRow]) -> None:
        """Add to the log of refusals, and forget all but the latest."""
        mark = self._database.param
        statement = (
            "INSERT INTO refusals (at, status, code, key_prefix, kind, count) "  # noqa: S608 - placeholders
            f"VALUES ({', '.join([mark] * 6)})"
        )
        with connected(self._database), self._database.atomic():
            for row in rows:
                values = (row.at, row.status, row.code, row.key_prefix, row.kind, row.count)
                self._database.execute_sql(statement, values)
            self._database.execute_sql(
                f"DELETE FROM refusals WHERE id <= (SELECT MAX(id) FROM refusals) - {MOST_REFUSALS}"  # noqa: S608 - a constant
            )

    def forget_refusals(self, before: int) -> int:
        """Delete what was refused before an instant; returns how many rows."""
        with connected(self._database):
            sql = f"DELETE FROM refusals WHERE at < {self._database.param}"  # noqa: S608 - a placeholder
            return int(self._database.execute_sql(sql, (before,)).rowcount)

    def refusals(self, limit: int = 100) -> list[RefusedRow]:
        """The latest refusals, newest first."""
        with connected(self._database):
            rows = self._database.execute_sql(
                "SELECT at, status, code, key_prefix, kind, count FROM refusals "  # noqa: S608 - an integer
                f"ORDER BY id DESC LIMIT {int(limit)}"
            ).fetchall()
        return [RefusedRow(*row) for row in rows]
