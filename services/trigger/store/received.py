"""Which kinds of signals came of late: per audience configuration, kind and hour of receipt how many, and the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.signals import Signal
from contracts.times import HOUR
from services.trigger.store.rows import Rows
from shared.store import Migration

HOURS_KEPT = 48 * HOUR
"""Older hours are forgotten, but for the last one of each kind."""

_COLUMNS = {
    "configuration": "text",
    "kind": "text",
    "hour": "int8",
    "partition": "int4",
    "count": "int8",
    "last_at": "int8",
}
_KEY = "configuration, kind, hour, partition"
_TABLE = f"""CREATE TABLE received (configuration TEXT NOT NULL, kind TEXT NOT NULL, hour BIGINT NOT NULL,
    partition INTEGER NOT NULL, count BIGINT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY ({_KEY}))"""

RECEIVED_MIGRATION = Migration(
    version=13,
    name="kinds of received signals",
    statements={
        "sqlite": (f"{_TABLE} WITHOUT ROWID",),
        "postgresql": (f"{_TABLE} WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05)",),
    },
)


@dataclass(frozen=True, slots=True)
class ReceivedKind:
    """Signals of a kind by the keys of a configuration: how many since an instant, and when the last came (µs)."""

    configuration: str
    kind: str
    count: int
    last_at: int


def count_received(rows: Rows, signals: Iterable[Signal], partition: int) -> None:
    """Count new signals by the hour of their receipt, under a partition that the writer owns: none waits for another's.

    One statement for a batch, of a row for each kind and configuration in it.
    """
    found: dict[tuple[str, str, int], list[int]] = {}
    for signal in signals:
        at = signal.received_at
        counted = found.get(place := (signal.configuration, signal.kind.name, at - at % HOUR))
        if counted is None:
            found[place] = [1, at]
        else:
            counted[0] += 1
            counted[1] = max(counted[1], at)
    greatest = "GREATEST" if rows.postgresql else "max"
    rows.insert(
        "received",
        _COLUMNS,
        [(*place, partition, *counted) for place, counted in sorted(found.items())],
        f"({_KEY}) DO UPDATE SET count = received.count + excluded.count,"
        f" last_at = {greatest}(received.last_at, excluded.last_at)",
    )


def received_kinds(rows: Rows, since: int, configuration: str | None = None) -> list[ReceivedKind]:
    """What is known to have come, the latest first. `since`: from this instant's hour on it is counted."""
    where, more = ("", []) if configuration is None else (" WHERE configuration = ?", [configuration])
    found = rows.execute(
        "SELECT configuration, kind, sum(CASE WHEN hour >= ? THEN count ELSE 0 END), max(last_at) FROM received"  # noqa: S608
        f"{where} GROUP BY configuration, kind ORDER BY 4 DESC, 1, 2",
        [since - since % HOUR, *more],
    )
    return [ReceivedKind(each, kind, int(count), int(last)) for each, kind, count, last in found]


def forget_received(rows: Rows, hours_before: int, all_before: int) -> int:
    """Delete the hours before an instant but for the last of each kind, and all before an earlier one; how many."""
    return rows.change(
        "DELETE FROM received WHERE hour < ? OR (hour < ? AND EXISTS (SELECT 1 FROM received newer"
        " WHERE newer.configuration = received.configuration AND newer.kind = received.kind"
        " AND newer.hour > received.hour))",
        (all_before, hours_before),
    )
