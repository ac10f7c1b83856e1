"""What anonymous customers sent, held until it is known who they are, and who they were told to be. Times in µs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contracts.stitching import ANONYMOUS
from contracts.times import DAY
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key, signal_key
from services.trigger.store.rows import Rows
from shared.store import Migration

MOST_HELD = 256
"""Signals that are held of an anonymous id; the latest are, by their own time."""
MOST_BYTES = 1_000_000
"""The same in bytes; what joins a profile goes in one message, which must not grow beyond what brokers take."""
MOST_LINKS = 16
"""People whom one anonymous id was told to be, the latest: a device that many use."""
HANDED_KNOWN = 8 * DAY
"""How long it is known that a signal was handed on: longer than a sender's repeat may take (DOMAIN §6.8)."""
_REFRESH = DAY
_CHUNK = 500

_HELD = """CREATE TABLE anonymous_signals (
    id {identity} PRIMARY KEY, key {blob} NOT NULL, signal_key {blob} NOT NULL, time BIGINT NOT NULL,
    received_at BIGINT NOT NULL, handed_at BIGINT, size INTEGER NOT NULL, body {blob} NOT NULL,
    UNIQUE (key, signal_key))"""
_LINKS = """CREATE TABLE anonymous_links (
    key {blob} NOT NULL, time BIGINT NOT NULL, at BIGINT NOT NULL, seen_at BIGINT NOT NULL, profile_key {blob} NOT NULL,
    configuration TEXT NOT NULL, id_type TEXT NOT NULL, profile TEXT NOT NULL, anonymous TEXT NOT NULL,
    PRIMARY KEY (key, time, profile_key))"""
_SHARED = (
    "CREATE INDEX anonymous_signals_by_receipt ON anonymous_signals (received_at) WHERE handed_at IS NULL",
    "CREATE INDEX anonymous_signals_by_handing ON anonymous_signals (handed_at) WHERE handed_at IS NOT NULL",
    "CREATE INDEX anonymous_links_by_profile ON anonymous_links (profile_key)",
    "CREATE INDEX anonymous_links_by_use ON anonymous_links (seen_at)",
    "CREATE TABLE anonymous_counts (partition INTEGER NOT NULL, counter TEXT NOT NULL, value BIGINT NOT NULL,"
    " PRIMARY KEY (partition, counter))",
)
_HELD_COLUMNS = {
    **{"key": "bytea", "signal_key": "bytea", "time": "int8"},
    **{"received_at": "int8", "handed_at": "int8", "size": "int4", "body": "bytea"},
}
_LINK_COLUMNS = {
    **{"key": "bytea", "time": "int8", "at": "int8", "seen_at": "int8", "profile_key": "bytea"},
    **{"configuration": "text", "id_type": "text", "profile": "text", "anonymous": "text"},
}

