"""Rows and values: the tables of config, and how their rows are read and written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import peewee

from contracts.configurations import AudienceState, SegmentEvent
from services.config.resources import AudienceConfiguration, AuditEntry, Key, Listing, Moment, folded
from shared.store import dialect

Row = dict[str, Any]

_audience = msgspec.json.Decoder(AudienceState)
_segment_events = msgspec.json.Decoder(tuple[SegmentEvent, ...])


class Rows:
    """One table of a database, by peewee's query builder."""

    def __init__(self, database: peewee.Database, name: str, columns: Iterable[str]) -> None:
        self.database = database
        self.table: Any = peewee.Table(name, list(columns)).bind(database)

    def find(self, *conditions: Any, lock: bool = False) -> list[Row]:
        """The rows that meet all conditions; `lock` holds them until the transaction ends."""
        query = self.table.select()
        if conditions:
            query = query.where(*conditions)
        if lock and dialect(self.database) == "postgresql":
            query = query.for_update()
        return list(query.dicts().execute())

    def page(self, conditions: list[Any], order: list[Any], listing: Listing) -> tuple[list[Row], int]:
        """A page of the rows, and how many there are in all."""
        query, count = self.table.select(), self.table.select(peewee.fn.count(peewee.SQL("*")))
        if conditions:
            query, count = query.where(*conditions), count.where(*conditions)
        rows = query.order_by(*order).limit(listing.page_size).offset(listing.offset).dicts().execute()
        return list(rows), int(count.scalar())

    def containing(self, column: Any, words: Iterable[str]) -> list[Any]:
        """The conditions that a text column contains every word."""
        position = peewee.fn.instr if dialect(self.database) == "sqlite" else peewee.fn.strpos
        return [position(column, word) > 0 for word in words]


def ordered(table: Any, sort: str) -> list[Any]:
    """The order of a list: by one column, ties by id."""
    column = getattr(table, {"name": "name_key"}.get(sort.removeprefix("-"), sort.removeprefix("-")))
    return [column.desc() if sort.startswith("-") else column.asc(), table.id]


def to_json(value: Any) -> str:
    """JSON text of plain values and structs."""
    return msgspec.json.encode(value).decode()


def configuration_row(value: AudienceConfiguration) -> Row:
    """The row of a configuration; its keys have their own."""
    searched = (value.name, value.description, value.audience.name, value.audience.id, *value.domains)
    return {
        "id": value.id,
        "name": value.name,
        "name_key": folded(value.name),
        "search_key": folded("\n".join(searched)),
        "description": value.description,
        "audience": to_json(value.audience),
        "domains": to_json(value.domains),
        "consent_required": value.consent_required,
        "attributes": None if value.attributes is None else to_json(value.attributes),
        "segment_events": to_json(value.segment_events),
        "version": value.version,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "updated_by": value.updated_by,
    }


def configuration_of(row: Row, keys: tuple[Key, ...]) -> AudienceConfiguration:
    """The configuration of a row and its keys."""
    return AudienceConfiguration(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        audience=_audience.decode(row["audience"]),
        domains=tuple(msgspec.json.decode(row["domains"])),
        keys=keys,
        consent_required=bool(row["consent_required"]),
        attributes=None if row["attributes"] is None else tuple(msgspec.json.decode(row["attributes"])),
        segment_events=_segment_events.decode(row["segment_events"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )


def key_row(key: Key, configuration_id: str) -> Row:
    """The row of a key; the secret itself is not written."""
    return {
        "id": key.id,
        "configuration_id": configuration_id,
        "type": key.type,
        "enabled": key.enabled,
        "secret_hash": key.secret_hash,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "uses_noted": key.uses_noted,
        **key_limits(key),
    }


def key_limits(key: Key) -> Row:
    """The columns that say what a key may send, and how."""
    return {"kinds": None if key.kinds is None else to_json(key.kinds), "signed": key.signed}


def key_of(row: Row) -> Key:
    """The key of a row."""
    fields = {name: value for name, value in row.items() if name != "configuration_id"}
    switches = {name: bool(row[name]) for name in ("enabled", "uses_noted", "signed")}
    kinds = None if row["kinds"] is None else tuple(msgspec.json.decode(row["kinds"]))
    return Key(**{**fields, **switches, "kinds": kinds})


def moment_row(value: Moment) -> Row:
    """The row of a moment."""
    return {
        "id": value.id,
        "type": value.type,
        "name": value.name,
        "name_key": folded(value.name),
        "search_key": folded(f"{value.name}\n{value.description}\n{value.type}"),
        "description": value.description,
        "configuration_id": value.configuration_id,
        "settings": to_json(value.settings),
        "status": value.status,
        "version": value.version,
        "has_run": value.has_run,
        "running_since": value.running_since,
        "stopped_at": value.stopped_at,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "updated_by": value.updated_by,
    }


def moment_of(row: Row) -> Moment:
    """The moment of a row."""
    fields = {name: value for name, value in row.items() if name not in ("name_key", "search_key")}
    return Moment(**{**fields, "settings": msgspec.json.decode(row["settings"]), "has_run": bool(row["has_run"])})


def audit_entry_of(row: Row) -> AuditEntry:
    """The audit entry of a row."""
    documents = {name: None if row[name] is None else msgspec.json.decode(row[name]) for name in ("before", "after")}
    return AuditEntry(**{**row, **documents})
