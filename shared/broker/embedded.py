"""A durable broker in one SQLite file that several processes share (ARCHITECTURE §3.11).

Each queue is a table whose rowids follow the order of commits, so that taking and acknowledging are walks along the
table's left end. A consumer leases whole queues by a file lock that the kernel frees when its process dies and
keeps while the process is merely stopped. Publishers commit in groups, with an fsync; acknowledgements are not
synced, since losing one only means a redelivery.
"""

# ruff: noqa: S608  the only thing ever formatted into a statement is the number of a queue

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from contracts.times import to_rfc3339
from contracts.topology import Binding, Exchange, Queue, Topology
from shared.broker.errors import (
    BrokerError,
    BrokerUnavailable,
    ConsumerLost,
    DeclarationRefused,
    Overloaded,
    UnknownQueue,
    Unroutable,
)
from shared.broker.port import NO_HEADERS, Delivery, Message
from shared.broker.routing import Routes, UnknownExchange
from shared.broker.settling import settle

if TYPE_CHECKING:
    from shared.clock import Clock

_log = structlog.get_logger(__name__)

_LOCK_WAIT = 4.0
_LOCK_POLL = 0.0005
_GROUP = 2_000
_POLL_SHORTEST = 0.002
_POLL_LONGEST = 0.020
_LINGER = 0.020
_QUIET = 0.005
_LEASE_RETRY = 0.050
_WAL_CEILING = 64 * 1024 * 1024

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
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BrokerUnavailable(str(error)) from error


def _begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, retrying more briskly than SQLite's own busy handler; gives up after 4 s."""
    deadline = time.monotonic() + _LOCK_WAIT
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
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    _begin(connection)
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


@dataclass(frozen=True, slots=True)
class _File:
    """The database file and the lock files beside it."""

    path: Path

    def connect(self, *, synchronous: str = "full") -> sqlite3.Connection:
        """A connection with its schema in place; for one thread at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"pragma synchronous = {synchronous}")
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
        with _transaction(connection):
            if connection.execute("pragma user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute("pragma user_version = 1")

    def lock_path(self, number: int) -> Path:
        """The file whose lock is the lease of queue `number`; numbers are never used twice."""
        return self.path.with_name(self.path.name + ".leases") / str(number)

    def wal_size(self) -> int:
        """Bytes in the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0


def _declare(connection: sqlite3.Connection, topology: Topology) -> None:
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


@dataclass(slots=True)
class _Target:
    """A queue as a publisher sees it within one version of the topology."""

    number: int
    queue: Queue
    insert: str = field(init=False)

    def __post_init__(self) -> None:
        self.insert = f"insert into queue_{self.number} values (?, ?, ?, ?, ?, ?)"


_Row = tuple[int, str, str, str, str | None, bytes]


