"""Signals that ingestion refused, kept for a while so that it can be said why nothing happened (DOMAIN §6.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.wire import SignalRefused, decode_signal_refused, encode
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Rows
from shared.store import Migration

MOST_REFUSED = 200_000
"""Refusals that are kept at most; then the oldest go first."""

_TABLE = """
    CREATE TABLE refused (
        sequence {serial} PRIMARY KEY, id TEXT NOT NULL UNIQUE, profile_key {blob} NOT NULL, at BIGINT NOT NULL,
        body {blob} NOT NULL)"""
_INDEXES = (
    "CREATE INDEX refused_by_profile ON refused (profile_key, at)",
    "CREATE INDEX refused_by_time ON refused (at)",
)
_COLUMNS = {"id": "text", "profile_key": "bytea", "at": "int8", "body": "bytea"}

REFUSED_MIGRATION = Migration(
    version=9,
    name="refused signals",
    statements={
        "sqlite": (_TABLE.format(serial="INTEGER", blob="BLOB"), *_INDEXES),
        "postgresql": (_TABLE.format(serial="BIGINT GENERATED ALWAYS AS IDENTITY", blob="BYTEA"), *_INDEXES),
    },
)


@dataclass(frozen=True, slots=True)
class RefusedPage:
    """The latest refusals of a profile, the oldest first; `more`: earlier ones are left out."""

    refusals: tuple[SignalRefused, ...]
    more: bool


def keep_refusals(rows: Rows, refusals: Sequence[SignalRefused]) -> None:
    """Record refusals, each once; one whose profile could not be read is kept too, under no profile."""
    values = [
        (each.id, _profile_of(each), each.at, encode(each)) for each in {one.id: one for one in refusals}.values()
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


def _profile_of(refused: SignalRefused) -> bytes:
    if not refused.profile:
        return b""
    return profile_key(ProfileId(refused.configuration, refused.id_type, refused.profile))
