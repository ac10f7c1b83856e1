"""Erasures: whom, since when, how far, and what remains known of it: the receipt. Times in µs.

While an erasure is underway its row names the customer; when everybody is done the name goes, and a keyed hash stays:
by it late arrivals are recognised. The same for the ids of erased signals, so that no sender's repeat brings one back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.times import DAY
from services.trigger.engine.application import ProfileId
from services.trigger.store.rows import Rows
from shared.store import Migration

REQUESTED = "requested"
"""The row stands and the tombstone is on its way: nothing is raised for the customer any more."""
ERASING = "erasing"
"""The tombstone was taken, and of very many signals the last ones are being deleted; all else that was known went."""
ERASED = "erased"
"""What was known is gone, and what is kept elsewhere is being looked through."""
DONE = "done"
"""Nothing is left in any store, and every service has answered. The name is gone, too."""

SIGNALS_BARRED = 7 * DAY
"""For how long a sender's repeat of an erased signal is recognised (DOMAIN §6.8)."""

_ERASURES = """CREATE TABLE erasures (
    id TEXT PRIMARY KEY, subject {blob} NOT NULL, at BIGINT NOT NULL, state TEXT NOT NULL, partition INTEGER NOT NULL,
    configuration TEXT NOT NULL, id_type TEXT NOT NULL, profile TEXT, profile_key {blob}, requested_by TEXT NOT NULL,
    suppress INTEGER NOT NULL, erased_at BIGINT, done_at BIGINT, sweeps INTEGER NOT NULL, next_at BIGINT,
    dropped BIGINT NOT NULL)"""
_COUNTS = """CREATE TABLE erasure_counts (
    erasure_id TEXT NOT NULL, service TEXT NOT NULL, store TEXT NOT NULL, count BIGINT NOT NULL,
    PRIMARY KEY (erasure_id, service, store))"""
_ANSWERS = """CREATE TABLE erasure_answers (
    erasure_id TEXT NOT NULL, reader TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (erasure_id, reader))"""
_SIGNALS = "CREATE TABLE erased_signals (key {blob} PRIMARY KEY, until BIGINT NOT NULL)"
_SHARED = (
    "CREATE INDEX erasures_by_subject ON erasures (subject)",
    "CREATE INDEX erasures_by_request ON erasures (at, id)",
    "CREATE INDEX erasures_underway ON erasures (state) WHERE state <> 'done'",
    "CREATE INDEX erased_signals_by_end ON erased_signals (until)",
    "CREATE INDEX recoveries_by_profile ON recoveries (profile_key)",
    # The last place of the log that was erased: no place is ever given twice.
    "CREATE TABLE log_end (sequence BIGINT NOT NULL)",
    "INSERT INTO log_end VALUES (0)",
)


def _statements(blob: str) -> tuple[str, ...]:
    return (_ERASURES.format(blob=blob), _COUNTS, _ANSWERS, _SIGNALS.format(blob=blob), *_SHARED)


ERASURES_MIGRATION = Migration(
    version=21,
    name="erasures",
    statements={"sqlite": _statements("BLOB"), "postgresql": _statements("BYTEA")},
)

