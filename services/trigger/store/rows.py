"""Set-based statements on both databases: many rows in one go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from peewee import Database, PostgresqlDatabase

Row = tuple[Any, ...]
T = TypeVar("T")
_CHUNK = 500


class Missing(LookupError):
    """Rows that were to be changed do not stand."""


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

    def update(self, table: str, columns: dict[str, str], key: tuple[str, str], rows: Sequence[Row]) -> None:
        """Set `columns` (name → PostgreSQL type) of rows that stand; each row's last value is its key (name, type)."""
        if not rows:
            return
        name, kind = key
        cursor = self.database.connection().cursor()
        if self.postgresql:
            changes = ", ".join(f"{column} = changed.{column}" for column in columns)
            arrays = ", ".join(f"%b::{kind}[]" for kind in (*columns.values(), kind))
            cursor.execute(
                f"UPDATE {table} SET {changes} FROM unnest({arrays}) AS changed ({', '.join(columns)}, {name})"  # noqa: S608
                f" WHERE {table}.{name} = changed.{name}",
                [list(values) for values in zip(*rows, strict=True)],
            )
        else:
            changes = ", ".join(f"{column} = ?" for column in columns)
            cursor.executemany(f"UPDATE {table} SET {changes} WHERE {name} = ?", rows)  # noqa: S608
        if cursor.rowcount != len(rows):
            raise Missing(f"{len(rows) - cursor.rowcount} rows of {table}")

    def insert_new(
        self, table: str, columns: dict[str, str], rows: Sequence[Row], returning: str, conflict: str = ""
    ) -> set[Any]:
        """Insert the rows that do not stand yet; the `returning` values of those that were inserted."""
        if not rows:
            return set()
        names = ", ".join(columns)
        cursor = self.database.connection().cursor()
        if self.postgresql:
            arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608
                f" ON CONFLICT {conflict} DO NOTHING RETURNING {returning}",
                [list(values) for values in zip(*rows, strict=True)],
            )
            return {row[0] for row in cursor.fetchall()}
        # One by one: half the cost of statements of many rows with RETURNING.
        sql = (
            f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT {conflict} DO NOTHING"  # noqa: S608
        )
        place = list(columns).index(returning)
        found = set()
        for row in rows:
            cursor.execute(sql, row)
            if cursor.rowcount:
                found.add(row[place])
        return found

    def select_in(self, sql: str, values: Iterable[Any], kind: str, *, more: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows of a statement with `IN {values}`; parameters `more` come after the values."""
        everything = list(values)
        cursor = self.database.connection().cursor()
        for chunk in chunks(everything, len(everything) or 1 if self.postgresql else _CHUNK):
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

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One statement with `?` marks that changes rows; how many."""
        cursor = self.database.connection().cursor()
        cursor.execute(sql.replace("?", "%s") if self.postgresql else sql, parameters)
        return int(cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement with `?` marks for every row."""
        if rows:
            cursor = self.database.connection().cursor()
            cursor.executemany(sql.replace("?", "%s") if self.postgresql else sql, rows)


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
