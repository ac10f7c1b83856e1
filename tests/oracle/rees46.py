"""Reads a recorded shop log in the rees46 format as arrivals; a reader of its own, for the oracle's sample checks."""

from __future__ import annotations

import csv
import uuid
from datetime import datetime
from pathlib import Path

from tests.oracle.words import SECOND, Arrival, Item

KINDS = {
    "view": "product/view",
    "cart": "cart/add",
    "remove_from_cart": "cart/remove",
    "purchase": "cart/purchase",
}


def read(path: Path) -> list[Arrival]:
    """The rows as arrivals that are received the instant they happen."""
    with path.open(newline="", encoding="utf-8") as file:
        return [arrival(path.name, number, row) for number, row in enumerate(csv.DictReader(file), start=1)]


def arrival(filename: str, number: int, row: dict[str, str]) -> Arrival:
    moment = datetime.strptime(row["event_time"].replace(" UTC", " +0000"), "%Y-%m-%d %H:%M:%S %z")
    time = int(moment.timestamp()) * SECOND
    session = row["user_session"] or None
    return Arrival(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{filename}:{number}")),
        source="rees46",
        kind=KINDS[row["event_type"]],
        time=time,
        received_at=time,
        profile=("external", row["user_id"]),
        cart_id=session,
        session_id=session,
        items=(Item(product_id=row["product_id"], price=row["price"]),),
    )
