"""Decided occurrences and recoveries, as functions of one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from services.trigger.store.rows import Rows

_RECOVERY_COLUMNS = {
    "raise_id": "text",
    "moment_id": "text",
    "profile_key": "bytea",
    "process_key": "bytea",
    "source": "text",
    "signal_id": "text",
    "time": "int8",
    "received_at": "int8",
    "recorded_at": "int8",
    "value": "text",
}

RAISE_COLUMNS = {
    "id": "text",
    "moment_id": "text",
    "profile_key": "bytea",
    "process_key": "bytea",
    "raised": "bool",
    "reason": "text",
    "due_at": "int8",
    "decided_at": "int8",
    "event": "bytea",
    "number": "int4",
    "opened_at": "int8",
    "last_at": "int8",
    "run": "int8",
    "version": "int8",
    "after": "int8",
    "orders": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseRow:
    """A decided occurrence. `event`: the bytes that were published, empty when it was suppressed.

    `number`: of the wait. `opened_at`, `last_at`: first and last activity. `run`: the run in which it was opened.
    `version`: the settings it was judged with. `after`: the place in the signal log up to which signals were applied;
    of the profile's signals exactly those at or before it. These are None in what was recorded before they were kept.
    `orders`: JSON text, the orders raised, where that is once for each order.
    """

    id: str
    moment_id: str
    profile_key: bytes
    process_key: bytes
    raised: bool
    reason: str
    due_at: int
    decided_at: int
    event: bytes
    number: int | None
    opened_at: int | None
    last_at: int | None
    run: int | None
    version: int | None
    after: int | None
    orders: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRow:
    """The recovery of a raise. `value`: JSON text of the amounts by currency."""

    raise_id: str
    moment_id: str
    profile_key: bytes
    process_key: bytes
    source: str
    signal_id: str
    time: int
    received_at: int
    recorded_at: int
    value: str


def insert_raises(rows: Rows, raises: Sequence[RaiseRow]) -> set[str]:
    """Record decisions; the ids that were not recorded before (DOMAIN §6.9)."""
    values = [tuple(getattr(row, column) for column in RAISE_COLUMNS) for row in raises]
    return rows.insert_new("raises", RAISE_COLUMNS, values, "id", "(id)") if values else set()


def raises_by_id(rows: Rows, ids: Iterable[str]) -> dict[str, RaiseRow]:
    """The recorded raises among some ids; suppressed occurrences are left out."""
    sql = f"SELECT {', '.join(RAISE_COLUMNS)} FROM raises WHERE id IN {{values}} AND raised"  # noqa: S608
    return {row[0]: raise_of(row) for row in rows.select_in(sql, ids, "text")}


def raise_of(row: Sequence[Any]) -> RaiseRow:
    """A row as it comes from either database: SQLite has no booleans, PostgreSQL gives views of bytes."""
    columns = dict(zip(RAISE_COLUMNS, row, strict=True))
    blobs = {name: bytes(columns[name]) for name in ("profile_key", "process_key", "event")}
    return RaiseRow(**{**columns, **blobs, "raised": bool(columns["raised"])})


def insert_recoveries(rows: Rows, recoveries: Sequence[RecoveryRow]) -> set[str]:
    """Record recoveries; the raises that had none before."""
    values = [tuple(getattr(each, name) for name in _RECOVERY_COLUMNS) for each in recoveries]
    return rows.insert_new("recoveries", _RECOVERY_COLUMNS, values, "raise_id", "(raise_id)") if values else set()


def last_raises(rows: Rows, moment_id: str, profiles: Iterable[bytes]) -> dict[bytes, int]:
    """Per profile the greatest due of its raises of a moment."""
    sql = (
        "SELECT profile_key, max(due_at) FROM raises WHERE profile_key IN {values} AND moment_id = ? AND raised"
        " GROUP BY profile_key"
    )
    return {bytes(key): due for key, due in rows.select_in(sql, profiles, "bytea", more=(moment_id,))}


def raised_orders(rows: Rows, moment_id: str, profiles: Iterable[bytes]) -> dict[bytes, set[str]]:
    """Per profile the orders of its raises of a moment."""
    sql = (
        "SELECT profile_key, orders FROM raises WHERE profile_key IN {values} AND moment_id = ? AND orders IS NOT NULL"
    )
    found: dict[bytes, set[str]] = {}
    for key, orders in rows.select_in(sql, profiles, "bytea", more=(moment_id,)):
        found.setdefault(bytes(key), set()).update(json.loads(orders))
    return found


def raised_dues(rows: Rows, ids: Iterable[str]) -> list[tuple[str, str, int]]:
    """Id, moment and due of those of the ids that are raises."""
    sql = "SELECT id, moment_id, due_at FROM raises WHERE id IN {values} AND raised"
    return list(rows.select_in(sql, ids, "text"))