class _Writer:
    """Puts messages into queues, inside transactions that its caller opens."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._version = 0
        self._sequence = 0
        self._routes = Routes((), (), ())
        self._targets: dict[str, _Target] = {}
        self._rows: dict[str, list[_Row]] = {}
        self._room: dict[str, int] = {}

    def start(self) -> None:
        """Read the sequence, and the topology if some process changed it."""
        version, self._sequence = self._connection.execute("select topology, sequence from state").fetchone()
        if version != self._version:
            self._read_topology()
            self._version = version
        self._rows = {}
        self._room = {}

    def put(self, message: Message) -> BrokerError | None:
        """Route a message to rows; says why not, when it goes nowhere."""
        try:
            names = self._routes.route(message.exchange, message.routing_key, message.hidden_copies)
        except UnknownExchange as error:
            return Unroutable(f"no exchange {error}")
        if not names:
            return None if message.optional else Unroutable(f"{message.exchange} {message.routing_key}")
        full = next((name for name in names if self._full(name)), None)
        if full is not None:
            return Overloaded(f"queue {full} is full")
        self._insert(names, message.exchange, message.routing_key, message.message_id, message.headers, message.body)
        return None

    def finish(self) -> None:
        """Write the rows, trim the bounded queues, keep the sequence."""
        for name, rows in self._rows.items():
            target = self._targets[name]
            self._connection.executemany(target.insert, rows)
            if target.queue.max_length is not None:
                self._trim(target, len(rows))
        self._connection.execute("update state set sequence = ?", (self._sequence,))

    def dead_letter(self, source: Queue, row: _Row, reason: str) -> None:
        """Put one row of `source` into its dead-letter queue, with the headers RabbitMQ would add."""
        target = self._targets.get(source.dead_letter or "")
        if target is None:
            return
        _, exchange, _, message_id, headers, body = row
        told = {
            "x-first-death-reason": reason,
            "x-first-death-queue": source.name,
            "x-first-death-exchange": exchange,
            "x-death-time": to_rfc3339(self._clock.now()),
        }
        kept = msgspec.json.decode(headers) if headers else {}
        self._sequence += 1
        text = msgspec.json.encode(told | kept).decode()
        self._connection.execute(target.insert, (self._sequence, "", target.queue.name, message_id, text, body))
        if target.queue.max_length is not None:
            self._trim(target, 1)

    def _insert(
        self, names: Sequence[str], exchange: str, key: str, message_id: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        text = msgspec.json.encode(dict(headers)).decode() if headers else None
        for name in names:
            self._sequence += 1
            row = (self._sequence, exchange, key, message_id, text, body)
            rows = self._rows.get(name)
            if rows is None:
                self._rows[name] = [row]
            else:
                rows.append(row)

    def _full(self, name: str) -> bool:
        target = self._targets[name]
        if target.queue.max_length is None or target.queue.overflow != "reject-publish":
            return False
        room = self._room.get(name)
        if room is None:
            room = target.queue.max_length - self._length(target.number)
        self._room[name] = room - 1
        return room <= 0

    def _length(self, number: int) -> int:
        row = self._connection.execute("select length from queues where number = ?", (number,)).fetchone()
        return int(row[0])

    def _trim(self, target: _Target, added: int) -> None:
        length = self._length(target.number) + added
        limit = target.queue.max_length
        excess = 0 if limit is None or target.queue.overflow == "reject-publish" else max(0, length - limit)
        if excess:
            table = f"queue_{target.number}"
            rows = self._connection.execute(f"select * from {table} order by id limit ?", (excess,)).fetchall()
            self._connection.execute(f"delete from {table} where id <= ?", (rows[-1][0],))
            for row in rows:
                self.dead_letter(target.queue, row, "maxlen")
        self._connection.execute("update queues set length = ? where number = ?", (length - excess, target.number))

    def _read_topology(self) -> None:
        rows = self._connection.execute("select number, declaration from queues").fetchall()
        queues = [(number, msgspec.json.decode(text, type=Queue)) for number, text in rows]
        self._targets = {queue.name: _Target(number, queue) for number, queue in queues}
        exchanges = [Exchange(*row) for row in self._connection.execute("select * from exchanges")]
        bindings = [
            Binding(source, destination, key, bool(to_exchange))
            for source, destination, key, to_exchange in self._connection.execute("select * from bindings")
        ]
        self._routes = Routes(exchanges, self._targets, bindings)


_Entry = tuple[Message, "Future[None]"]


class EmbeddedPublisher:
    """One thread that commits everything waiting in one transaction; futures end after the commit."""

    def __init__(self, file: _File, clock: Clock, topology: Topology | None, limit: int = 5_000) -> None:
        self._file = file
        self._clock = clock
        self._topology = topology
        self._limit = limit
        self._waiting: deque[_Entry] = deque()
        self._writing = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._probing = False
        self._closing = False
        self._ready = False

    def publish(self, message: Message) -> Future[None]:
        """See `Publisher.publish`."""
        return self.publish_all((message,))[0]

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """See `Publisher.publish_all`."""
        entries: list[_Entry] = [(message, Future()) for message in messages]
        with self._changed:
            room = 0 if self._closing else max(0, self._limit - len(self._waiting) - self._writing)
            self._waiting.extend(entries[:room])
            self._start()
            self._changed.notify_all()
        for _, future in entries[room:]:
            closed = BrokerUnavailable("this publisher is closed")
            future.set_exception(closed if self._closing else Overloaded(f"{self._limit} wait here"))
        return [future for _, future in entries]

    @property
    def ready(self) -> bool:
        """See `Publisher.ready`. After a failure, asking tries the file again."""
        with self._changed:
            if not self._ready and not self._closing:
                self._probing = True
                self._start()
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._probing or self._closing, timeout=1.0)
            return self._ready and not self._closing

    def close(self) -> None:
        """See `Publisher.close`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=_LOCK_WAIT + 1)

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._run, name="embedded-publisher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while (group := self._next()) is not None:
            try:
                if connection is None:
                    connection, writer = self._open()
                outcomes = self._commit(connection, writer, group)
            except Exception as error:
                self._fail(group, error)
                if connection is not None:
                    connection.close()
                connection = None
                continue
            for (_, future), outcome in zip(group, outcomes, strict=True):
                settle(future, outcome)
            self._report(ready=True)
        if connection is not None:
            connection.close()

    def _open(self) -> tuple[sqlite3.Connection, _Writer]:
        connection = self._file.connect()
        try:
            if self._topology is not None:
                with _transaction(connection):
                    _declare(connection, self._topology)
        except BaseException:
            connection.close()
            raise
        return connection, _Writer(connection, self._clock)

    def _next(self) -> list[_Entry] | None:
        """The next group, empty when somebody only asks whether writing works; None at the end."""
        with self._changed:
            self._writing = 0
            self._changed.wait_for(lambda: self._waiting or self._probing or self._closing)
            if self._closing and not self._waiting:
                return None
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))]
            self._writing = len(group)
            return group

    def _commit(self, connection: sqlite3.Connection, writer: _Writer, group: list[_Entry]) -> list[BrokerError | None]:
        with _transaction(connection):
            writer.start()
            outcomes = [writer.put(message) for message, _ in group]
            writer.finish()
        if self._file.wal_size() > _WAL_CEILING:
            connection.execute("pragma wal_checkpoint(truncate)")
        return outcomes

    def _fail(self, group: list[_Entry], cause: Exception) -> None:
        """What waited meanwhile fails too, else it would wait for the next lock time-out as well."""
        if not isinstance(cause, BrokerError | sqlite3.Error | OSError):
            _log.error("publisher_failed", exc_info=cause)
        else:
            _log.warning("broker_unavailable", reason=str(cause))
        with self._changed:
            group = [*group, *self._waiting]
            self._waiting.clear()
        for _, future in group:
            settle(future, BrokerUnavailable(str(cause)))
        self._report(ready=False)

    def _report(self, *, ready: bool) -> None:
        with self._changed:
            self._ready = ready
            self._probing = False
            self._changed.notify_all()


