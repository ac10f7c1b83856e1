"""Readers of recorded shop logs: pure generators of signal envelopes as posted to `/v1/signals` (DOMAIN §2.1)."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.signals import CATALOGUE
from contracts.times import from_datetime, from_rfc3339, to_rfc3339

Envelope = dict[str, Any]

_REES46_SIGNALS = {
    "view": "product/view",
    "cart": "cart/add",
    "remove_from_cart": "cart/remove",
    "purchase": "cart/purchase",
}
_REES46_COLUMNS = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")


@dataclass(frozen=True, slots=True)
class Record:
    """One signal of a log: its row (from 1), the instant it happened (µs) and the envelope, `data.signal` included."""

    row: int
    time: int
    envelope: Envelope


class UnreadableLog(ValueError):
    """The file is not in the format that was named."""


class UnreadableRow(ValueError):
    """A row of the file is no signal."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


OnFault = Callable[[UnreadableRow], None]


def refuse(fault: UnreadableRow) -> None:
    """The strict way with a bad row: raise it."""
    raise fault


def signal_id(name: str, row: int, run: str = "") -> str:
    """UUIDv5 of file name and row number, and of the run's name where there is one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}:{row}:{run}" if run else f"{name}:{row}"))


def read_rees46(lines: Iterable[str], *, name: str, run: str = "", on_fault: OnFault = refuse) -> Iterator[Record]:
    """The signals of an open shop log (`event_time,event_type,product_id,…,price,user_id,user_session`).

    `name`: the file's name, part of every id. A header that lacks a column raises UnreadableLog.
    """
    rows = csv.DictReader(lines)
    missing = [column for column in _REES46_COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise UnreadableLog(f"the first line is no rees46 header: {', '.join(missing)} missing")
    for number, row in enumerate(rows, start=1):
        try:
            record = _rees46_record(number, row, signal_id(name, number, run))
        except UnreadableRow as fault:
            on_fault(fault)
        else:
            yield record


def _rees46_record(number: int, row: dict[str, str | None], id_: str) -> Record:
    value = {column: row.get(column) or "" for column in _REES46_COLUMNS}
    signal = _REES46_SIGNALS.get(value["event_type"])
    if signal is None:
        raise UnreadableRow(number, f"unknown event_type {value['event_type']!r}")
    for column in ("product_id", "user_id"):
        if not value[column]:
            raise UnreadableRow(number, f"{column} is empty")
    time = _rees46_time(number, value["event_time"])
    product = _rees46_product(number, value, row.get("category_code") or row.get("category_id"))
    data: Envelope = {"signal": signal, "idType": "external", "customerId": value["user_id"]}
    if value["user_session"]:
        data["sessionId"] = value["user_session"]
    if signal == "product/view":
        data.update(product)
        if row.get("brand"):
            data["brand"] = row["brand"]
    else:
        if value["user_session"]:
            data["cartId"] = value["user_session"]
        data["items"] = [{**product, "quantity": 1}]
    return Record(number, time, _envelope(id_, time, data))


def _rees46_time(number: int, text: str) -> int:
    try:
        return from_datetime(datetime.fromisoformat(text.replace(" UTC", "+00:00")))
    except ValueError as error:
        raise UnreadableRow(number, f"event_time {text!r} is no time as 2022-10-01 00:00:00 UTC") from error


def _rees46_product(number: int, value: dict[str, str], category: str | None) -> Envelope:
    product: Envelope = {"productId": value["product_id"]}
    if value["price"]:
        try:
            product["price"] = float(value["price"])
        except ValueError as error:
            raise UnreadableRow(number, f"price {value['price']!r} is no number") from error
    if category:
        product["category"] = category
    return product


def _envelope(id_: str, time: int, data: Envelope) -> Envelope:
    return {
        "specversion": "1.0",
        "type": "event.signal",
        "dataschema": "evt:signal/v1",
        "id": id_,
        "time": to_rfc3339(time),
        "data": data,
    }


def read_jsonl(lines: Iterable[str], *, name: str, run: str = "", on_fault: OnFault = refuse) -> Iterator[Record]:
    """The signals of a file with one envelope per line, as posted to `/v1/signals`; empty lines are skipped.

    Without an id, file name and row make one; with a run's name, that name becomes part of every id.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _jsonl_record(number, line, name, run)
        except UnreadableRow as fault:
            on_fault(fault)
        else:
            yield record


def _jsonl_record(number: int, line: str, name: str, run: str) -> Record:
    try:
        envelope = json.loads(line)
    except ValueError as error:
        raise UnreadableRow(number, f"no JSON: {error}") from error
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if not isinstance(data, dict):
        raise UnreadableRow(number, "no signal envelope: an object with id, time and data is needed")
    named = data.get("signal")
    if not isinstance(named, str) or named not in CATALOGUE:
        raise UnreadableRow(number, f"data.signal {named!r} is no known signal")
    try:
        time = from_rfc3339(envelope["time"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableRow(number, "time is no date-time with a zone, as 2026-11-23T10:15:30Z") from error
    given = envelope.get("id")
    if given is None:
        envelope["id"] = signal_id(name, number, run)
    elif run:
        envelope["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{given}:{run}"))
    return Record(number, time, envelope)


FORMATS = {"rees46": read_rees46, "jsonl": read_jsonl}
