"""Profiles of audiences: a row each, brought up to date from the signal log when it is read.

A further signal of a known profile writes no row: the log has it. A row is written when a change is told, and after
every `LAG` signals, so that there is never much to read after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from contracts.signals import UnreadableSignal, decode_signal
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.profile import ProfileState
from services.trigger.store.rows import Row, Rows
from shared.store import Migration

LAG = 64
"""Signals of a profile that its row may lag behind, besides those of a batch."""

_COLUMNS = {
    "key": "bytea",
    "configuration": "text",
    "id_type": "text",
    "profile": "text",
    "partition": "int4",
    "through": "int8",
    "last_seen": "int8",
    "changed_at": "int8",
    "body": "bytea",
}
_TABLE = """CREATE TABLE profiles (
    key {blob} PRIMARY KEY, configuration {text} NOT NULL, id_type {text} NOT NULL, profile {text} NOT NULL,
    partition INTEGER NOT NULL, through BIGINT NOT NULL, last_seen BIGINT NOT NULL, changed_at BIGINT NOT NULL,
    body {blob} NOT NULL){options}"""
_INDEXES = (
    "CREATE INDEX profiles_by_name ON profiles (configuration, id_type, profile)",
    "CREATE INDEX profiles_by_change ON profiles (configuration, changed_at, id_type, profile)",
)

PROFILES_MIGRATION = Migration(
    version=5,
    name="profiles of audiences",
    statements={
        "sqlite": (_TABLE.format(blob="BLOB", text="TEXT", options=" WITHOUT ROWID"), *_INDEXES),
        "postgresql": (_TABLE.format(blob="BYTEA", text='TEXT COLLATE "C"', options=""), *_INDEXES),
    },
)

_SINCE_WHEN = (
    "CREATE TABLE profiles_since (sequence BIGINT NOT NULL)",
    "INSERT INTO profiles_since SELECT coalesce(max(sequence), 0) FROM signals",
)
PROFILES_SINCE_MIGRATION = Migration(
    version=11,
    name="the place in the log from which on profiles are kept",
    statements={"sqlite": _SINCE_WHEN, "postgresql": _SINCE_WHEN},
)

_FAR = 2**62
_SINCE = "SELECT sequence, body FROM signals WHERE key >= ? AND key <= ? AND +sequence > ? AND +sequence < ?"
_SINCE_POSTGRESQL = (
    "SELECT p.key, s.sequence, s.body"
    " FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[], %b::int8[], %b::int8[]) AS p (key, low, high, through, before)"
    " JOIN signals s ON s.key >= p.low AND s.key <= p.high AND s.sequence > p.through AND s.sequence < p.before"
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ProfileState)


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A profile with its name and place."""

    key: bytes
    identity: ProfileId
    partition: int
    state: ProfileState


def decode_profile(body: bytes) -> ProfileState:
    """The state in a row's bytes."""
    return _decoder.decode(body)


def load_profiles(
    rows: Rows, wanted: Mapping[bytes, ProfileId], before: int | None = None
) -> dict[bytes, ProfileState]:
    """The states of profiles, with all their signals that stand in the log before a place; unknown ones are made.

    A profile has its row from its first signal on. Of one without a row the log holds none, unless there are signals
    from before profiles were kept: a look less for each new profile.
    """
    sql = "SELECT key, body FROM profiles WHERE key IN {values}"
    kept = {bytes(key): decode_profile(bytes(body)) for key, body in rows.select_in(sql, wanted, "bytea")}
    found = {key: kept.get(key) or ProfileState() for key in wanted}
    looked_up = found if _has_older_signals(rows) else kept
    bring_up_to_date(rows, {key: (wanted[key], found[key]) for key in looked_up}, before)
    return found


def _has_older_signals(rows: Rows) -> bool:
    return bool(rows.execute("SELECT max(sequence) FROM profiles_since")[0][0])


def bring_up_to_date(
    rows: Rows, profiles: Mapping[bytes, tuple[ProfileId, ProfileState]], before: int | None = None
) -> None:
    """Let every profile take the signals that came into the log since it was written."""
    for key, sequence, body in _signals_since(
        rows, [(key, state.through) for key, (_, state) in profiles.items()], before or _FAR
    ):
        identity, state = profiles[bytes(key)]
        try:
            signal = decode_signal(bytes(body))
        except UnreadableSignal:  # of a kind that was known once
            continue
        if profile_of(signal) == identity:  # two profiles may share half of their keys
            state.take(signal, sequence)


def save_profiles(rows: Rows, profiles: Sequence[ProfileRow]) -> None:
    """Write profiles with all that is known of them."""
    values = []
    for each in profiles:
        state = each.state
        state.saved = state.signals
        values.append(
            (
                *(each.key, *each.identity, each.partition, state.through, state.last[0], state.changed_at),
                _encoder.encode(state),
            )
        )
    news = ", ".join(f"{name} = excluded.{name}" for name in ("through", "last_seen", "changed_at", "body"))
    rows.insert("profiles", _COLUMNS, values, f"(key) DO UPDATE SET {news}")


def _signals_since(rows: Rows, places: Sequence[tuple[bytes, int]], before: int) -> Iterator[Row]:
    """(profile's key, sequence, body) of the signals of profiles after a place in the log, by the index of keys."""
    ranges = [(key, key[:8], key[:8] + b"\xff" * 12, through, before) for key, through in places]
    if rows.postgresql:
        if ranges:
            yield from rows.execute(_SINCE_POSTGRESQL, [list(column) for column in zip(*ranges, strict=True)])
        return
    for key, *place in ranges:
        for sequence, body in rows.execute(_SINCE, place):
            yield key, sequence, body
