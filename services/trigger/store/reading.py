"""What REST, metrics and the audit read: pages of a moment's outcomes and waits, counts, whole tables in chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from peewee import Database

from contracts.moments import MomentState
from contracts.wire import decode_moment_state
from services.trigger.engine.decide import ProcessId
from services.trigger.engine.state import Process, decode_process
from services.trigger.store.raises import RAISE_COLUMNS, RaiseRow, raise_of
from services.trigger.store.rows import Rows
from services.trigger.store.waits import DueWait

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWait:
    """A row of the due index with its process."""

    process_key: bytes
    number: int
    partition: int
    due_at: int
    identity: ProcessId
    process: Process


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionRow:
    """A signal that spoke against a raise; `event`: the bytes of the raise's event, empty when it is kept no more."""

    profile_key: bytes
    source: str
    signal_id: str
    raise_id: str
    time: int
    received_at: int
    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredRow:
    """A recovery; `value`: JSON text of the amounts; `event`: as that of a contradiction."""

    raise_id: str
    source: str
    signal_id: str
    time: int
    received_at: int
    recorded_at: int
    value: str
    event: bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which decided occurrences are meant: the decision, its reason, and from when to before when it was made."""

    raised: bool | None = None
    reason: str | None = None
    since: int | None = None
    until: int | None = None

    def conditions(self) -> tuple[list[str], list[object]]:
        """SQL for the columns of `raises`, with its parameters."""
        asked = (
            ("raised = ?", self.raised),
            ("reason = ?", self.reason),
            ("decided_at >= ?", self.since),
            ("decided_at < ?", self.until),
        )
        given = [(condition, value) for condition, value in asked if value is not None]
        return [condition for condition, _ in given], [value for _, value in given]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """A process as it stands in the table; `waits`: its rows of the due index, (moment, number) → due."""

    id: int
    key: bytes
    identity: ProcessId
    partition: int
    process: Process
    waits: dict[tuple[str, int], int]


@contextmanager
def snapshot(database: Database) -> Iterator[Rows]:
    """A transaction that reads one state of all tables, holds nobody up and writes nothing."""
    rows = Rows(database)
    with database.atomic() if rows.postgresql else database.atomic("DEFERRED"):
        if rows.postgresql:
            rows.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield rows


def moment_state(rows: Rows, moment_id: str) -> MomentState | None:
    """The newest known state of a moment."""
    found = rows.execute("SELECT body FROM moments WHERE id = ?", (moment_id,))
    return decode_moment_state(bytes(found[0][0])) if found else None


def outcomes_page(
    rows: Rows, moment_id: str, chosen: Chosen, before: tuple[int, str] | None, limit: int
) -> list[RaiseRow]:
    """Decided occurrences of a moment, the newest first; `before`: decidedAt and id of the last one shown."""
    conditions, parameters = chosen.conditions()
    if before is not None:
        conditions, parameters = [*conditions, "(decided_at, id) < (?, ?)"], [*parameters, *before]
    where = " AND ".join(("moment_id = ?", *conditions))
    found = rows.execute(
        f"SELECT {', '.join(RAISE_COLUMNS)} FROM raises WHERE {where} ORDER BY decided_at DESC, id DESC LIMIT ?",  # noqa: S608
        [moment_id, *parameters, limit],
    )
    return [raise_of(row) for row in found]


def outcomes_by_id(rows: Rows, ids: Collection[str]) -> dict[str, RaiseRow]:
    """Decided occurrences among some ids."""
    sql = f"SELECT {', '.join(RAISE_COLUMNS)} FROM raises WHERE id IN {{values}}"  # noqa: S608
    return {row[0]: raise_of(row) for row in rows.select_in(sql, ids, "text")}


def names_of(rows: Rows, outcomes: Iterable[RaiseRow]) -> dict[bytes, ProcessId]:
    """Process key → name of the processes of decided occurrences; of those that are kept."""
    sql = "SELECT key, configuration, id_type, profile, kind, process_id FROM processes WHERE key IN {values}"
    keys = {row.process_key for row in outcomes}
    return {bytes(row[0]): ProcessId(*row[1:]) for row in rows.select_in(sql, keys, "bytea")}


def waits_page(rows: Rows, moment_id: str, after: tuple[int, bytes, int] | None, limit: int) -> list[PendingWait]:
    """Pending waits of a moment in the order of the due index; `after`: its columns of the last one shown."""
    condition = "" if after is None else " AND (w.due_at, w.process_key, w.number) > (?, ?, ?)"
    found = rows.execute(
        "SELECT w.process_key, w.number, w.partition, w.due_at, p.configuration, p.id_type, p.profile, p.kind,"  # noqa: S608
        " p.process_id, p.head FROM waits w JOIN processes p ON p.key = w.process_key"
        f" WHERE w.moment_id = ?{condition} ORDER BY w.due_at, w.process_key, w.number LIMIT ?",
        [moment_id, *(after or ()), limit],
    )
    return [
        PendingWait(
            process_key=bytes(row[0]),
            number=row[1],
            partition=row[2],
            due_at=row[3],
            identity=ProcessId(*row[4:9]),
            process=decode_process(bytes(row[9])),
        )
        for row in found
    ]


def sampled_waits(rows: Rows, moment_id: str, most: int) -> tuple[int, list[DueWait]]:
    """How many waits of a moment are pending, and so many of them in the order of their processes' keys.

    Keys are hashes: the first ones are a fair sample.
    """
    found = rows.execute(
        "SELECT process_key, number, partition, due_at FROM waits WHERE moment_id = ?"
        " ORDER BY process_key, number LIMIT ?",
        (moment_id, most),
    )
    total = len(found)
    if total == most:
        total = int(rows.execute("SELECT count(*) FROM waits WHERE moment_id = ?", (moment_id,))[0][0])
    return total, [DueWait((bytes(key), moment_id, number), partition, due) for key, number, partition, due in found]


def contradictions_page(
    rows: Rows, moment_id: str, before: tuple[int, bytes, str, str] | None, limit: int
) -> list[ContradictionRow]:
    """Contradictions of a moment, the newest first; `before`: the columns of their order of the last one shown."""
    condition = "" if before is None else " AND (c.received_at, c.profile_key, c.source, c.signal_id) < (?, ?, ?, ?)"
    found = rows.execute(
        "SELECT c.profile_key, c.source, c.signal_id, c.raise_id, c.time, c.received_at, r.event"  # noqa: S608
        f" FROM contradictions c LEFT JOIN raises r ON r.id = c.raise_id WHERE c.moment_id = ?{condition}"
        " ORDER BY c.received_at DESC, c.profile_key DESC, c.source DESC, c.signal_id DESC LIMIT ?",
        [moment_id, *(before or ()), limit],
    )
    return [
        ContradictionRow(
            profile_key=bytes(row[0]),
            source=row[1],
            signal_id=row[2],
            raise_id=row[3],
            time=row[4],
            received_at=row[5],
            event=bytes(row[6] or b""),
        )
        for row in found
    ]


def recoveries_page(
    rows: Rows, moment_id: str, since: int | None, until: int | None, before: tuple[int, str] | None, limit: int
) -> list[RecoveredRow]:
    """Recoveries of a moment, the newest first; `before`: recordedAt and raise of the last one shown."""
    conditions, parameters = Chosen(since=since, until=until).conditions()
    conditions = [condition.replace("decided_at", "c.recorded_at") for condition in conditions]
    if before is not None:
        conditions, parameters = [*conditions, "(c.recorded_at, c.raise_id) < (?, ?)"], [*parameters, *before]
    where = " AND ".join(("c.moment_id = ?", *conditions))
    found = rows.execute(
        "SELECT c.raise_id, c.source, c.signal_id, c.time, c.received_at, c.recorded_at, c.value, r.event"  # noqa: S608
        f" FROM recoveries c LEFT JOIN raises r ON r.id = c.raise_id WHERE {where}"
        " ORDER BY c.recorded_at DESC, c.raise_id DESC LIMIT ?",
        [moment_id, *parameters, limit],
    )
    return [
        RecoveredRow(
            raise_id=row[0],
            source=row[1],
            signal_id=row[2],
            time=row[3],
            received_at=row[4],
            recorded_at=row[5],
            value=row[6],
            event=bytes(row[7] or b""),
        )
        for row in found
    ]


def ledgers(rows: Rows, moment_id: str | None = None) -> dict[str, dict[str, int]]:
    """Moment → counter → value, and `pending` from the due index; in one statement, so of one instant."""
    where, parameters = ("", []) if moment_id is None else (" WHERE moment_id = ?", [moment_id, moment_id])
    found: dict[str, dict[str, int]] = {}
    for moment, counter, value in rows.execute(
        f"SELECT moment_id, counter, sum(value) FROM ledger{where} GROUP BY moment_id, counter"  # noqa: S608
        f" UNION ALL SELECT moment_id, 'pending', count(*) FROM waits{where} GROUP BY moment_id",
        parameters,
    ):
        found.setdefault(moment, {})[counter] = int(value)
    return found


def outcome_counts(rows: Rows) -> dict[tuple[str, bool, str], int]:
    """(moment, raised, reason) → how many decided occurrences are recorded."""
    sql = "SELECT moment_id, raised, reason, count(*) FROM raises GROUP BY moment_id, raised, reason"
    return {(moment, bool(raised), reason): int(count) for moment, raised, reason, count in rows.execute(sql)}


def contradiction_counts(rows: Rows) -> dict[str, int]:
    """Moment → how many contradictions are recorded."""
    return dict(rows.execute("SELECT moment_id, count(*) FROM contradictions GROUP BY moment_id"))


def recovery_counts(rows: Rows) -> dict[str, int]:
    """Moment → how many recoveries are recorded."""
    return dict(rows.execute("SELECT moment_id, count(*) FROM recoveries GROUP BY moment_id"))


def unpublished_raises(rows: Rows, since: int, limit: int) -> list[tuple[str, str]]:
    """(moment, id) of raises decided at or after `since` of which no message stands in the outbox, sent or not."""
    sql = (
        "SELECT r.moment_id, r.id FROM raises r LEFT JOIN outbox o ON o.message_id = r.id"
        " WHERE r.raised AND r.decided_at >= ? AND o.id IS NULL ORDER BY r.moment_id, r.id LIMIT ?"
    )
    return [(moment, raise_id) for moment, raise_id in rows.execute(sql, (since, limit))]


def unsent_messages(rows: Rows) -> int:
    """How many messages of the outbox are not confirmed by the broker."""
    return int(rows.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL")[0][0])


def partition_numbers(rows: Rows) -> list[int]:
    """The partitions of this installation."""
    return [number for (number,) in rows.execute("SELECT partition FROM partitions ORDER BY partition")]


def settled_everywhere(rows: Rows) -> set[tuple[str, int]]:
    """(moment, partition) where the effects of the moment's newest state on its waits are done."""
    sql = (
        "SELECT s.moment_id, s.partition FROM settled s JOIN moments m ON m.id = s.moment_id"
        " WHERE s.version = m.version"
    )
    return {(moment, partition) for moment, partition in rows.execute(sql)}


def processes(rows: Rows) -> Iterator[ProcessRow]:
    """Every process with its rows of the due index, in chunks."""
    last = -1
    while True:
        found = rows.execute(
            "SELECT id, key, partition, configuration, id_type, profile, kind, process_id, head FROM processes"
            " WHERE id > ? ORDER BY id LIMIT ?",
            (last, _CHUNK),
        )
        waits = _waits_of(rows, [bytes(row[1]) for row in found])
        for row in found:
            key = bytes(row[1])
            yield ProcessRow(
                id=row[0],
                key=key,
                identity=ProcessId(*row[3:8]),
                partition=row[2],
                process=decode_process(bytes(row[8])),
                waits=waits.get(key, {}),
            )
        if len(found) < _CHUNK:
            return
        last = found[-1][0]


def _waits_of(rows: Rows, keys: Collection[bytes]) -> dict[bytes, dict[tuple[str, int], int]]:
    found: dict[bytes, dict[tuple[str, int], int]] = {}
    for key, moment, number, due in rows.select_in(
        "SELECT process_key, moment_id, number, due_at FROM waits WHERE process_key IN {values}", keys, "bytea"
    ):
        found.setdefault(bytes(key), {})[moment, number] = due
    return found
