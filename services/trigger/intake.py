"""One batch of deliveries into one transaction: decide, write, then acknowledge (ARCHITECTURE §2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from contracts.erasures import TOMBSTONE_ID_PREFIX, Tombstone, UnreadableErasure, decode_tombstone
from contracts.joining import (
    INQUIRY_ID_PREFIX,
    JOINING_ID_PREFIX,
    REPLY_ID_PREFIX,
    Inquiry,
    Joining,
    Reply,
    decode_inquiry,
    decode_joining,
    decode_reply,
)
from contracts.signals import UnreadableSignal, decode_signal
from contracts.stitching import (
    ANONYMOUS,
    IDENTIFIED_ID_PREFIX,
    STITCHED_ID_PREFIX,
    UnreadableStitch,
    decode_identified,
    decode_stitched,
)
from contracts.topology import partition_of
from contracts.wire import (
    MARKER_ID_PREFIX,
    SPOOL_ID_PREFIX,
    Marker,
    SpoolWord,
    UnreadableMessage,
    decode_marker,
    decode_spool_word,
)
from services.trigger.audience import Audience
from services.trigger.engine.application import apply_signal, profile_of
from services.trigger.engine.effects import Effects
from services.trigger.engine.membership import membership_of
from services.trigger.recoveries import save_recoveries
from services.trigger.registry import Registry
from services.trigger.stitching import Anonymous, anonymous_arrival, is_anonymous
from services.trigger.store.cache import Cache
from services.trigger.store.received import count_received
from services.trigger.store.records import save_effects
from services.trigger.store.rollups import SIGNALS
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival, BatchShelf
from shared.broker import Delivery
from shared.outbox import Outbox

T = TypeVar("T", Inquiry, Joining, Reply)

Told = Marker | SpoolWord | Inquiry | Reply
"""Messages whose place among the deliveries says what has been applied."""


@dataclass(slots=True)
class Sorted:
    """Deliveries by what they are. `told`: in the order in which it came."""

    arrivals: list[Arrival] = field(default_factory=list)
    anonymous: list[Anonymous] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    joinings: list[Joining] = field(default_factory=list)
    tombstones: list[Tombstone] = field(default_factory=list)
    unreadable: list[tuple[Delivery, str]] = field(default_factory=list)
    partitions: set[int] = field(default_factory=set)

    @property
    def words(self) -> list[SpoolWord]:
        """The words of machines."""
        return [each for each in self.told if isinstance(each, SpoolWord)]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did: new signals, repeated ones, the earliest new index entry (µs) or None."""

    new: int
    repeated: int
    earliest_due: int | None


def sort_deliveries(deliveries: Sequence[Delivery], partitions: int) -> Sorted:
    """Decode what came; what cannot be read is set aside with the reason."""
    found = Sorted()
    for delivery in deliveries:
        partition = _partition(delivery.queue)
        found.partitions.add(partition)
        try:
            if delivery.message_id.startswith(MARKER_ID_PREFIX):
                told = _told(delivery, partition, partitions)
                if isinstance(told, Joining):
                    found.joinings.append(told)
                else:
                    found.told.append(told)
            elif delivery.message_id.startswith(TOMBSTONE_ID_PREFIX):
                found.tombstones.append(decode_tombstone(delivery.body))
            elif delivery.message_id.startswith(IDENTIFIED_ID_PREFIX):
                found.anonymous.append(_identified(delivery.body, partition, partitions))
            elif delivery.message_id.startswith(STITCHED_ID_PREFIX):
                bodies = [bytes(signal) for signal in decode_stitched(delivery.body).data.signals]
                found.arrivals += [_arrival(body, partition, partitions) for body in bodies]
            else:
                arrival = _arrival(delivery.body, partition, partitions)
                if is_anonymous(arrival.signal):
                    found.anonymous.append(anonymous_arrival(partition, arrival.signal, delivery.body))
                else:
                    found.arrivals.append(arrival)
        except _UNREADABLE as error:
            found.unreadable.append((delivery, str(error)))
    return found


