"""Taking a customer out of trigger's tables, store by store, in the caller's transaction; how many rows went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from contracts.signals import UnreadableSignal, decode_signal
from contracts.stitching import (
    ANONYMOUS,
    STITCHED_ID_PREFIX,
    UnreadableStitch,
    decode_stitched,
    encode_stitched,
)
from contracts.times import DAY
from contracts.wire import SignalRefused, decode_signal_refused
from services.trigger.about import profile_about
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.store.erasures import raise_log_end
from services.trigger.store.forgetting import count_forgotten, counted_moments
from services.trigger.store.keys import profile_key, profile_number, signal_key
from services.trigger.store.records import add_counts
from services.trigger.store.rollups import FEED_KEPT, LATE, PAST, adding
from services.trigger.store.rows import Row, Rows
from services.trigger.store.spellings import Kept, spelling_of

ERASED = "erased"
"""The reason of a suppressed wait (DOMAIN §6.11)."""
_CHUNK = 500
_RAISE = "moment."
_ROLLUP_COLUMNS = {
    **{"moment_id": "text", "span": "int8", "bucket": "int8", "counter": "text"},
    **{"partition": "int4", "value": "int8"},
}


@dataclass(frozen=True, slots=True)
class LoggedSignal:
    """A signal of the customer in the log."""

    sequence: int
    key: bytes
    received_at: int
    body: bytes


def signals_of(rows: Rows, profile: bytes, identity: ProfileId) -> list[LoggedSignal]:
    """The customer's signals in the log.

    Another profile may share half of the key: its signals are told apart by what they say. One of a kind that is known
    no more cannot be read; it counts as the customer's.
    """
    found, place = signals_of_page(rows, profile, identity, None, _CHUNK)
    while place is not None:
        more, place = signals_of_page(rows, profile, identity, place, _CHUNK)
        found += more
    return sorted(found, key=lambda each: each.sequence)


def signals_of_page(
    rows: Rows, profile: bytes, identity: ProfileId, after: bytes | None, limit: int
) -> tuple[list[LoggedSignal], bytes | None]:
    """Some of the customer's signals, after a key in the index; and the key after which the next ones are."""
    low, high = profile[:8] if after is None else after, profile[:8] + b"\xff" * 12
    found = rows.execute(
        "SELECT sequence, key, received_at, body, profile FROM signals WHERE key > ? AND key <= ? ORDER BY key LIMIT ?",
        (low, high, limit),
    )
    number = profile_number(profile)
    logged = [LoggedSignal(row[0], bytes(row[1]), row[2], bytes(row[3])) for row in found if row[4] == number]
    return [each for each in logged if _is_of(each.body, identity)], bytes(found[-1][1]) if len(
        found
    ) == limit else None


def signals_since(rows: Rows, profile: bytes, identity: ProfileId, at: int) -> list[LoggedSignal]:
    """Those of the customer's signals that were received after an instant."""
    found = rows.execute(
        "SELECT sequence, key, received_at, body FROM signals"
        " WHERE key > ? AND key <= ? AND received_at > ? AND profile = ? ORDER BY sequence",
        (profile[:8], profile[:8] + b"\xff" * 12, at, profile_number(profile)),
    )
    logged = (LoggedSignal(row[0], bytes(row[1]), row[2], bytes(row[3])) for row in found)
    return [each for each in logged if _is_of(each.body, identity)]


def _is_of(body: bytes, identity: ProfileId) -> bool:
    try:
        return profile_of(decode_signal(body)) == identity
    except UnreadableSignal:
        return True


def erase_signals(rows: Rows, signals: Sequence[LoggedSignal]) -> int:
    """Delete signals from the log, whose last place stays given away."""
    if signals:
        raise_log_end(rows, max(each.sequence for each in signals))
    rows.execute_many("DELETE FROM signals WHERE sequence = ?", [(each.sequence,) for each in signals])
    return len(signals)


def erase_waits(rows: Rows, profile: bytes, partition: int, now: int) -> int:
    """Suppress the customer's pending waits: counted, and recorded nowhere (DOMAIN §6.11)."""
    found = rows.execute(
        "SELECT w.process_key, w.moment_id, w.number FROM processes p JOIN waits w ON w.process_key = p.key"
        " WHERE p.profile_key = ?",
        (profile,),
    )
    keys = [(bytes(process), moment, number) for process, moment, number in found]
    rows.execute_many("DELETE FROM waits WHERE process_key = ? AND moment_id = ? AND number = ?", keys)
    counts = Counter((moment, f"suppressed:{ERASED}") for _, moment, _ in keys)
    add_counts(rows, counts, partition, now)
    _count_forgotten(rows, counts)
    return len(keys)


