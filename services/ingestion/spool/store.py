"""The spool: messages in a SQLite file of this machine, shared by its processes, bounded, in the order they came."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from pathlib import Path

import msgspec
import structlog

from services.ingestion.spool.board import Board, Mode
from shared.broker import Message
from shared.clock import Clock, stopwatch

_log = structlog.get_logger(__name__)

FILE = "spool.db"
LEASE = 2.0
"""Seconds for which this machine promises trigger to put nothing into the spool (docs/decisions/036-spool.md)."""
PAGE = 4096
_MEGABYTE = 1024 * 1024
_WAIT_FOR_LOCK = 5.0
_GROUP = 2_000
_COMPLAIN_EVERY = 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS spool (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, person BLOB NOT NULL, message BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS spool_by_at ON spool (at);
CREATE TABLE IF NOT EXISTS machine (
    one INTEGER PRIMARY KEY, name TEXT NOT NULL, known INTEGER NOT NULL, term INTEGER NOT NULL);
"""


class Outcome(Enum):
    """What became of messages that were to be put into the spool; all of them or none."""

    KEPT = "kept"
    """They are durable."""
    DIRECT = "direct"
    """The spool is empty and promised to stay so for a moment: to the broker with them."""
    FULL = "full"
    """The bound, or the disk, is reached."""
    UNABLE = "unable"
    """The file cannot be written, or trigger has not heard of this machine yet."""


class _Packed(msgspec.Struct, array_like=True):
    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    content_type: str
    headers: dict[str, str]
    hidden_copies: tuple[str, ...]
    optional: bool


_packed = msgspec.msgpack.Decoder(_Packed)


@dataclass(slots=True)
class _Entry:
    rows: list[tuple[bytes, bytes]]
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What an operator wants to know. `oldest`: when the first of the signals was accepted, µs; None without any.

    `used`, `bound`: bytes. `known`: trigger waits for this machine's word. `name`: of the machine.
    """

    name: str
    known: bool
    signals: int
    used: int
    bound: int
    oldest: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first messages of the spool, in order; `last` is the place of the last one."""

    messages: list[Message] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


def person_key(pepper: bytes, configuration: str, id_type: str, value: str) -> bytes:
    """What the spool knows a customer by: a keyed hash of the configuration and the normalised profile."""
    named = msgspec.json.encode((configuration, id_type, value))
    return blake2b(named, key=blake2b(pepper).digest(), digest_size=16).digest()