_FAILING = (
    "ALTER TABLE erasures ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE erasures ADD COLUMN failed_at BIGINT",
    "ALTER TABLE erasures ADD COLUMN failure TEXT",
    "ALTER TABLE erasures ADD COLUMN log_gone_at BIGINT",
)
FAILING_ERASURES_MIGRATION = Migration(
    version=29, name="erasures that fail or take long", statements={"sqlite": _FAILING, "postgresql": _FAILING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A row. `profile`, `profile_key`: None once it is done. `dropped`: signals that arrived afterwards, too late.

    `next_at`: when to go on with it, None: at once. `failures`: how often that failed since it last went on, the last
    time at `failed_at` by `failure`, which names nobody. `log_gone_at`: when the last signal went, where that was later
    than `erased_at`.
    """

    id: str
    subject: bytes
    at: int
    state: str
    partition: int
    configuration: str
    id_type: str
    profile: str | None
    profile_key: bytes | None
    requested_by: str
    suppress: bool
    erased_at: int | None = None
    done_at: int | None = None
    sweeps: int = 0
    next_at: int | None = None
    dropped: int = 0
    failures: int = 0
    failed_at: int | None = None
    failure: str | None = None
    log_gone_at: int | None = None

    @property
    def identity(self) -> ProfileId | None:
        """Whom it is about, as long as that is known."""
        return None if self.profile is None else ProfileId(self.configuration, self.id_type, self.profile)


_COLUMNS = (
    "id, subject, at, state, partition, configuration, id_type, profile, profile_key, requested_by, suppress,"
    " erased_at, done_at, sweeps, next_at, dropped, failures, failed_at, failure,"
    " log_gone_at"
)
_NAMES = _COLUMNS.replace(" ", "").split(",")
_UNDERWAY = "state = ? AND state <> 'done'"  # SQLite takes the index of those only where its condition stands in words


def add_erasure(rows: Rows, erasure: Erasure) -> None:
    """A request."""
    values = [_plain(getattr(erasure, name)) for name in _NAMES]
    rows.execute(f"INSERT INTO erasures ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def find_erasure(rows: Rows, erasure_id: str, *, lock: bool = False) -> Erasure | None:
    """The erasure of an id. `lock`: hold it to the commit."""
    tail = " FOR UPDATE" if lock and rows.postgresql else ""
    found = rows.execute(f"SELECT {_COLUMNS} FROM erasures WHERE id = ?{tail}", (erasure_id,))  # noqa: S608
    return _erasure(found[0]) if found else None


def erasures_page(rows: Rows, before: tuple[int, str] | None, limit: int) -> list[Erasure]:
    """The latest erasures; `before`: at and id of the last one shown."""
    where = "" if before is None else " WHERE (at, id) < (?, ?)"
    sql = f"SELECT {_COLUMNS} FROM erasures{where} ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
    return [_erasure(row) for row in rows.execute(sql, (*(before or ()), limit))]


def erased_at(rows: Rows, subject: bytes) -> int | None:
    """When a customer was erased last, None for never."""
    at = rows.execute("SELECT max(at) FROM erasures WHERE subject = ?", (subject,))[0][0]
    return None if at is None else int(at)


def erasures_in(rows: Rows, state: str) -> list[Erasure]:
    """Those that are so far and no further; few at any time, since `done` is not asked for."""
    sql = f"SELECT {_COLUMNS} FROM erasures WHERE {_UNDERWAY} ORDER BY at, id"  # noqa: S608
    return [_erasure(row) for row in rows.execute(sql, (state,))]


def due_erasures(rows: Rows, now: int, state: str) -> list[Erasure]:
    """Those that are so far, and to be gone on with now."""
    return [each for each in erasures_in(rows, state) if (each.next_at or 0) <= now]


def doomed_profiles(rows: Rows) -> set[bytes]:
    """Keys of the profiles for which nothing is to be raised: their tombstones are on their way."""
    found = rows.execute(f"SELECT profile_key FROM erasures WHERE {_UNDERWAY}", (REQUESTED,))  # noqa: S608
    return {bytes(key) for (key,) in found}


def erased_subjects(rows: Rows) -> dict[bytes, int]:
    """Subject → the greatest instant up to which it was erased: what was received by then is dropped."""
    found = rows.execute("SELECT subject, max(at) FROM erasures WHERE state <> 'requested' GROUP BY subject")
    return {bytes(subject): int(at) for subject, at in found}


def erased_since(rows: Rows, subjects: Iterable[bytes]) -> dict[bytes, int]:
    """The same for some subjects, those whose tombstones are on their way included."""
    sql = "SELECT subject, max(at) FROM erasures WHERE subject IN {values} GROUP BY subject"
    return {bytes(subject): int(at) for subject, at in rows.select_in(sql, list(subjects), "bytea")}


def count_dropped(rows: Rows, counts: Mapping[bytes, int]) -> None:
    """So many signals of a subject arrived after its erasure, and were dropped: noted with the latest one."""
    rows.execute_many(
        "UPDATE erasures SET dropped = dropped + ? WHERE id = (SELECT id FROM erasures WHERE subject = ?"
        " AND state <> 'requested' ORDER BY at DESC, id DESC LIMIT 1)",
        [(count, subject) for subject, count in counts.items()],
    )


def bar_signals(rows: Rows, keys: Sequence[bytes], until: int) -> None:
    """Remember hashes of erased signals."""
    values = [(key, until) for key in dict.fromkeys(keys)]
    rows.insert(
        "erased_signals", {"key": "bytea", "until": "int8"}, values, "(key) DO UPDATE SET until = excluded.until"
    )


def barred_signals(rows: Rows, keys: Iterable[bytes]) -> set[bytes]:
    """Those of the hashes that are remembered."""
    sql = "SELECT key FROM erased_signals WHERE key IN {values}"
    return {bytes(key) for (key,) in rows.select_in(sql, list(keys), "bytea")}


def forget_barred_signals(rows: Rows, before: int, limit: int) -> int:
    """Delete some of the hashes whose time is over; how many."""
    return rows.change(
        "DELETE FROM erased_signals WHERE key IN (SELECT key FROM erased_signals WHERE until < ? LIMIT ?)",
        (before, limit),
    )


def forget_erasures(rows: Rows, before: int, limit: int) -> int:
    """Delete some of the receipts of what was done before an instant; how many."""
    ids = rows.execute("SELECT id FROM erasures WHERE state = 'done' AND done_at < ? LIMIT ?", (before, limit))
    for table, column in (("erasure_counts", "erasure_id"), ("erasure_answers", "erasure_id"), ("erasures", "id")):
        rows.execute_many(f"DELETE FROM {table} WHERE {column} = ?", ids)  # noqa: S608
    return len(ids)


def add_erased_counts(rows: Rows, erasure_id: str, service: str, counts: Mapping[str, int]) -> None:
    """Store → so many rows more went."""
    rows.insert(
        "erasure_counts",
        {"erasure_id": "text", "service": "text", "store": "text", "count": "int8"},
        [(erasure_id, service, store, count) for store, count in sorted(counts.items())],
        "(erasure_id, service, store) DO UPDATE SET count = erasure_counts.count + excluded.count",
    )


def erased_counts(rows: Rows, erasure_id: str) -> dict[str, dict[str, int]]:
    """Service → store → how many rows went."""
    found: dict[str, dict[str, int]] = {}
    sql = "SELECT service, store, count FROM erasure_counts WHERE erasure_id = ? ORDER BY service, store"
    for service, store, count in rows.execute(sql, (erasure_id,)):
        found.setdefault(service, {})[store] = int(count)
    return found


def note_answer(rows: Rows, erasure_id: str, reader: str, at: int) -> bool:
    """A service has answered; whether it had not before."""
    columns = {"erasure_id": "text", "reader": "text", "at": "int8"}
    new = rows.insert_new("erasure_answers", columns, [(erasure_id, reader, at)], "reader", "(erasure_id, reader)")
    return bool(new)


def answers(rows: Rows, erasure_id: str) -> dict[str, int]:
    """Reader → when it answered."""
    found = rows.execute("SELECT reader, at FROM erasure_answers WHERE erasure_id = ? ORDER BY reader", (erasure_id,))
    return {reader: int(at) for reader, at in found}


def note_erased(rows: Rows, erasure_id: str, now: int, *, state: str = ERASED) -> None:
    """The tombstone was taken. `state`: ERASING where signals are left in the log."""
    rows.execute(
        f"UPDATE erasures SET state = ?, erased_at = ?, next_at = ?, {_WELL} WHERE id = ?",  # noqa: S608
        (state, now, now, erasure_id),
    )


def note_log_gone(rows: Rows, erasure_id: str, now: int) -> None:
    """The last signal has gone from the log."""
    rows.execute(
        f"UPDATE erasures SET state = 'erased', log_gone_at = ?, next_at = ?, {_WELL} WHERE id = ?",  # noqa: S608
        (now, now, erasure_id),
    )


def note_sweep(rows: Rows, erasure_id: str, next_at: int, *, looked: bool) -> None:
    """When to come again; `looked`: all stores were looked through once more."""
    rows.execute(
        f"UPDATE erasures SET sweeps = sweeps + ?, next_at = ?, {_WELL} WHERE id = ?",  # noqa: S608
        (int(looked), next_at, erasure_id),
    )


def note_done(rows: Rows, erasure_id: str, now: int) -> None:
    """Everything is done: the name goes."""
    rows.execute(
        f"UPDATE erasures SET state = 'done', done_at = ?, next_at = NULL, {_WELL}, profile = NULL,"  # noqa: S608
        " profile_key = NULL WHERE id = ?",
        (now, erasure_id),
    )


_WELL = "failures = 0, failed_at = NULL, failure = NULL"


def note_failure(rows: Rows, erasure_id: str, now: int, reason: str, next_at: int) -> None:
    """It could not be gone on with: why, and when to try again."""
    rows.execute(
        "UPDATE erasures SET failures = failures + 1, failed_at = ?, failure = ?, next_at = ?"
        " WHERE id = ? AND state <> 'done'",
        (now, reason, next_at, erasure_id),
    )


def claim_tombstone(rows: Rows, erasure: Erasure, next_at: int) -> bool:
    """Set when a tombstone is to be sent again after this time; whether no other worker has sent it meanwhile."""
    sql = "UPDATE erasures SET next_at = ? WHERE id = ? AND state = 'requested' AND coalesce(next_at, 0) = ?"
    return rows.change(sql, (next_at, erasure.id, erasure.next_at or 0)) > 0


def erasures_underway(rows: Rows) -> dict[str, tuple[int, int]]:
    """State → how many erasures are that far and no further, and how many of these failed when last tried."""
    found = rows.execute(
        "SELECT state, count(*), sum(CASE WHEN failures > 0 THEN 1 ELSE 0 END) FROM erasures"
        " WHERE state <> 'done' GROUP BY state"
    )
    return {state: (int(count), int(failing)) for state, count, failing in found}


def raise_log_end(rows: Rows, sequence: int) -> None:
    """The log's last signals are deleted: their places must not be given to others."""
    rows.execute("UPDATE log_end SET sequence = ? WHERE sequence < ?", (sequence, sequence))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _erasure(row: Sequence[Any]) -> Erasure:
    found = dict(zip(_NAMES, row, strict=True))
    key = found["profile_key"]
    return Erasure(
        **{
            **found,
            "subject": bytes(found["subject"]),
            "profile_key": None if key is None else bytes(key),
            "suppress": bool(found["suppress"]),
        }
    )