def erase_processes(rows: Rows, profile: bytes) -> int:
    """Delete the customer's processes, whose waits are gone already."""
    return rows.change("DELETE FROM processes WHERE profile_key = ?", (profile,))


def erase_raises(rows: Rows, profile: bytes, partition: int, now: int) -> int:
    """Delete decided occurrences, and what the feed says of them; the ledger counts them on."""
    found = rows.execute(
        "SELECT id, moment_id, raised, reason, decided_at FROM raises WHERE profile_key = ?", (profile,)
    )
    fed: dict[str, list[str]] = {}
    for raise_id, moment, _, _, decided_at in found:
        if decided_at >= now - FEED_KEPT - DAY:  # a day for clocks that differ and a round of housekeeping
            fed.setdefault(moment, []).append(raise_id)
    for moment, ids in fed.items():
        sql = "SELECT sequence FROM outcomes WHERE raise_id IN {values} AND moment_id = ? AND partition = ?"
        sequences = list(rows.select_in(sql, ids, "text", more=(moment, partition)))
        rows.execute_many("DELETE FROM outcomes WHERE sequence = ?", sequences)
    rows.execute_many("DELETE FROM raises WHERE id = ?", [(row[0],) for row in found])
    _count_forgotten(
        rows,
        Counter((moment, "raised" if raised else f"suppressed:{reason}") for _, moment, raised, reason, _ in found),
    )
    return len(found)


def erase_recoveries(rows: Rows, profile: bytes) -> int:
    """Delete recoveries; the ledger counts them on."""
    found = rows.execute("SELECT raise_id, moment_id FROM recoveries WHERE profile_key = ?", (profile,))
    rows.execute_many("DELETE FROM recoveries WHERE raise_id = ?", [(raise_id,) for raise_id, _ in found])
    _count_forgotten(rows, Counter((moment, "recovered") for _, moment in found))
    return len(found)


def erase_contradictions(rows: Rows, profile: bytes) -> int:
    """The same for contradictions."""
    counts = {
        (moment, "contradicted"): rows.change(
            "DELETE FROM contradictions WHERE moment_id = ? AND profile_key = ?", (moment, profile)
        )
        for moment in counted_moments(rows)
    }
    _count_forgotten(rows, counts)
    return sum(counts.values())


def erase_retimed(rows: Rows, profile: bytes) -> int:
    """Delete the dues that edits gave."""
    sql = "DELETE FROM retimed WHERE moment_id = ? AND profile_key = ?"
    return sum(rows.change(sql, (moment, profile)) for moment in counted_moments(rows))


def erase_profile(rows: Rows, profile: bytes) -> int:
    """Delete what is known of the customer."""
    return rows.change("DELETE FROM profiles WHERE key = ?", (profile,))


def refused_signals_of(rows: Rows, profile: bytes, identity: ProfileId) -> list[bytes]:
    """The keys that refused signals of the customer would have had: a replay that is underway must not bring one in."""
    found = rows.execute("SELECT body FROM refused WHERE profile_key = ?", (profile,))
    refused = [decode_signal_refused(bytes(body)) for (body,) in found]
    if identity.id_type == ANONYMOUS:  # they are kept under no profile
        refused += [each for _, each, _ in unread_refusals(rows, identity)]
    return [signal_key(profile, each.source or each.key, each.signal) for each in refused if each.signal]


def erase_refusals(rows: Rows, identity: ProfileId) -> int:
    """Delete refused signals of the customer, and those of nobody in particular in which their address stands."""
    return rows.change("DELETE FROM refused WHERE profile_key = ?", (profile_key(identity),)) + sum(
        rows.change("DELETE FROM refused WHERE sequence = ?", (sequence,))
        for sequence, _, _ in unread_refusals(rows, identity)
    )


def unread_refusals(rows: Rows, identity: ProfileId) -> Iterator[tuple[int, SignalRefused, bytes | None]]:
    """Those whose profile could not be read, in which the customer's value stands: place, refusal and content."""
    last: int | None = -1
    while last is not None:
        found, last = unread_refusals_page(rows, identity, last, _CHUNK)
        yield from found


