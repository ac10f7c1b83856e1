"""The trigger's tables as functions of one transaction: effects, ledger, partitions, the log's end, read models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.wire import decode_configuration_state, decode_moment_state, encode
from services.trigger.engine.application import ProfileId
from services.trigger.engine.decide import raise_id_of, stopped_id_of
from services.trigger.engine.effects import Contradiction, Effects, ProcessKey, Stopped
from services.trigger.engine.walk import STOPPED
from services.trigger.store.cache import Stored
from services.trigger.store.keys import profile_key
from services.trigger.store.raises import RaiseRow, insert_raises
from services.trigger.store.rollups import MOST, SIGNALS, Outcome, add_rollups, adding, by_partition, feed_outcomes
from services.trigger.store.rows import Rows

_WAIT_COLUMNS = {"process_key": "bytea", "moment_id": "text", "number": "int4", "partition": "int4", "due_at": "int8"}
_LEDGER_COLUMNS = {"moment_id": "text", "partition": "int4", "counter": "text", "value": "int8"}
_CONTRADICTION_COLUMNS = {
    "moment_id": "text",
    "profile_key": "bytea",
    "source": "text",
    "signal_id": "text",
    "raise_id": "text",
    "time": "int8",
    "received_at": "int8",
}


class Fenced(Exception):
    """Another process has taken the partition."""


def make_partitions(rows: Rows, count: int) -> None:
    """Make sure that a row stands for each partition."""
    rows.insert("partitions", {"partition": "int4"}, [(n,) for n in range(count)], "(partition) DO NOTHING")


def take_partition(rows: Rows, partition: int, owner: str) -> int:
    """Take a partition: the new epoch."""
    sql = "UPDATE partitions SET epoch = epoch + 1, owner = ? WHERE partition = ? RETURNING epoch"
    return int(rows.execute(sql, (owner, partition))[0][0])


def epochs_of(rows: Rows, partitions: Iterable[int]) -> dict[int, int]:
    """The epochs of partitions."""
    return dict(
        rows.select_in("SELECT partition, epoch FROM partitions WHERE partition IN {values}", partitions, "int4")
    )


def check_epochs(rows: Rows, epochs: Mapping[int, int]) -> None:
    """Raise Fenced unless every partition still has the epoch under which it was taken; holds it to the commit."""
    sql = "SELECT partition, epoch FROM partitions WHERE partition IN {values}"
    if rows.postgresql:
        sql += " FOR SHARE"
    stored = rows.select_in(sql, epochs, "int4")
    if dict(stored) != dict(epochs):
        raise Fenced


def save_effects(
    rows: Rows, effects: Effects, stored: Callable[[ProcessKey], Stored], partition: int, now: int
) -> None:
    """Write index entries, counters, contradictions and what was stopped. `stored`: the process of a key.

    `partition`: under which the counters are added; any owned one serves. `now`: the clock in this transaction.
    """
    gone = [key for key in effects.disarmed if key not in effects.armed]
    rows.execute_many("DELETE FROM waits WHERE process_key = ? AND moment_id = ? AND number = ?", gone)
    armed = [(*key, stored(key[0]).partition, due) for key, due in effects.armed.items() if key not in effects.disarmed]
    rows.insert(
        "waits", _WAIT_COLUMNS, armed, "(process_key, moment_id, number) DO UPDATE SET due_at = excluded.due_at"
    )
    counts = Counter(effects.counts)
    for contradiction in effects.contradictions:
        counts[contradiction.moment, "contradicted"] += _record_contradiction(rows, contradiction)
    add_counts(rows, counts, partition, now)
    _record_stopped(rows, effects.stopped, stored, now)


def _record_stopped(rows: Rows, found: Sequence[Stopped], stored: Callable[[ProcessKey], Stored], now: int) -> None:
    stops = [_stop_row(stopped, stored(stopped.key[0]), now) for stopped in found]
    inserted = insert_raises(rows, stops)
    feed_outcomes(
        rows,
        [
            Outcome(stop.moment_id, stored(stop.process_key).partition, stop.id, now)
            for stop in stops
            if stop.id in inserted
        ],
    )


def _stop_row(stopped: Stopped, stored: Stored, now: int) -> RaiseRow:
    process_key, moment_id, number = stopped.key
    raise_id = raise_id_of(moment_id, stored.identity, stopped.last[2], stopped.last[3])
    return RaiseRow(
        id=stopped_id_of(raise_id, stopped.run, number),
        moment_id=moment_id,
        profile_key=stored.profile_key,
        process_key=process_key,
        raised=False,
        reason=STOPPED,
        due_at=stopped.due,
        decided_at=now,
        event=b"",
        number=number,
        opened_at=stopped.opened[0],
        last_at=stopped.last[0],
        run=stopped.run,
        version=stopped.version,
        after=stopped.after,
    )


def _record_contradiction(rows: Rows, found: Contradiction) -> int:
    """Record it unless the signal is recorded for the moment already; how many were."""
    profile = profile_key(ProfileId(*found.profile))
    row = (found.moment, profile, found.source, found.signal, found.raise_id, found.time, found.received_at)
    return len(rows.insert_new("contradictions", _CONTRADICTION_COLUMNS, [row], "moment_id", ""))


def add_counts(rows: Rows, counts: Mapping[tuple[str, str], int], partition: int, now: int) -> None:
    """Add to the ledger and to the roll-ups of `now`: (moment, counter) → n. No counter goes beyond MOST."""
    values = sorted(
        (moment, partition, counter, min(value, MOST))
        for (moment, counter), value in counts.items()
        if value and counter != SIGNALS
    )
    rows.insert("ledger", _LEDGER_COLUMNS, values, adding(rows, "ledger", "moment_id, partition, counter"))
    add_rollups(rows, by_partition(counts, partition), now)


def unsent_partitions(rows: Rows) -> set[int]:
    """The partitions of which messages wait in the outbox."""
    sql = "SELECT DISTINCT partition FROM outbox WHERE sent_at IS NULL AND partition IS NOT NULL"
    return {partition for (partition,) in rows.execute(sql)}


def last_sequence(rows: Rows) -> int:
    """The place in the signal log up to which signals were applied, as this transaction sees it.

    Other workers' signals, which may have greater places, are of other profiles.
    """
    return int(rows.execute("SELECT max(sequence) FROM signals")[0][0] or 0)


def recent_signals(rows: Rows, since: int, margin: int) -> set[bytes]:
    """Bodies of the signals received at or after `since`, read backwards from the log's end.

    The log is nearly in the order of receipt; reading stops at the first thousand older by `margin` throughout.
    """
    found: set[bytes] = set()
    before: int | None = None
    while True:
        page = rows.execute(
            "SELECT sequence, received_at, body FROM signals WHERE sequence < ? ORDER BY sequence DESC LIMIT 1000",
            (before if before is not None else 2**62,),
        )
        found.update(bytes(body) for _, received, body in page if received >= since)
        if len(page) < 1000 or max(received for _, received, _ in page) < since - margin:
            return found
        before = page[-1][0]


def load_moments(rows: Rows) -> dict[str, MomentState]:
    """Every known moment."""
    return {key: decode_moment_state(bytes(body)) for key, body in rows.execute("SELECT id, body FROM moments")}


def save_moment(rows: Rows, state: MomentState) -> None:
    """Keep a moment's state when it is newer."""
    rows.execute(
        "INSERT INTO moments (id, version, body) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body"
        " WHERE excluded.version > moments.version",
        (state.id, state.version, encode(state)),
    )