@dataclass(slots=True)
class _Lease:
    """A queue held by a consumer. `cursor` is the last id taken; up to `boundary` a lost lease may have delivered."""

    number: int
    queue: Queue
    lock: int
    boundary: int
    cursor: int
    select: str = field(init=False)
    delete: str = field(init=False)

    def __post_init__(self) -> None:
        table = f"queue_{self.number}"
        columns = "id, routing_key, message_id, headers, body"
        self.select = f"select {columns} from {table} where id > ? order by id limit ?"
        self.delete = f"delete from {table} where id <= ?"


@dataclass(slots=True)
class _Run:
    """Deliveries of one queue with consecutive tags, not yet acknowledged."""

    lease: _Lease
    first: int
    ids: list[int]


class EmbeddedConsumer:
    """Leases whole queues and walks along their tables, in its caller's thread.

    After a lease that ended without `drop` everything published by then counts as redelivered. A message that was
    at the head of its queue when more than `delivery_limit` leases ended goes to the dead-letter queue, if there
    is one; messages behind the head are not counted.
    """

    def __init__(self, file: _File, clock: Clock, queues: Sequence[str], prefetch: int) -> None:
        self._file = file
        self._clock = clock
        self._prefetch = prefetch
        self._connection: sqlite3.Connection | None = None
        self._missing = list(dict.fromkeys(queues))
        self._leases: list[_Lease] = []
        self._retry_at = 0.0
        self._turn = 0
        self._runs: deque[_Run] = deque()
        self._held = 0
        self._tag = 0
        self._version = -1
        self._more = True
        self._pause = _POLL_SHORTEST
        self._lost = ""

    def receive(self, limit: int, wait: float) -> list[Delivery]:
        """See `Consumer.receive`."""
        with self._losing() as connection:
            now = time.monotonic()
            deadline, found = now + wait, now
            taken: list[Delivery] = []
            while True:
                self._take_leases(connection, now)
                fresh = self._fetch(connection, min(limit - len(taken), self._prefetch - self._held))
                now = time.monotonic()
                if fresh:
                    if not taken:
                        deadline = now + _LINGER
                    taken += fresh
                    found = now
                    self._pause = _POLL_SHORTEST
                if len(taken) >= limit or now >= deadline or (taken and now - found >= _QUIET):
                    return taken
                time.sleep(min(self._pause, deadline - now))
                now = time.monotonic()
                if not taken:
                    self._pause = min(self._pause * 1.3, _POLL_LONGEST)

    def ack(self, last: Delivery) -> None:
        """See `Consumer.ack`."""
        with self._losing() as connection:
            done: dict[int, tuple[_Lease, int]] = {}
            while self._runs and self._runs[0].first <= last.tag:
                run = self._runs[0]
                count = min(len(run.ids), last.tag - run.first + 1)
                done[run.lease.number] = (run.lease, run.ids[count - 1])
                self._held -= count
                if count == len(run.ids):
                    self._runs.popleft()
                else:
                    run.first += count
                    del run.ids[:count]
            if done:
                with _transaction(connection):
                    for lease, upto in done.values():
                        self._delete(connection, lease, upto)

    def drop(self) -> None:
        """See `Consumer.drop`. Acknowledgements are written already."""
        if self._lost:
            return
        try:
            if self._connection is not None and self._leases:
                with _transaction(self._connection):
                    self._connection.executemany(
                        "update queues set leased = 0, delivered = ? where number = ?",
                        [(max(lease.boundary, lease.cursor), lease.number) for lease in self._leases],
                    )
        except sqlite3.Error as error:
            _log.warning("lease_not_closed", reason=str(error))
        finally:
            self._release("it was dropped")

    @contextmanager
    def _losing(self) -> Iterator[sqlite3.Connection]:
        """Turns any failure of the file into the loss of this consumer."""
        if self._lost:
            raise ConsumerLost(self._lost)
        try:
            if self._connection is None:
                self._connection = self._file.connect(synchronous="normal")
            yield self._connection
        except (sqlite3.Error, OSError, UnknownQueue) as error:
            self._release(str(error))
            raise ConsumerLost(str(error)) from error

    def _release(self, reason: str) -> None:
        self._lost = reason
        if self._connection is not None:
            self._connection.close()
        for lease in self._leases:
            os.close(lease.lock)
        self._leases.clear()
        self._runs.clear()

    def _take_leases(self, connection: sqlite3.Connection, now: float) -> None:
        if not self._missing or now < self._retry_at:
            return
        self._retry_at = now + _LEASE_RETRY
        for name in list(self._missing):
            row = connection.execute("select number, declaration from queues where name = ?", (name,)).fetchone()
            if row is None:
                raise UnknownQueue(name)
            lock = self._lock(self._file.lock_path(row[0]))
            if lock is not None:
                self._missing.remove(name)
                lease = _Lease(row[0], msgspec.json.decode(row[1], type=Queue), lock, 0, 0)
                self._leases.append(lease)
                self._open_lease(connection, lease)
                self._more = True

    @staticmethod
    def _lock(path: Path) -> int | None:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _open_lease(self, connection: sqlite3.Connection, lease: _Lease) -> None:
        """Learn what an earlier lease may have delivered, and count the loss against the message at the head."""
        with _transaction(connection):
            row = connection.execute(
                "select leased, delivered, head, losses from queues where number = ?", (lease.number,)
            ).fetchone()
            if row is None:
                raise UnknownQueue(lease.queue.name)
            leased, lease.boundary, head, losses = row
            if leased:
                lease.boundary = connection.execute("select sequence from state").fetchone()[0]
            first = connection.execute(f"select * from queue_{lease.number} order by id limit 1").fetchone()
            if first is None or first[0] > lease.boundary:
                head, losses = 0, 0
            else:
                head, losses = first[0], losses + 1 if first[0] == head else 1
            if first is not None and losses > lease.queue.delivery_limit and lease.queue.dead_letter is not None:
                writer = _Writer(connection, self._clock)
                writer.start()
                writer.dead_letter(lease.queue, first, "delivery_limit")
                writer.finish()
                self._delete(connection, lease, first[0])
                head, losses = 0, 0
            connection.execute(
                "update queues set leased = 1, delivered = ?, head = ?, losses = ? where number = ?",
                (lease.boundary, head, losses, lease.number),
            )

    def _fetch(self, connection: sqlite3.Connection, room: int) -> list[Delivery]:
        """What is new in the leased queues, each queue getting the first turn in rotation."""
        version = connection.execute("pragma data_version").fetchone()[0]
        if room <= 0 or (version == self._version and not self._more):
            return []
        taken: list[Delivery] = []
        count = len(self._leases)
        for offset in range(count):
            lease = self._leases[(self._turn + offset) % count]
            rows = connection.execute(lease.select, (lease.cursor, room - len(taken))).fetchall()
            if not rows:
                continue
            self._runs.append(_Run(lease, self._tag + 1, [row[0] for row in rows]))
            lease.cursor = rows[-1][0]
            name, boundary, tag = lease.queue.name, lease.boundary, self._tag
            for identity, key, message_id, headers, body in rows:
                tag += 1
                taken.append(
                    Delivery(
                        queue=name,
                        tag=tag,
                        routing_key=key,
                        body=body,
                        message_id=message_id,
                        headers=NO_HEADERS if headers is None else msgspec.json.decode(headers),
                        redelivered=identity <= boundary,
                    )
                )
            self._tag = tag
            if len(taken) == room:
                self._turn += offset + 1
                break
        else:
            self._version, self._more = version, False
        self._held += len(taken)
        return taken

    @staticmethod
    def _delete(connection: sqlite3.Connection, lease: _Lease, upto: int) -> None:
        gone = connection.execute(lease.delete, (upto,)).rowcount
        if lease.queue.max_length is not None:
            connection.execute("update queues set length = length - ? where number = ?", (gone, lease.number))