class Spool:
    """One object per process, for all its threads; make it after the fork.

    `megabytes`: the bound of the file; with 0 nothing is taken, what lies there only leaves.
    """

    def __init__(self, folder: Path, megabytes: int, pepper: bytes, clock: Clock) -> None:
        self.board = Board(folder / "spool.state")
        self.takes = megabytes > 0
        self._bound = megabytes * _MEGABYTE
        self._pepper = pepper
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        self._complained = -_COMPLAIN_EVERY
        self._writing = threading.Lock()
        self._keeping = threading.Lock()
        self._writer = _open(folder / FILE)
        self._keeper = _open(folder / FILE)
        if self.takes:
            self._writer.execute(f"PRAGMA max_page_count = {max(16, self._bound // PAGE)}")
        self._set_up()

    def close(self) -> None:
        """Give the files back."""
        with self._writing, self._keeping:
            self._writer.close()
            self._keeper.close()
        self.board.close()

    @property
    def filled(self) -> bool:
        """Whether new signals have to go behind those that wait here; costs nothing."""
        return self.board.mode is not Mode.DIRECT

    def person(self, configuration: str, id_type: str, value: str) -> bytes:
        """The key of a customer in this spool."""
        return person_key(self._pepper, configuration, id_type, value)

    def put(self, messages: Sequence[tuple[bytes, Message]]) -> Outcome:
        """Keep messages with the keys of their customers, in one commit with those of other threads."""
        if not self.takes:
            return Outcome.DIRECT
        entry = _Entry([(person, _pack(message)) for person, message in messages])
        with self._lock:
            self._waiting.append(entry)
        with self._writing:
            if entry.outcome is None:
                self._write_group()
        return entry.outcome or Outcome.UNABLE

    def lease_left(self) -> float:
        """Seconds until `put` may be of use again after it said DIRECT."""
        return self.board.lease_left(LEASE)

    def first(self, limit: int) -> Waiting:
        """The messages that came first."""
        with self._keeping:
            rows = self._keeper.execute("SELECT id, message FROM spool ORDER BY id LIMIT ?", (limit,)).fetchall()
        return Waiting([_unpack(message) for _, message in rows], [place for place, _ in rows])

    def forget(self, last: int) -> int:
        """Forget all up to a place; returns the instant before which nothing acknowledged is left here (µs)."""
        with self._keeping, _transaction(self._keeper):
            self._keeper.execute("DELETE FROM spool WHERE id <= ?", (last,))
            return self._oldest() or self._clock.now()

    def grant(self, seconds: float) -> int | None:
        """Promise that nothing is put here for so long; returns the instant before which all that was acknowledged
        has left (µs): the end of the promise. None: something lies here.
        """
        with self._keeping, _transaction(self._keeper):
            if self._oldest() is not None:
                self.board.mode = Mode.FILLED
                return None
            if seconds > 0:
                self.board.lease(seconds)
            self.board.mode = Mode.DIRECT
            return self._clock.now() + int(seconds * 1_000_000)

    def begin_term(self) -> int:
        """Another process keeps the spool from now on: a number that rises with each."""
        with self._keeping, _transaction(self._keeper):
            self._keeper.execute("UPDATE machine SET term = term + 1")
            return int(self._keeper.execute("SELECT term FROM machine").fetchone()[0])

    def introduce(self) -> None:
        """Trigger knows of this machine: from now on the spool may be used."""
        with self._keeping, _transaction(self._keeper):
            self._keeper.execute("UPDATE machine SET known = 1")

    def sign_off(self) -> bool:
        """Make the spool unusable until `introduce`; not when something lies here or it was so already."""
        with self._keeping, _transaction(self._keeper):
            if self._oldest() is not None:
                return False
            return self._keeper.execute("UPDATE machine SET known = 0 WHERE known = 1").rowcount > 0

    def tidy(self) -> None:
        """Give back the space of what has left."""
        with self._keeping:
            self._keeper.execute("PRAGMA incremental_vacuum")
            self._keeper.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def standing(self) -> Standing:
        """How it stands."""
        with self._keeping:
            return _standing(self._keeper, self._bound)

    def erase(self, configuration: str, id_type: str, value: str, until: int) -> int:
        """Delete what waits of a customer (normalised, DOMAIN §2.1) since an instant (µs) or before; how many signals.

        A part goes to a transaction. What came a moment before may stay: trigger drops it when it arrives.
        """
        person, erased, place = self.person(configuration, id_type, value), 0, 0
        while True:
            with self._keeping, _transaction(self._keeper):
                part = "SELECT id FROM spool WHERE id > ? ORDER BY id LIMIT 5000"
                last = self._keeper.execute(f"SELECT MAX(id) FROM ({part})", (place,)).fetchone()[0]  # noqa: S608
                if last is None:
                    return erased
                erased += self._keeper.execute(
                    "DELETE FROM spool WHERE id > ? AND id <= ? AND person = ? AND at <= ?",
                    (place, last, person, until),
                ).rowcount
                place = last

    def _set_up(self) -> None:
        with _transaction(self._keeper):
            for statement in filter(str.strip, _TABLES.split(";")):
                self._keeper.execute(statement)
            self._keeper.execute(
                "INSERT INTO machine (one, name, known, term) VALUES (1, ?, 0, 0) ON CONFLICT DO NOTHING", (_name(),)
            )
            self.name = str(self._keeper.execute("SELECT name FROM machine").fetchone()[0])
            if self._oldest() is not None:
                self.board.mode = Mode.FILLED

    def _write_group(self) -> None:
        with self._lock:
            group, size = [], 0
            while self._waiting and size < _GROUP:
                group.append(self._waiting.pop(0))
                size += len(group[-1].rows)
        try:
            outcome = self._write([row for entry in group for row in entry.rows])
        except sqlite3.Error as error:
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            outcome = Outcome.FULL if full else Outcome.UNABLE
            self._complain(error)
        for entry in group:
            entry.outcome = outcome

    def _complain(self, error: sqlite3.Error) -> None:
        """One line now and then: it fails again with every request."""
        if stopwatch() - self._complained > _COMPLAIN_EVERY:
            self._complained = stopwatch()
            _log.error("spool.not_written", reason=str(error))

    def _write(self, rows: list[tuple[bytes, bytes]]) -> Outcome:
        with _transaction(self._writer):
            if not self._writer.execute("SELECT known FROM machine").fetchone()[0]:
                return Outcome.UNABLE
            if self.lease_left() > 0:
                return Outcome.DIRECT
            now = self._clock.now()
            self._writer.executemany(
                "INSERT INTO spool (at, person, message) VALUES (?, ?, ?)", ((now, *row) for row in rows)
            )
            self.board.mode = Mode.FILLED
        return Outcome.KEPT

    def _oldest(self) -> int | None:
        found: int | None = self._keeper.execute("SELECT MIN(at) FROM spool").fetchone()[0]
        return found


def look(folder: Path, megabytes: int = 0) -> Standing | None:
    """How the spool in a data folder stands, seen from outside; None where there is none."""
    path = folder / FILE
    if not path.exists():
        return None
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT_FOR_LOCK)
    try:
        return _standing(connection, megabytes * _MEGABYTE)
    finally:
        connection.close()


def _standing(connection: sqlite3.Connection, bound: int) -> Standing:
    signals, oldest = connection.execute("SELECT COUNT(*), MIN(at) FROM spool").fetchone()
    name, known = connection.execute("SELECT name, known FROM machine").fetchone()
    pages, free = (connection.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "freelist_count"))
    return Standing(name, bool(known), signals, (pages - free) * PAGE, bound, oldest)


def _name() -> str:
    """The name that a machine keeps: its own, for people, and what tells it from others."""
    host = re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname())[:40] or "machine"
    return f"{host}-{uuid.uuid4().hex[:8]}"


def _open(path: Path) -> sqlite3.Connection:
    """A connection that commits durably and overwrites what it deletes."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, timeout=_WAIT_FOR_LOCK, isolation_level=None, check_same_thread=False)
    for pragma in (f"page_size = {PAGE}", "auto_vacuum = INCREMENTAL", "journal_mode = WAL"):
        connection.execute(f"PRAGMA {pragma}")
    for pragma in ("synchronous = FULL", "secure_delete = ON", "journal_size_limit = 8388608"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pack(message: Message) -> bytes:
    fields = {name: getattr(message, name) for name in _Packed.__struct_fields__}
    return msgspec.msgpack.encode(_Packed(**{**fields, "headers": dict(message.headers)}))


def _unpack(packed: bytes) -> Message:
    found = _packed.decode(packed)
    return Message(**{name: getattr(found, name) for name in _Packed.__struct_fields__})