def _told(delivery: Delivery, partition: int, partitions: int) -> Told | Joining:
    """What begins like a marker."""
    name, body = delivery.message_id, delivery.body
    if name.startswith(SPOOL_ID_PREFIX):
        return decode_spool_word(body)
    if name.startswith(JOINING_ID_PREFIX):
        joining = decode_joining(body)
        mine = partition_of(joining.configuration, joining.id_type, joining.profile, partitions)
        return _here(joining, partition, mine, joining.source, partitions)
    if name.startswith(INQUIRY_ID_PREFIX):
        inquiry = decode_inquiry(body)
        return _here(inquiry, partition, inquiry.partition, inquiry.asker, partitions)
    if name.startswith(REPLY_ID_PREFIX):
        reply = decode_reply(body)
        return _here(reply, partition, reply.partition, reply.source, partitions)
    return decode_marker(body)


def _here(told: T, partition: int, mine: int, other: int, partitions: int) -> T:
    if mine != partition or not 0 <= other < partitions:
        raise _Elsewhere(f"does not belong to partition {partition}")
    return told


class _Elsewhere(ValueError):
    """It does not belong to the partition."""


_UNREADABLE = (UnreadableSignal, UnreadableMessage, UnreadableErasure, UnreadableStitch, _Elsewhere)


def _arrival(body: bytes, partition: int, partitions: int) -> Arrival:
    signal = decode_signal(body)
    if partition_of(signal.configuration, signal.id_type, signal.profile, partitions) != partition:
        raise _Elsewhere(f"does not belong to partition {partition}")
    return Arrival(partition, signal, body, profile_of(signal), membership_of(signal))


def _identified(body: bytes, partition: int, partitions: int) -> Anonymous:
    identified = decode_identified(body)
    if partition_of(identified.configuration, ANONYMOUS, identified.anonymous, partitions) != partition:
        raise _Elsewhere(f"does not belong to partition {partition}")
    return anonymous_arrival(partition, identified, body)


def apply_batch(
    rows: Rows,
    outbox: Outbox,
    arrivals: Sequence[Arrival],
    registry: Registry,
    now: int,
    cache: Cache | None = None,
    *,
    counted: bool = False,
) -> Applied:
    """Apply signals inside the caller's transaction. `now`: the worker's clock, µs. `counted`: they are already."""
    if not arrivals:
        return Applied(0, 0, None)
    cache = cache if cache is not None else Cache()
    shelf = BatchShelf(rows, cache)
    effects = Effects()
    new = shelf.log(arrivals)
    shelf.prefetch(new)
    for arrival in new:
        assert arrival.entry is not None
        effects.after = arrival.entry.sequence - 1
        apply_signal(shelf, arrival.entry, arrival.profile, arrival.membership, registry.book, effects)
        shelf.note_level(arrival)
    if not counted:
        _count_signals(new, registry, effects)
        count_received(rows, (arrival.signal for arrival in new), arrivals[0].partition)
    shelf.save()
    save_effects(rows, effects, shelf.stored, arrivals[0].partition, now)
    if effects.recoveries:
        save_recoveries(rows, outbox, effects.recoveries, shelf.stored, now)
    Audience(rows, outbox, registry.configurations, cache).take_signals(new)
    return Applied(len(new), len(arrivals) - len(new), min(effects.armed.values(), default=None))


def _count_signals(new: Sequence[Arrival], registry: Registry, effects: Effects) -> None:
    """Count, for every running moment of their configuration, the signals of kinds that its template heeds."""
    kinds = Counter((arrival.signal.configuration, arrival.signal.kind.name) for arrival in new)
    for (configuration, kind), count in kinds.items():
        for moment in registry.book.concerned(configuration, kind):
            effects.count(moment, SIGNALS, count)


@lru_cache(1024)
def _partition(queue: str) -> int:
    return int(queue.rpartition(".")[2])