def settled_versions(rows: Rows, partitions: Iterable[int]) -> dict[tuple[str, int], tuple[int, int]]:
    """(moment, partition) → version and run of the moment whose effects on the partition's waits are done."""
    sql = "SELECT moment_id, partition, version, run FROM settled WHERE partition IN {values}"
    found = rows.select_in(sql, partitions, "int4")
    return {(moment, partition): (version, run) for moment, partition, version, run in found}


def settle(rows: Rows, moment_id: str, partitions: Iterable[int], version: int, run: int) -> None:
    """The effects of a moment's state on the waits of partitions are done up to a version."""
    rows.insert(
        "settled",
        {"moment_id": "text", "partition": "int4", "version": "int8", "run": "int8"},
        [(moment_id, partition, version, run) for partition in partitions],
        "(moment_id, partition) DO UPDATE SET version = excluded.version, run = excluded.run",
    )


def load_configurations(rows: Rows) -> dict[str, ConfigurationState]:
    """Every known configuration."""
    found = rows.execute("SELECT id, body FROM configurations")
    return {key: decode_configuration_state(bytes(body)) for key, body in found}


def save_configuration(rows: Rows, state: ConfigurationState) -> None:
    """Keep a configuration's state when it is newer."""
    rows.execute(
        "INSERT INTO configurations (id, version, body) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, body = excluded.body"
        " WHERE excluded.version > configurations.version",
        (state.id, state.version, encode(state)),
    )


def ledger(rows: Rows, moment_id: str | None = None) -> dict[str, dict[str, int]]:
    """Moment → counter → value, summed over the partitions."""
    sql = "SELECT moment_id, counter, sum(value) FROM ledger GROUP BY moment_id, counter"
    parameters: tuple[str, ...] = ()
    if moment_id is not None:
        sql, parameters = sql.replace(" GROUP", " WHERE moment_id = ? GROUP"), (moment_id,)
    found: dict[str, dict[str, int]] = {}
    for moment, counter, value in rows.execute(sql, parameters):
        found.setdefault(moment, {})[counter] = int(value)
    return found


def note_worker(rows: Rows, name: str, now: int, partitions: Iterable[int]) -> None:
    """A worker tells that it is alive and which partitions it has."""
    rows.execute(
        "INSERT INTO workers (name, seen_at, partitions) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, partitions = excluded.partitions",
        (name, now, ",".join(str(partition) for partition in sorted(partitions))),
    )


def newest_worker(rows: Rows) -> int | None:
    """When any worker was seen last."""
    seen = rows.execute("SELECT max(seen_at) FROM workers")[0][0]
    return int(seen) if seen is not None else None
