"""Set-based statements on both databases: many rows in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from peewee import Database, PostgresqlDatabase

Row = tuple[Any, ...]
_CHUNK = 100


class Rows:
    """Bulk reads and writes on one database, inside the caller's transaction."""

    def __init__(self, database: Database):
        self.database = database
        self.postgresql = isinstance(database, PostgresqlDatabase)

    def insert(self, table: str, columns: dict[str, str], rows: Sequence[Row], conflict: str = "") -> None:
        """Insert rows. `columns`: name → PostgreSQL type. `conflict`: the clause after ON CONFLICT."""
        if not rows:
            return
        tail = f" ON CONFLICT {conflict}" if conflict else ""
        names = ", ".join(columns)
        cursor = self.database.connection().cursor()
        if self.postgresql:
            arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
            # The "WHERE true" of SQLite's grammar is not needed here: unnest stands in a FROM clause.
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}){tail}",  # noqa: S608
                [list(values) for values in zip(*rows, strict=True)],
            )
        else:
            marks = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks}){tail}", rows)  # noqa: S608

    def insert_new(
        self, table: str, columns: dict[str, str], rows: Sequence[Row], returning: str, conflict: str = ""
    ) -> set[Any]:
        """Insert the rows that do not stand yet; the `returning` values of those that were inserted."""
        names = ", ".join(columns)
        found: set[Any] = set()
        cursor = self.database.connection().cursor()
        for chunk in _chunks(rows, len(rows) or 1 if self.postgresql else _CHUNK):
            tail = f"ON CONFLICT {conflict} DO NOTHING RETURNING {returning}"
            if self.postgresql:
                arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
                sql = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {tail}"  # noqa: S608
                cursor.execute(sql, [list(values) for values in zip(*chunk, strict=True)])
            else:
                marks = "(" + ", ".join("?" * len(columns)) + ")"
                sql = f"INSERT INTO {table} ({names}) VALUES {', '.join([marks] * len(chunk))} {tail}"  # noqa: S608
                cursor.execute(sql, [value for row in chunk for value in row])
            found.update(row[0] for row in cursor.fetchall())
        return found

    def select_in(self, sql: str, values: Iterable[Any], kind: str, *, more: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows of a statement with `IN {values}`; parameters `more` come after the values."""
        everything = list(values)
        cursor = self.database.connection().cursor()
        for chunk in _chunks(everything, len(everything) or 1 if self.postgresql else 500):
            if self.postgresql:
                cursor.execute(sql.replace("IN {values}", f"= ANY(%b::{kind}[])").replace("?", "%s"), [chunk, *more])
            else:
                cursor.execute(sql.replace("{values}", f"({', '.join('?' * len(chunk))})"), [*chunk, *more])
            yield from cursor.fetchall()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """One statement with `?` marks; its rows, if it gives any."""
        cursor = self.database.connection().cursor()
        cursor.execute(sql.replace("?", "%s") if self.postgresql else sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement with `?` marks for every row."""
        if rows:
            cursor = self.database.connection().cursor()
            cursor.executemany(sql.replace("?", "%s") if self.postgresql else sql, rows)


def _chunks(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
