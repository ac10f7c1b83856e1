"""The broker's SQLite file: schema, connections, transactions, and the lock files beside it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.topology import Queue, Topology
from shared.broker.errors import BrokerUnavailable, DeclarationRefused

LOCK_WAIT = 4.0
_LOCK_POLL = 0.0005

_SCHEMA = """
create table exchanges (name text primary key, kind text not null, alternate text) without rowid;
create table bindings (
    source text not null, destination text not null, key text not null, to_exchange integer not null,
    primary key (source, destination, key, to_exchange)
) without rowid;
create table queues (
    number integer primary key autoincrement,
    name text not null unique,
    declaration text not null,
    length integer not null default 0,
    leased integer not null default 0,
    delivered integer not null default 0,
    head integer not null default 0,
    losses integer not null default 0
);
create table state (topology integer not null, sequence integer not null);
insert into state values (1, 0);
"""


@contextmanager
def unavailable() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BrokerUnavailable(str(error)) from error


def begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, retrying more briskly than SQLite's own busy handler; gives up after 4 s."""
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            connection.execute("begin immediate")
            return
        except sqlite3.OperationalError as error:
            busy = (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(_LOCK_POLL)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    begin(connection)
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


@dataclass(frozen=True, slots=True)
class BrokerFile:
    """The database file and the lock files beside it."""

    path: Path

    def connect(self, *, synchronous: str = "full") -> sqlite3.Connection:
        """A connection with its schema in place; for one thread at a time."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=LOCK_WAIT, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"pragma synchronous = {synchronous}")
            connection.execute("pragma secure_delete = on")
            if connection.execute("pragma user_version").fetchone()[0] == 0:
                self._create(connection)
            connection.execute("pragma wal_autocheckpoint = 4000")
            connection.execute("pragma cache_size = -16000")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("pragma journal_mode = wal")
        with transaction(connection):
            if connection.execute("pragma user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute("pragma user_version = 1")

    def lock_path(self, number: int) -> Path:
        """The file whose lock is the lease of queue `number`; numbers are never used twice."""
        return self.path.with_name(self.path.name + ".leases") / str(number)

    def is_leased(self, number: int) -> bool:
        """Whether somebody holds the lease of a queue; to look at it takes it for an instant."""
        try:
            descriptor = os.open(self.lock_path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def wal_size(self) -> int:
        """Bytes in the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0


def declare(connection: sqlite3.Connection, topology: Topology) -> None:
    """Make what is missing, inside the caller's transaction."""
    changes = connection.total_changes
    for exchange in topology.exchanges:
        wanted = (exchange.kind, exchange.alternate)
        row = connection.execute("select kind, alternate from exchanges where name = ?", (exchange.name,)).fetchone()
        if row is None:
            connection.execute("insert into exchanges values (?, ?, ?)", (exchange.name, *wanted))
        elif row != wanted:
            raise DeclarationRefused(f"exchange {exchange.name}")
    for queue in topology.queues:
        _declare_queue(connection, queue)
    for binding in topology.bindings:
        row = (binding.source, binding.destination, binding.key, binding.to_exchange)
        connection.execute("insert into bindings values (?, ?, ?, ?) on conflict do nothing", row)
    if connection.total_changes != changes:
        connection.execute("update state set topology = topology + 1")


def _declare_queue(connection: sqlite3.Connection, queue: Queue) -> None:
    declaration = msgspec.json.encode(queue).decode()
    row = connection.execute("select declaration from queues where name = ?", (queue.name,)).fetchone()
    if row is None:
        cursor = connection.execute("insert into queues (name, declaration) values (?, ?)", (queue.name, declaration))
        connection.execute(
            f"create table queue_{cursor.lastrowid} (id integer primary key, exchange text not null,"
            " routing_key text not null, message_id text not null, headers text, body blob not null)"
        )
    elif row[0] != declaration:
        raise DeclarationRefused(f"queue {queue.name}")
