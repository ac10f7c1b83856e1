"""Consuming queues that are leased whole, by a file lock for each."""

# ruff: noqa: S608  the only thing ever formatted into a statement is the number of a queue

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from contracts.topology import Queue
from shared.broker.embedded.file import BrokerFile, transaction
from shared.broker.embedded.writer import Writer, read_queue
from shared.broker.errors import ConsumerLost, UnknownQueue
from shared.broker.port import MOST_BYTES, NO_HEADERS, Delivery

if TYPE_CHECKING:
    from shared.clock import Clock

_log = structlog.get_logger(__name__)

_POLL_SHORTEST = 0.002
_POLL_LONGEST = 0.020
_LINGER = 0.020
_QUIET = 0.005
_LEASE_RETRY = 0.050


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

    def __init__(self, file: BrokerFile, clock: Clock, queues: Sequence[str], prefetch: int) -> None:
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
            space = MOST_BYTES
            while True:
                self._take_leases(connection, now)
                fresh = self._fetch(connection, min(limit - len(taken), self._prefetch - self._held), space)
                now = time.monotonic()
                if fresh:
                    if not taken:
                        deadline = now + _LINGER
                    taken += fresh
                    space -= sum([len(delivery.body) for delivery in fresh])
                    found = now
                    self._pause = _POLL_SHORTEST
                if len(taken) >= limit or space <= 0 or now >= deadline or (taken and now - found >= _QUIET):
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
                with transaction(connection):
                    for lease, upto in done.values():
                        self._delete(connection, lease, upto)

    def drop(self) -> None:
        """See `Consumer.drop`. Acknowledgements are written already."""
        if self._lost:
            return
        try:
            if self._connection is not None and self._leases:
                with transaction(self._connection):
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
                lease = _Lease(row[0], read_queue(row[1]), lock, 0, 0)
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
        with transaction(connection):
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
                writer = Writer(connection, self._clock)
                writer.start()
                writer.dead_letter(lease.queue, first, "delivery_limit")
                writer.finish()
                self._delete(connection, lease, first[0])
                head, losses = 0, 0
            connection.execute(
                "update queues set leased = 1, delivered = ?, head = ?, losses = ? where number = ?",
                (lease.boundary, head, losses, lease.number),
            )

    def _fetch(self, connection: sqlite3.Connection, room: int, space: int) -> list[Delivery]:
        """What is new in the leased queues, each queue getting the first turn in rotation.

        `room`: messages; `space`: bytes. Rows are read one by one, so that none beyond them comes into memory.
        """
        version = connection.execute("pragma data_version").fetchone()[0]
        if room <= 0 or (version == self._version and not self._more):
            return []
        taken: list[Delivery] = []
        count = len(self._leases)
        for offset in range(count):
            lease = self._leases[(self._turn + offset) % count]
            name, boundary, tag, ids = lease.queue.name, lease.boundary, self._tag, list[int]()
            rows = connection.execute(lease.select, (lease.cursor, room - len(taken)))
            for identity, key, message_id, headers, body in rows:
                tag += 1
                ids.append(identity)
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
                space -= len(body)
                if space <= 0:
                    rows.close()
                    break
            if not ids:
                continue
            self._runs.append(_Run(lease, self._tag + 1, ids))
            lease.cursor = ids[-1]
            self._tag = tag
            if len(taken) == room or space <= 0:
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
