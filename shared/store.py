"""Databases: SQLite files and PostgreSQL behind peewee, and versioned migrations."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded, PooledDatabase, PooledPostgresqlDatabase, PooledSqliteDatabase

Dialect = Literal["sqlite", "postgresql"]

STORE_FAULTS: tuple[type[Exception], ...] = (
    peewee.OperationalError,
    peewee.InterfaceError,
    peewee.InternalError,
    MaxConnectionsExceeded,
    sqlite3.OperationalError,
    sqlite3.InterfaceError,
    sqlite3.InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
)
"""What the database raises when it is away, locked or full: try again later.

The drivers' own exceptions, too: a cursor of a bare connection raises them, peewee translates only its own calls.
"""

UNKEEPABLE: tuple[type[Exception], ...] = (peewee.DataError, sqlite3.DataError, psycopg.DataError)
"""What the database raises at a value that it has no room for, such as a NUL in a text of PostgreSQL."""

_MOST_CONNECTIONS = 20
_WAIT_FOR_CONNECTION = 5
_WAIT_FOR_LOCK = 15
_STALE = 300
_LONGEST_REST = 30
_BUSY = {"cache_size": -131_072, "wal_autocheckpoint": 16_384}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a schema: the statements of each dialect, run in one transaction. A `%` is written `%%`."""

    version: int
    name: str
    statements: Mapping[Dialect, Sequence[str]]


def open_database(
    url: str, *, schema: str, synchronous: Literal["FULL", "NORMAL"] = "FULL", busy: bool = False
) -> peewee.Database:
    """The database of a URL, `sqlite:///absolute/path` or `postgresql://…`; nothing is connected yet.

    Connections are pooled: each thread takes one by `connected(database)` or `database.connect()`. In PostgreSQL
    the tables stand in `schema`, which `migrate` makes, and who rests in a transaction for half a minute (a process
    that was stopped or cut off) loses its connection, so that its locks hold nobody up. SQLite: WAL, transactions
    take the write lock at once (`BEGIN IMMEDIATE`), what is deleted is overwritten; `synchronous` NORMAL may forget
    the last commits in a power cut; `busy` gives a database of many writes a page cache of 128 MB and folds its log
    back seldom. Open it after a fork.
    """
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return _sqlite(Path("/" + unquote(url.removeprefix("sqlite://")).lstrip("/")), synchronous, busy=busy)
    if scheme in ("postgresql", "postgres"):
        return _postgresql(url, schema)
    raise ValueError("a database URL is sqlite:///absolute/path or postgresql://…")


def dialect(database: peewee.Database) -> Dialect:
    """Which SQL the database speaks."""
    return "sqlite" if isinstance(database, peewee.SqliteDatabase) else "postgresql"


@contextmanager
def connected(database: peewee.Database) -> Iterator[peewee.Database]:
    """This thread's connection for a block of work; an open one is used and left open."""
    opened = database.connect(reuse_if_open=True)
    try:
        yield database
    finally:
        if opened:
            database.close()


def close_database(database: peewee.Database) -> None:
    """Close every connection of the pool, also those that other threads hold; it gives none any more."""
    if isinstance(database, PooledDatabase):
        database.close_all()


class _Ending:
    """A pool that gives no connection once it was closed: one that a late thread opened would be left open."""

    _pool_lock: AbstractContextManager[Any]
    _ended = False

    def close_all(self) -> None:
        """Close them, and give none any more. Who is being connected meanwhile is waited for."""
        with self._pool_lock:
            self._ended = True
        super().close_all()  # type: ignore[misc]

    def _connect(self) -> Any:
        with self._pool_lock:
            if self._ended:
                raise peewee.InterfaceError("this database was closed")
            return super()._connect()  # type: ignore[misc]


class _SqlitePool(_Ending, PooledSqliteDatabase):  # type: ignore[misc]
    """Connections to a file."""

    def rollback(self) -> None:
        """Roll back, unless SQLite has done so: on a full disk it does, and the error to be told of is that one."""
        if self.connection().in_transaction:
            super().rollback()


