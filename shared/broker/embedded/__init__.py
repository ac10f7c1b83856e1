"""A durable broker in one SQLite file that several processes share (ARCHITECTURE §3.11).

Each queue is a table whose rowids follow the order of commits, so that taking and acknowledging are walks along the
table's left end. A consumer leases whole queues by a file lock that the kernel frees when its process dies and
keeps while the process is merely stopped. Publishers commit in groups, with an fsync; acknowledgements are not
synced, since losing one only means a redelivery.
"""

# ruff: noqa: S608  the only thing ever formatted into a statement is the number of a queue

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.topology import Binding, Queue, Topology
from shared.broker.embedded.consumer import EmbeddedConsumer
from shared.broker.embedded.file import BrokerFile, declare, transaction, unavailable
from shared.broker.embedded.publisher import EmbeddedPublisher
from shared.broker.errors import UnknownQueue

if TYPE_CHECKING:
    from shared.clock import Clock

_FOLD_WAIT = 50
"""Milliseconds: while it waits for readers nobody can write."""


class EmbeddedBroker:
    """The broker in the file `path`; see `Broker`. Safe from any thread, and from several processes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = BrokerFile(path)
        self._clock = clock
        self._publishers: list[EmbeddedPublisher] = []

    def declare(self, topology: Topology) -> None:
        """See `Broker.declare`."""
        with self._connected() as connection, transaction(connection):
            declare(connection, topology)

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

    def unbind(self, bindings: Sequence[Binding]) -> None:
        """See `Broker.unbind`."""
        with self._connected() as connection, transaction(connection):
            connection.executemany(
                "delete from bindings where source = ? and destination = ? and key = ? and not to_exchange",
                [(binding.source, binding.destination, binding.key) for binding in bindings],
            )
            connection.execute("update state set topology = topology + 1")

    def delete_queue(self, name: str) -> None:
        """See `Broker.delete_queue`."""
        with self._connected() as connection, transaction(connection):
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

    def consumed(self, queues: Sequence[str]) -> set[str]:
        """See `Broker.consumed`: the leases tell."""
        with self._connected() as connection:
            numbers = dict(connection.execute("select name, number from queues").fetchall())
            missing = next((name for name in queues if name not in numbers), None)
            if missing is not None:
                raise UnknownQueue(missing)
            return {name for name in queues if self._file.is_leased(numbers[name])}

    def bound(self, exchange: str) -> Sequence[Binding]:
        """See `Broker.bound`."""
        with self._connected() as connection:
            rows = connection.execute(
                "select source, destination, key from bindings where source = ? and not to_exchange"
                " order by destination, key",
                (exchange,),
            ).fetchall()
        return [Binding(*row) for row in rows]

    def ping(self) -> None:
        """See `Broker.ping`."""
        with self._connected() as connection:
            connection.execute("select topology from state").fetchone()

    def fold(self) -> bool:
        """See `Broker.fold`: old pages of SQLite's log hold bodies that were taken. Waits for nobody."""
        with self._connected() as connection:
            connection.execute(f"pragma busy_timeout = {_FOLD_WAIT}")
            return not connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]

    def close(self) -> None:
        """See `Broker.close`."""
        for publisher in self._publishers:
            publisher.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with unavailable(), closing(self._file.connect()) as connection:
            yield connection