class EmbeddedBroker:
    """The broker in the file `path`; see `Broker`. Safe from any thread, and from several processes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = _File(path)
        self._clock = clock
        self._publishers: list[EmbeddedPublisher] = []

    def declare(self, topology: Topology) -> None:
        """See `Broker.declare`."""
        with self._connected() as connection, _transaction(connection):
            _declare(connection, topology)

    def publisher(self, topology: Topology | None = None) -> EmbeddedPublisher:
        """See `Broker.publisher`."""
        publisher = EmbeddedPublisher(self._file, self._clock, topology)
        self._publishers.append(publisher)
        return publisher

    def consumer(self, queues: Sequence[str], *, prefetch: int = 1000) -> EmbeddedConsumer:
        """See `Broker.consumer`. Every queue is leased whole, whether single-active or not."""
        return EmbeddedConsumer(self._file, self._clock, queues, prefetch)

    def declare_queue(self, queue: Queue, bindings: Sequence[Binding]) -> None:
        """See `Broker.declare_queue`."""
        self.declare(Topology((), (queue,), tuple(bindings)))

    def delete_queue(self, name: str) -> None:
        """See `Broker.delete_queue`."""
        with self._connected() as connection, _transaction(connection):
            row = connection.execute("delete from queues where name = ? returning number", (name,)).fetchone()
            if row is None:
                return
            connection.execute(f"drop table queue_{row[0]}")
            connection.execute("delete from bindings where destination = ? and not to_exchange", (name,))
            connection.execute("update state set topology = topology + 1")
        self._file.lock_path(row[0]).unlink(missing_ok=True)

    def depth(self, queue: str) -> int:
        """See `Broker.depth`."""
        with self._connected() as connection:
            row = connection.execute("select number from queues where name = ?", (queue,)).fetchone()
            if row is None:
                raise UnknownQueue(queue)
            return int(connection.execute(f"select count(*) from queue_{row[0]}").fetchone()[0])

    def ping(self) -> None:
        """See `Broker.ping`."""
        with self._connected() as connection:
            connection.execute("select topology from state").fetchone()

    def close(self) -> None:
        """See `Broker.close`."""
        for publisher in self._publishers:
            publisher.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with _unavailable(), closing(self._file.connect()) as connection:
            yield connection
