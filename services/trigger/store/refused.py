"""Signals that ingestion refused, kept for a while to be shown and replayed (DOMAIN §6.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.wire import SignalRefused, decode_signal_refused, encode
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Rows
from shared.store import Migration

MOST_REFUSED = 200_000
"""Refusals that are kept at most; then the oldest go first."""
MOST_OF_CONFIGURATION = 50_000
"""Of one configuration, so that a flood of one leaves room for the others."""

_TABLE = """
    CREATE TABLE refused (
        sequence {serial} PRIMARY KEY, id TEXT NOT NULL UNIQUE, profile_key {blob} NOT NULL, at BIGINT NOT NULL,
        body {blob} NOT NULL)"""
_INDEXES = (
    "CREATE INDEX refused_by_profile ON refused (profile_key, at)",
    "CREATE INDEX refused_by_time ON refused (at)",
)

REFUSED_MIGRATION = Migration(
    version=9,
    name="refused signals",
    statements={
        "sqlite": (_TABLE.format(serial="INTEGER", blob="BLOB"), *_INDEXES),
        "postgresql": (_TABLE.format(serial="BIGINT GENERATED ALWAYS AS IDENTITY", blob="BYTEA"), *_INDEXES),
    },
)

_ADDED = {
    **dict.fromkeys(("configuration", "code", "kind", "state"), "TEXT NOT NULL DEFAULT ''"),
    "size": "INTEGER NOT NULL DEFAULT 0",
    "replay": "TEXT",
    "sent_at": "BIGINT",
    **dict.fromkeys(("answer", "sent"), "{blob}"),
}
"""`state`: see replays.py. `size`: bytes of `sent`, which stands last, so that nothing else is read past it."""
_NAMED = ("configuration", "code", "kind")
_MEMBERS = {
    "sqlite": "coalesce(json_extract(CAST(body AS TEXT), '$.{0}'), '')",
    "postgresql": """coalesce(substring(convert_from(body, 'UTF8') from '"{0}":"([^"\\\\]*)"'), '')""",
}
"""Where a member's text stands in `body`; PostgreSQL reads no JSON in which a NUL is escaped."""
_REPLAYS = """
    CREATE TABLE replays (
        id TEXT PRIMARY KEY, asked_at BIGINT NOT NULL, asked_by TEXT NOT NULL, wanted TEXT NOT NULL,
        found INTEGER NOT NULL, replayed INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0)"""


def _kept_statements(name: str, blob: str) -> list[str]:
    return [
        *(f"ALTER TABLE refused ADD COLUMN {each} {kind.format(blob=blob)}" for each, kind in _ADDED.items()),
        "UPDATE refused SET " + ", ".join(f"{each} = {_MEMBERS[name].format(each)}" for each in _NAMED),  # noqa: S608
        "CREATE INDEX refused_by_configuration ON refused (configuration, sequence, size)",
        "CREATE INDEX refused_to_replay ON refused (state, sequence) WHERE state IN ('asked', 'underway')",
        "CREATE INDEX refused_by_replay ON refused (replay, state) WHERE replay IS NOT NULL",
        _REPLAYS,
        "CREATE INDEX replays_by_time ON replays (asked_at)",
    ]


KEPT_MIGRATION = Migration(
    version=24,
    name="what was refused, and its replays",
    statements={
        "sqlite": _kept_statements("sqlite", "BLOB"),
        "postgresql": _kept_statements("postgresql", "BYTEA"),
    },
)

_COLUMNS = {
    **{"id": "text", "profile_key": "bytea", "at": "int8", "body": "bytea", "configuration": "text", "code": "text"},
    **{"kind": "text", "state": "text", "size": "int4", "sent": "bytea"},
}


@dataclass(frozen=True, slots=True)
class RefusedPage:
    """The latest refusals of a profile, the oldest first; `more`: earlier ones are left out."""

    refusals: tuple[SignalRefused, ...]
    more: bool


def keep_refusals(rows: Rows, refusals: Sequence[SignalRefused]) -> None:
    """Record refusals, each once; one whose profile could not be read is kept too, under no profile."""
    values = [
        (
            *(each.id, _profile_of(each), each.at, encode(msgspec.structs.replace(each, sent=""))),
            *(each.configuration, each.code, each.kind, "final" if each.final else ""),
            *(len(each.sent.encode()), each.sent.encode() or None),
        )
        for each in {one.id: one for one in refusals}.values()
    ]
    rows.insert("refused", _COLUMNS, values, "(id) DO NOTHING")


def refusals_of(rows: Rows, profile: ProfileId, limit: int) -> RefusedPage:
    """The latest refusals of a profile."""
    sql = "SELECT body FROM refused WHERE profile_key = ? ORDER BY at DESC, sequence DESC LIMIT ?"
    found = [decode_signal_refused(bytes(body)) for (body,) in rows.execute(sql, (profile_key(profile), limit + 1))]
    return RefusedPage(tuple(reversed(found[:limit])), len(found) > limit)


def forget_refusals(rows: Rows, before: int, *, most: int = MOST_REFUSED, chunk: int = 1000) -> int:
    """Delete what was refused before an instant (µs), and the oldest over the bound, up to a chunk; how many."""
    newest = rows.execute("SELECT max(sequence) FROM refused")[0][0] or 0
    return rows.change(
        "DELETE FROM refused WHERE sequence IN"
        " (SELECT sequence FROM refused WHERE at < ? OR sequence <= ? ORDER BY sequence LIMIT ?)",
        (before, newest - most, chunk),
    )


def forget_overflow(rows: Rows, *, most: int = MOST_OF_CONFIGURATION, chunk: int = 1000) -> int:
    """Delete the oldest refusals of a configuration that has too many, up to a chunk; how many."""
    sql = "SELECT configuration, count(*) FROM refused GROUP BY configuration ORDER BY 2 DESC LIMIT 1"
    found = rows.execute(sql)
    if not found or found[0][1] <= most:
        return 0
    return rows.change(
        "DELETE FROM refused WHERE sequence IN"
        " (SELECT sequence FROM refused WHERE configuration = ? ORDER BY sequence LIMIT ?)",
        (found[0][0], min(chunk, found[0][1] - most)),
    )


def forget_contents(rows: Rows, most: int, *, chunk: int = 500) -> int:
    """Empty refusals of what was sent while all together hold more than `most` bytes; how many, up to a chunk.

    Those of the configuration that holds the most go first, its oldest before the others.
    """
    sizes = rows.execute("SELECT configuration, sum(size) FROM refused GROUP BY configuration ORDER BY 2 DESC")
    over = sum(size for _, size in sizes) - most
    if over <= 0:
        return 0
    oldest: list[int] = []
    sql = "SELECT sequence, size FROM refused WHERE configuration = ? AND size > 0 ORDER BY sequence LIMIT ?"
    for sequence, size in rows.execute(sql, (sizes[0][0], chunk)):
        oldest.append(sequence)
        over -= size
        if over <= 0:
            break
    rows.execute_many(
        "UPDATE refused SET sent = NULL, size = 0, state = CASE WHEN state = 'asked' THEN '' ELSE state END"
        " WHERE sequence = ?",
        [(each,) for each in oldest],
    )
    return len(oldest)


def _profile_of(refused: SignalRefused) -> bytes:
    if not refused.profile:
        return b""
    return profile_key(ProfileId(refused.configuration, refused.id_type, refused.profile))