def unread_refusals_page(
    rows: Rows, identity: ProfileId, after: int, limit: int
) -> tuple[list[tuple[int, SignalRefused, bytes | None]], int | None]:
    """Some of them, after a place; and the place after which the next ones are."""
    found = rows.execute(
        "SELECT sequence, body, sent FROM refused WHERE configuration = ? AND sequence > ? AND profile_key = ?"
        " ORDER BY sequence LIMIT ?",
        (identity.configuration, after, b"", limit),
    )
    is_in = spelling_of(identity.id_type, identity.profile)
    mine = [row for row in found if is_in(Kept(bytes(row[1]) + b"\n" + bytes(row[2] or b"")))]
    refused = [(int(row[0]), decode_signal_refused(bytes(row[1])), row[2]) for row in mine]
    return refused, int(found[-1][0]) if len(found) == limit else None


def erase_unsent(rows: Rows, profile: bytes, at: int) -> int:
    """Delete messages that are not sent yet: they go out no more. Signals that were received after `at` still go.

    A raise that was never sent has no lateness; it counts where the past does, since the audit sums them.
    """
    mine = list(_unsent_of(rows, profile, at))
    # Another process may mark one as sent in this instant: only what is deleted unsent lacks its lateness.
    gone = [row for row in mine if rows.change("DELETE FROM outbox WHERE id = ? AND sent_at IS NULL", (row[0],))]
    late: Counter[tuple[str, int]] = Counter()
    for moment, partition in _raised(rows, gone):
        late[moment, partition] += 1
    values = [(moment, DAY, PAST, f"{LATE}:000", partition, n) for (moment, partition), n in sorted(late.items())]
    rows.insert("rollups", _ROLLUP_COLUMNS, values, adding(rows, "rollups", ", ".join(_ROLLUP_KEY)))
    return len(gone)


def _unsent_of(rows: Rows, profile: bytes, at: int) -> Iterator[Row]:
    """Id, message id, routing key and partition of each; a part at a time, as all may wait while the broker is away.

    Of signals that join the customer's profile, those that were received by `at` are taken out of their message.
    """
    sql = (
        "SELECT id, message_id, routing_key, partition, body FROM outbox WHERE sent_at IS NULL AND id > ?"
        " ORDER BY id LIMIT ?"
    )
    last = 0
    while found := rows.execute(sql, (last, _CHUNK)):
        for row in found:
            if profile_about(bytes(row[4])) == profile:
                left = _received_since(row[1], bytes(row[4]), at)
                if left is None:
                    yield row[:4]
                elif left != bytes(row[4]):
                    rows.execute("UPDATE outbox SET body = ? WHERE id = ? AND sent_at IS NULL", (left, row[0]))
        last = found[-1][0]


def _received_since(message_id: str, body: bytes, at: int) -> bytes | None:
    """What is left of a message with the signals that were received after an instant; None where none is in it."""
    try:
        if not message_id.startswith(STITCHED_ID_PREFIX):
            return body if decode_signal(body).received_at > at else None
        data = decode_stitched(body).data
        bodies = [bytes(each) for each in data.signals if decode_signal(bytes(each)).received_at > at]
    except (UnreadableSignal, UnreadableStitch):
        return None
    if len(bodies) == len(data.signals):
        return body
    return encode_stitched(data.audience_configuration, data.profile, bodies) if bodies else None


_ROLLUP_KEY = ("moment_id", "span", "bucket", "counter", "partition")


def _raised(rows: Rows, gone: Iterable[Sequence[object]]) -> Iterator[tuple[str, int]]:
    """Moment and partition of those of the outbox's rows that are raises."""
    partitions = {str(row[1]): row[3] for row in gone if str(row[2]).startswith(_RAISE)}
    sql = "SELECT id, moment_id FROM raises WHERE id IN {values} AND raised"
    for raise_id, moment in rows.select_in(sql, partitions, "text"):
        yield moment, int(partitions[raise_id] or 0)  # type: ignore[call-overload]


def _count_forgotten(rows: Rows, counts: dict[tuple[str, str], int] | Counter[tuple[str, str]]) -> None:
    for moment in {moment for moment, _ in counts}:
        count_forgotten(rows, moment, {counter: n for (of, counter), n in counts.items() if of == moment})