ANONYMOUS_MIGRATION = Migration(
    version=23,
    name="anonymous customers",
    statements={
        "sqlite": (_HELD.format(blob="BLOB", identity="INTEGER"), _LINKS.format(blob="BLOB"), *_SHARED),
        "postgresql": (
            _HELD.format(blob="BYTEA", identity="BIGINT GENERATED ALWAYS AS IDENTITY"),
            _LINKS.format(blob="BYTEA"),
            *_SHARED,
        ),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSignal:
    """A signal of an anonymous customer. `key`: of the anonymous id; `name`: what makes two copies of it the same."""

    key: bytes
    name: bytes
    time: int
    received_at: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An anonymous customer is a profile from `time` on, which was known since `at`; used last at `seen_at`."""

    time: int
    at: int
    seen_at: int
    identity: ProfileId
    anonymous: str


def anonymous_key(configuration: str, anonymous: str) -> bytes:
    """The key of an anonymous id."""
    return profile_key(ProfileId(configuration, ANONYMOUS, anonymous))


def held_signal(key: bytes, source: str, signal_id: str, time: int, received_at: int, body: bytes) -> HeldSignal:
    """A row of a signal."""
    name = signal_key(key, source, signal_id)
    return HeldSignal(key=key, name=name, time=time, received_at=received_at, body=body)


def hold(rows: Rows, signals: Sequence[HeldSignal]) -> tuple[int, int]:
    """Hold signals, each once: how many are new, and how many then had to go since there were too many."""
    values = [(each.key, each.name, each.time, each.received_at, None, len(each.body), each.body) for each in signals]
    held = rows.insert_new("anonymous_signals", _HELD_COLUMNS, values, "signal_key", "(key, signal_key)")
    return len(held), sum(_trim(rows, key) for key in _crowded(rows, {each.key for each in signals}))


def _crowded(rows: Rows, keys: Iterable[bytes]) -> list[bytes]:
    sql = (
        "SELECT key, count(*), sum(size) FROM anonymous_signals"
        " WHERE key IN {values} AND handed_at IS NULL GROUP BY key"
    )
    return [bytes(key) for key, count, size in rows.select_in(sql, keys, "bytea") if _is_too_much(count, size)]


def _is_too_much(count: int, size: int) -> bool:
    return count > MOST_HELD or size > MOST_BYTES


def _trim(rows: Rows, key: bytes) -> int:
    """Delete the oldest of an anonymous id, by their own time, down to the bounds; how many."""
    sql = (
        "SELECT id, size FROM anonymous_signals WHERE key = ? AND handed_at IS NULL ORDER BY time DESC, signal_key DESC"
    )
    doomed, size = [], 0
    for place, (row, each) in enumerate(rows.execute(sql, (key,)), start=1):
        size += each
        if _is_too_much(place, size):
            doomed.append((row,))
    rows.execute_many("DELETE FROM anonymous_signals WHERE id = ?", doomed)
    return len(doomed)


def hand_on(rows: Rows, signals: Sequence[HeldSignal], now: int) -> list[HeldSignal]:
    """Note that signals are handed on; those that were not known: each goes to one person, however often it comes."""
    firsts = {each.name: each for each in reversed(signals)}
    values = [(each.key, each.name, each.time, each.received_at, now, 0, b"") for each in signals]
    new = rows.insert_new("anonymous_signals", _HELD_COLUMNS, values, "signal_key", "(key, signal_key)")
    return [each for each in signals if each.name in new and firsts[each.name] is each]


def release(rows: Rows, keys: Iterable[bytes], now: int) -> list[HeldSignal]:
    """Take out all that is held of anonymous ids, in the order of their times; that it was handed on stays known."""
    wanted = list(keys)
    sql = (
        "SELECT key, signal_key, time, received_at, body FROM anonymous_signals"
        " WHERE key IN {values} AND handed_at IS NULL"
    )
    found = [
        HeldSignal(key=bytes(key), name=bytes(name), time=time, received_at=received_at, body=bytes(body))
        for key, name, time, received_at, body in rows.select_in(sql, wanted, "bytea")
    ]
    rows.execute_many(
        "UPDATE anonymous_signals SET handed_at = ?, size = 0, body = ? WHERE key = ? AND handed_at IS NULL",
        [(now, b"", key) for key in wanted],
    )
    return sorted(found, key=lambda each: (each.time, each.name))


def links_of(rows: Rows, keys: Iterable[bytes]) -> dict[bytes, list[Link]]:
    """By anonymous id the profiles that it was told to be, in the order of their times."""
    sql = (
        "SELECT key, time, at, seen_at, configuration, id_type, profile, anonymous FROM anonymous_links"
        " WHERE key IN {values}"
    )
    found: dict[bytes, list[Link]] = defaultdict(list)
    for key, *row in rows.select_in(sql, keys, "bytea"):
        found[bytes(key)].append(_link(row))
    return {key: sorted(links, key=lambda link: (link.time, link.at)) for key, links in found.items()}


def add_links(rows: Rows, links: Sequence[tuple[bytes, Link]]) -> None:
    """Remember who anonymous customers are; of one that is many people the latest."""
    values = [
        (key, link.time, link.at, link.seen_at, profile_key(link.identity), *link.identity, link.anonymous)
        for key, link in links
    ]
    rows.insert("anonymous_links", _LINK_COLUMNS, values, "(key, time, profile_key) DO NOTHING")
    for key in {key for key, _ in links}:
        rows.execute(
            "DELETE FROM anonymous_links WHERE key = ? AND (time, profile_key) NOT IN"
            " (SELECT time, profile_key FROM anonymous_links WHERE key = ? ORDER BY time DESC, at DESC, profile_key"
            " LIMIT ?)",
            (key, key, MOST_LINKS),
        )


def refresh_links(rows: Rows, used: Iterable[tuple[bytes, int]]) -> None:
    """Links that are used are kept. `used`: anonymous id and instant; a day more or less does not matter."""
    rows.execute_many(
        "UPDATE anonymous_links SET seen_at = ? WHERE key = ? AND seen_at < ?",
        [(at, key, at - _REFRESH) for key, at in used],
    )


def anonymous_of(rows: Rows, identity: ProfileId) -> list[Link]:
    """Under which anonymous ids a profile is known."""
    sql = (
        "SELECT time, at, seen_at, configuration, id_type, profile, anonymous FROM anonymous_links"
        " WHERE profile_key = ? ORDER BY time"
    )
    return [_link(row) for row in rows.execute(sql, (profile_key(identity),))]


def erase_anonymous(rows: Rows, profile: bytes) -> int:
    """Forget the anonymous ids of a profile; how many rows went. Nothing is held of one that is somebody's.

    What one of them sends from now on is held anew, as of somebody who was never seen before. Of signals that were
    handed on, hashes stay, so that no repeat brings one back.
    """
    return rows.change("DELETE FROM anonymous_links WHERE profile_key = ?", (profile,))


def erase_visitor(rows: Rows, key: bytes, partition: int, until: int) -> tuple[list[bytes], int]:
    """Delete what is held of an anonymous id and was received by an instant, who it was told to be by then, and what is
    known of signals that were handed on: the names of all these signals, and how many rows went.

    What was handed on is the profile's; only hashes of it stood here.
    """
    found = rows.execute(
        "SELECT signal_key, handed_at FROM anonymous_signals WHERE key = ? AND received_at <= ?", (key, until)
    )
    count_anonymous(rows, partition, {"erased": sum(handed_at is None for _, handed_at in found)})
    signals = rows.change("DELETE FROM anonymous_signals WHERE key = ? AND received_at <= ?", (key, until))
    links = rows.change("DELETE FROM anonymous_links WHERE key = ? AND at <= ?", (key, until))
    return [bytes(name) for name, _ in found], signals + links


def held_page(rows: Rows, key: bytes, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Some of what is held of an anonymous id, after a place: place and body."""
    found = rows.execute(
        "SELECT id, body FROM anonymous_signals WHERE key = ? AND handed_at IS NULL AND id > ? ORDER BY id LIMIT ?",
        (key, after, limit),
    )
    return [(int(place), bytes(body)) for place, body in found]


def forget_anonymous(rows: Rows, before: int, handed_before: int) -> tuple[int, int]:
    """Delete, up to a chunk, what was received and the links that were used before an instant, and what is known of
    signals that were handed on before another: how many held signals, how many other rows.
    """
    signals = rows.execute(
        "SELECT id FROM anonymous_signals WHERE received_at < ? AND handed_at IS NULL ORDER BY received_at LIMIT ?",
        (before, _CHUNK),
    )
    handed = rows.execute(
        "SELECT id FROM anonymous_signals WHERE handed_at < ? ORDER BY handed_at LIMIT ?", (handed_before, _CHUNK)
    )
    links = rows.execute(
        "SELECT key, time, profile_key FROM anonymous_links WHERE seen_at < ? ORDER BY seen_at LIMIT ?",
        (before, _CHUNK),
    )
    gone = [rows.change("DELETE FROM anonymous_signals WHERE id = ?", row) for row in signals]
    rows.execute_many("DELETE FROM anonymous_signals WHERE id = ?", handed)
    rows.execute_many("DELETE FROM anonymous_links WHERE key = ? AND time = ? AND profile_key = ?", links)
    return sum(gone), len(links) + len(handed)


def count_anonymous(rows: Rows, partition: int, counts: Mapping[str, int]) -> None:
    """Add to the counters `held`, `stitched`, `forwarded`, `dropped`, `expired`, `erased` of a partition."""
    rows.insert(
        "anonymous_counts",
        {"partition": "int4", "counter": "text", "value": "int8"},
        [(partition, counter, value) for counter, value in sorted(counts.items()) if value],
        "(partition, counter) DO UPDATE SET value = anonymous_counts.value + excluded.value",
    )


def anonymous_counts(rows: Rows) -> dict[str, int]:
    """The counters over all partitions."""
    found = rows.execute("SELECT counter, sum(value) FROM anonymous_counts GROUP BY counter")
    return {counter: int(value) for counter, value in found}


def _link(row: Sequence[object]) -> Link:
    time, at, seen_at, configuration, id_type, profile, anonymous = row
    return Link(
        time=time,  # type: ignore[arg-type]
        at=at,  # type: ignore[arg-type]
        seen_at=seen_at,  # type: ignore[arg-type]
        identity=ProfileId(str(configuration), str(id_type), str(profile)),
        anonymous=str(anonymous),
    )
