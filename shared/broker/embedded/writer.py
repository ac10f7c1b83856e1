"""Putting messages into queues: routing, bounds, dead letters, within transactions that others open."""

# ruff: noqa: S608  the only thing ever formatted into a statement is the number of a queue

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from contracts.times import to_rfc3339
from contracts.topology import Binding, Exchange, Queue
from shared.broker.errors import BrokerError, Overloaded, Unroutable
from shared.broker.port import Message
from shared.broker.routing import Routes, UnknownExchange

if TYPE_CHECKING:
    from shared.clock import Clock

read_queue = msgspec.json.Decoder(Queue).decode
"""A queue as it was declared."""


@dataclass(slots=True)
class _Target:
    """A queue as a publisher sees it within one version of the topology."""

    number: int
    queue: Queue
    insert: str = field(init=False)

    def __post_init__(self) -> None:
        self.insert = f"insert into queue_{self.number} values (?, ?, ?, ?, ?, ?)"


_Row = tuple[int, str, str, str, str | None, bytes]


class Writer:
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
        queues = [(number, read_queue(text)) for number, text in rows]
        self._targets = {queue.name: _Target(number, queue) for number, queue in queues}
        exchanges = [Exchange(*row) for row in self._connection.execute("select * from exchanges")]
        bindings = [
            Binding(source, destination, key, bool(to_exchange))
            for source, destination, key, to_exchange in self._connection.execute("select * from bindings")
        ]
        self._routes = Routes(exchanges, self._targets, bindings)
