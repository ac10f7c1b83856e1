"""What housekeeping deletes of profiles: processes, signals, and the profiles; each function a chunk."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from contracts.signals import UnreadableSignal, decode_signal
from contracts.topology import partition_of
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.state import Process, decode_process
from services.trigger.store.cache import Cache
from services.trigger.store.forgetting import CHUNK
from services.trigger.store.keys import profile_key
from services.trigger.store.profiles import ProfileRow, bring_up_to_date, decode_profile, load_profiles, save_profiles
from services.trigger.store.rows import Rows


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of a chunk: how many rows went, and where the next one begins; None at the end."""

    gone: int
    place: int | None


@dataclass(frozen=True, slots=True)
class _Old:
    """A signal that is old enough to go."""

    sequence: int
    key: bytes
    identity: ProfileId
    partition: int


def forget_processes(
    rows: Rows, cache: Cache, owned: Container[int], after: int, before: int, is_needed: Callable[[Process], bool]
) -> Chunk:
    """Delete, of the processes after a place, those whose last signal is before an instant and that nobody needs."""
    last = rows.execute(
        "SELECT max(id), count(*) FROM (SELECT id FROM processes WHERE id > ? ORDER BY id LIMIT ?) chunk",
        (after, CHUNK),
    )
    until, count = last[0]
    found = rows.execute(
        "SELECT key, partition, head FROM processes WHERE id > ? AND id <= ? AND last_at < ?",
        (after, until or after, before),
    )
    gone = [bytes(key) for key, place, head in found if place in owned and not is_needed(decode_process(bytes(head)))]
    rows.execute_many("DELETE FROM processes WHERE key = ?", [(key,) for key in gone])
    for key in gone:
        cache.forget_process(key)
    return Chunk(len(gone), until if count == CHUNK else None)


def forget_signals(rows: Rows, cache: Cache, owned: Container[int], partitions: int, after: int, before: int) -> Chunk:
    """Delete, of the signals after a place in the log, those received before an instant that no process refers to.

    The last one of the log stays, so that no place in it is ever given twice.
    """
    page = rows.execute(
        "SELECT sequence, received_at, body FROM signals"
        " WHERE sequence > ? AND sequence < (SELECT max(sequence) FROM signals) ORDER BY sequence LIMIT ?",
        (after, CHUNK),
    )
    old = [_old(row[0], bytes(row[2]), partitions) for row in page if row[1] < before]
    mine = [each for each in old if each is not None and each.partition in owned]
    doomed = _unneeded(rows, mine)
    _save_lagging_profiles(rows, cache, doomed)
    rows.execute_many("DELETE FROM signals WHERE sequence = ?", [(each.sequence,) for each in doomed])
    at_end = len(page) < CHUNK or not old  # the log is nearly in the order of receipt
    return Chunk(len(doomed), None if at_end else page[-1][0])


def forget_profiles(
    rows: Rows, cache: Cache, owned: Container[int], after: bytes, before: int
) -> tuple[int, bytes | None]:
    """Delete, of the profiles after a key, those that were last seen before an instant; how many, and the place."""
    page = rows.execute(
        "SELECT key, configuration, id_type, profile, partition, last_seen, body FROM profiles"
        " WHERE key > ? ORDER BY key LIMIT ?",
        (after, CHUNK),
    )
    states = {
        bytes(row[0]): (ProfileId(*row[1:4]), decode_profile(bytes(row[6])))
        for row in page
        if row[5] < before and row[4] in owned
    }
    bring_up_to_date(rows, states)
    gone = [key for key, (_, state) in states.items() if state.last[0] < before]
    rows.execute_many("DELETE FROM profiles WHERE key = ?", [(key,) for key in gone])
    for key in gone:
        cache.profiles.pop(key, None)
    return len(gone), bytes(page[-1][0]) if len(page) == CHUNK else None


def _old(sequence: int, body: bytes, partitions: int) -> _Old | None:
    """A row of the log; None for one that cannot be read any more: it stays."""
    try:
        identity = profile_of(decode_signal(body))
    except UnreadableSignal:
        return None
    return _Old(sequence, profile_key(identity), identity, partition_of(*identity, partitions))


def _unneeded(rows: Rows, old: Sequence[_Old]) -> list[_Old]:
    """The signals that no process refers to.

    One that belongs to every process of its profile is referred to by those that it belongs to; others would need a
    signal that is still older.
    """
    sql = "SELECT head FROM processes WHERE profile_key IN {values}"
    heads = rows.select_in(sql, {each.key for each in old}, "bytea")
    referred = {sequence for (head,) in heads for _, sequence in decode_process(bytes(head)).entries}
    return [each for each in old if each.sequence not in referred]


def _save_lagging_profiles(rows: Rows, cache: Cache, doomed: Iterable[_Old]) -> None:
    """Have the rows of profiles know what the signals told that are about to go."""
    newest = {each.key: each for each in doomed}  # in the order of the log: the last one stays
    sql = "SELECT key, through FROM profiles WHERE key IN {values}"
    lagging = [
        newest[bytes(key)]
        for key, through in rows.select_in(sql, newest, "bytea")
        if through < newest[bytes(key)].sequence
    ]
    unknown = {each.key: each.identity for each in lagging if each.key not in cache.profiles}
    states = {**load_profiles(rows, unknown), **cache.profiles} if lagging else {}
    save_profiles(rows, [ProfileRow(each.key, each.identity, each.partition, states[each.key]) for each in lagging])
