"""Publishing by group commits, from any thread."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from contracts.topology import Topology
from shared.broker.embedded.file import LOCK_WAIT, BrokerFile, declare, transaction
from shared.broker.embedded.writer import Writer
from shared.broker.errors import BrokerError, BrokerUnavailable, Overloaded
from shared.broker.settling import Entry, HandingOver

if TYPE_CHECKING:
    from shared.clock import Clock

_log = structlog.get_logger(__name__)

_GROUP = 2_000
_WAL_CEILING = 64 * 1024 * 1024


class EmbeddedPublisher(HandingOver):
    """One thread that commits everything waiting in one transaction; futures end after the commit."""

    def __init__(self, file: BrokerFile, clock: Clock, topology: Topology | None, limit: int = 5_000) -> None:
        self._file = file
        self._clock = clock
        self._topology = topology
        self._limit = limit
        self._waiting: deque[Entry] = deque()
        self._writing = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._probing = False
        self._closing = False
        self._ready = False

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        with self._changed:
            room = 0 if self._closing else max(0, self._limit - len(self._waiting) - self._writing)
            for _, told, place in entries[room:]:
                closed = BrokerUnavailable("this publisher is closed")
                told.settle(place, closed if self._closing else Overloaded(f"{self._limit} wait here"))
            self._waiting.extend(entries[:room])
            self._start()
            self._changed.notify_all()

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
            self._thread.join(timeout=LOCK_WAIT + 1)

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
            for (_, told, place), outcome in zip(group, outcomes, strict=True):
                told.settle(place, outcome)
            self._report(ready=True)
        if connection is not None:
            connection.close()

    def _open(self) -> tuple[sqlite3.Connection, Writer]:
        connection = self._file.connect()
        try:
            if self._topology is not None:
                with transaction(connection):
                    declare(connection, self._topology)
        except BaseException:
            connection.close()
            raise
        return connection, Writer(connection, self._clock)

    def _next(self) -> list[Entry] | None:
        """The next group, empty when somebody only asks whether writing works; None at the end."""
        with self._changed:
            self._writing = 0
            self._changed.wait_for(lambda: self._waiting or self._probing or self._closing)
            if self._closing and not self._waiting:
                return None
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))]
            self._writing = len(group)
            return group

    def _commit(self, connection: sqlite3.Connection, writer: Writer, group: list[Entry]) -> list[BrokerError | None]:
        with transaction(connection):
            writer.start()
            outcomes = [writer.put(entry[0]) for entry in group]
            writer.finish()
        if self._file.wal_size() > _WAL_CEILING:
            connection.execute("pragma wal_checkpoint(truncate)")
        return outcomes

    def _fail(self, group: list[Entry], cause: Exception) -> None:
        """What waited meanwhile fails too, else it would wait for the next lock time-out as well."""
        if not isinstance(cause, BrokerError | sqlite3.Error | OSError):
            _log.error("publisher_failed", exc_info=cause)
        else:
            _log.warning("broker_unavailable", reason=str(cause))
        with self._changed:
            group = [*group, *self._waiting]
            self._waiting.clear()
        for _, told, place in group:
            told.settle(place, BrokerUnavailable(str(cause)))
        self._report(ready=False)

    def _report(self, *, ready: bool) -> None:
        with self._changed:
            self._ready = ready
            self._probing = False
            self._changed.notify_all()