class _PostgresqlPool(_Ending, PooledPostgresqlDatabase):  # type: ignore[misc]
    """Connections to a server."""


def fold_log(database: peewee.Database, *, patience: int = 50) -> bool:
    """Bring what SQLite's log holds into the file and empty it: old pages in it keep what was deleted. Whether it was.

    `patience`: milliseconds to wait for readers; while it waits nobody can write. PostgreSQL recycles its own log.
    """
    if dialect(database) == "postgresql":
        return True
    try:
        database.execute_sql(f"PRAGMA busy_timeout = {int(patience)}")
        return not database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except peewee.OperationalError:  # somebody is writing
        return False
    finally:
        database.execute_sql(f"PRAGMA busy_timeout = {_WAIT_FOR_LOCK * 1000}")


def migrate(database: peewee.Database, migrations: Sequence[Migration]) -> list[Migration]:
    """Run the steps that are missing, in order of version, and return them. Two processes may call it at once."""
    with connected(database), database.atomic():
        _take_turns(database)
        database.execute_sql("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        done = {version for (version,) in database.execute_sql("SELECT version FROM migrations").fetchall()}
        missing = [step for step in sorted(migrations, key=lambda step: step.version) if step.version not in done]
        for step in missing:
            _run(database, step)
    return missing


def _run(database: peewee.Database, step: Migration) -> None:
    for statement in step.statements[dialect(database)]:
        database.execute_sql(statement)
    mark = database.param
    database.execute_sql(f"INSERT INTO migrations (version, name) VALUES ({mark}, {mark})", (step.version, step.name))  # noqa: S608


def _take_turns(database: peewee.Database) -> None:
    """SQLite holds the write lock already (`BEGIN IMMEDIATE`); PostgreSQL locks the name of the schema."""
    if dialect(database) == "sqlite":
        return
    schema = database.execute_sql("SELECT current_setting('search_path')").fetchone()[0]
    database.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"moments.migrate.{schema}",))
    if database.execute_sql("SELECT to_regnamespace(%s)", (schema,)).fetchone()[0] is None:
        database.execute_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')


def _sqlite(path: Path, synchronous: str, *, busy: bool) -> peewee.Database:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _use_write_ahead_log(path)
    database: peewee.Database = _SqlitePool(
        str(path),
        pragmas={
            "busy_timeout": _WAIT_FOR_LOCK * 1000,
            "synchronous": synchronous,
            "foreign_keys": 1,
            "secure_delete": 1,
            "temp_store": "MEMORY",
            **(_BUSY if busy else {}),
        },
        lock_type="IMMEDIATE",
        autoconnect=False,
        max_connections=_MOST_CONNECTIONS,
        timeout=_WAIT_FOR_CONNECTION,
        check_same_thread=False,
    )
    return database


def _use_write_ahead_log(path: Path) -> None:
    """The mode is kept in the file. Two processes that make it at once get in each other's way: try again."""
    for attempt in range(100):
        connection = sqlite3.connect(path, timeout=_WAIT_FOR_LOCK)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def _postgresql(url: str, schema: str) -> peewee.Database:
    from psycopg.conninfo import conninfo_to_dict

    if not schema.isidentifier():
        raise ValueError(f"{schema!r} is no name of a schema")
    given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    options = f"-c search_path={schema} -c timezone=UTC -c idle_in_transaction_session_timeout={_LONGEST_REST}s"
    given["options"] = f"{given.get('options', '')} {options}".strip()
    given.setdefault("connect_timeout", 5)
    given.setdefault("client_encoding", "utf8")
    database: peewee.Database = _PostgresqlPool(
        given.pop("dbname", "moments"),
        prefer_psycopg3=True,
        autoconnect=False,
        max_connections=_MOST_CONNECTIONS,
        timeout=_WAIT_FOR_CONNECTION,
        stale_timeout=_STALE,
        **given,
    )
    return database
