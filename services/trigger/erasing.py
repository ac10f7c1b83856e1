"""Erasing a customer (DOMAIN §6.4, §6.11): what the owner of the partition does when the tombstone comes to it.

The tombstone goes through the partition's queue like a signal, so that what lay before it has been applied, and what
lies behind it is judged by its receipt: what was received by the instant of the request is dropped, however late it
arrives; what was received since is applied, as of somebody who was never seen before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import structlog
from prometheus_client import Counter as Metric

from contracts.erasures import (
    PROFILE_ERASED,
    TOMBSTONE_ID_PREFIX,
    TOMBSTONE_TYPE,
    ProfileErased,
    Tombstone,
    erased_signal_of,
    subject_of,
)
from contracts.signals import decode_signal
from contracts.stitching import ANONYMOUS
from contracts.topology import ERASURES, PARTITIONS, partition_key
from contracts.wire import encode
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.membership import membership_of
from services.trigger.faltering import FIRST_PAUSE, pause_after
from services.trigger.stitching import Admitted, Anonymous
from services.trigger.store import erasing as store
from services.trigger.store.anonymous import erase_anonymous, erase_visitor
from services.trigger.store.cache import Cache
from services.trigger.store.erasing import LoggedSignal
from services.trigger.store.erasures import (
    ERASED,
    ERASING,
    REQUESTED,
    SIGNALS_BARRED,
    Erasure,
    add_erased_counts,
    bar_signals,
    barred_signals,
    claim_tombstone,
    count_dropped,
    erased_at,
    erased_since,
    erased_subjects,
    erasures_in,
    find_erasure,
    note_erased,
)
from services.trigger.store.keys import profile_key, signal_key
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from services.trigger.store.sources import erase_sources
from services.trigger.webhooks.store.deliveries import DeliveryRows
from shared.broker import Message, Publisher
from shared.outbox import Outbox

AT_ONCE = 2_000
"""Signals that go with all else in one transaction, which holds up the worker; of more than that, the log is cleared
between its batches."""

SERVICE = "trigger"
"""Under which trigger's own counts stand in a receipt."""

_DROPPED = Metric("moments_trigger_erased_dropped", "Signals dropped since their customer was erased before.")
_log = structlog.get_logger("trigger.erasing")


class Eraser:
    """Knows who was erased, and erases. Used by the worker's thread.

    What it knows is true as long as the worker owns its partitions: `load` it whenever some are taken.
    """

    def __init__(self, pepper: bytes, outbox: Outbox) -> None:
        self._pepper = pepper
        self._outbox = outbox
        self._erased: dict[bytes, int] = {}

    def load(self, rows: Rows) -> None:
        """Learn who was erased, by whichever worker."""
        self._erased = erased_subjects(rows)

    def admit(self, rows: Rows, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Leave out, and count, what erased customers sent before the erasure, or send once more."""
        if not self._erased:
            return arrivals
        suspects = {n: (each, at) for n, each in enumerate(arrivals) if (at := self._erased_at(each)) is not None}
        if not suspects:
            return arrivals
        names = {n: self._name_of(each) for n, (each, _) in suspects.items()}
        barred = barred_signals(rows, names.values())
        dropped = {n for n, (each, at) in suspects.items() if each.signal.received_at <= at or names[n] in barred}
        count_dropped(rows, Counter(self._subject(suspects[n][0].profile) for n in dropped))
        _DROPPED.inc(len(dropped))
        return [each for n, each in enumerate(arrivals) if n not in dropped]

    def admit_visitors(self, rows: Rows, arrivals: Sequence[Anonymous]) -> Admitted:
        """The same of anonymous visitors and of who they are told to be; and up to when each was erased.

        Also those whose tombstones are on their way: what was received before must join nobody any more.
        """
        subjects = {each.key: self._subject(each.visitor) for each in arrivals}
        erased = erased_since(rows, set(subjects.values())) if arrivals else {}
        if not erased:
            return Admitted(arrivals)
        until = {key: erased[subject] for key, subject in subjects.items() if subject in erased}
        suspects = {n: each for n, each in enumerate(arrivals) if each.key in until}
        names = {n: erased_signal_of(self._pepper, each.name) for n, each in suspects.items() if each.name}
        barred = barred_signals(rows, names.values())
        dropped = {n for n, each in suspects.items() if each.at <= until[each.key] or names.get(n) in barred}
        signals = [suspects[n] for n in dropped if suspects[n].name]
        count_dropped(rows, Counter(subjects[each.key] for each in signals))
        _DROPPED.inc(len(signals))
        return Admitted([each for n, each in enumerate(arrivals) if n not in dropped], until)

    def has_erased(self, rows: Rows, identity: ProfileId, received_at: int) -> bool:
        """Whether a customer was erased, by whichever worker, when or after something was received."""
        at = erased_at(rows, self._subject(identity))
        return at is not None and received_at <= at

    def erase(self, rows: Rows, cache: Cache, erasure_id: str, now: int) -> list[Arrival]:
        """Erase, in the caller's transaction; what the customer sent since the request is to be applied anew.

        A tombstone that comes again finds its erasure done, and does nothing.
        """
        erasure = find_erasure(rows, erasure_id, lock=True)
        identity = erasure.identity if erasure is not None else None
        if erasure is None or identity is None or erasure.state != REQUESTED:
            return []
        profile = profile_key(identity)
        signals, more = store.signals_of_page(rows, profile, identity, None, AT_ONCE)
        if more is not None:  # the older ones are left to `services.trigger.clearing`
            signals = store.signals_since(rows, profile, identity, erasure.at)
        names = store.refused_signals_of(rows, profile, identity)
        counts = _erase_all(rows, identity, erasure, signals, now)
        if identity.id_type == ANONYMOUS:
            held, counts["anonymous"] = erase_visitor(rows, profile, erasure.partition, erasure.at)
            names += held
        erase_sources(rows, profile, erasure.at)
        cache.forget_profile(profile)
        before = [each for each in signals if each.received_at <= erasure.at]
        bar(rows, self._pepper, [*recent_keys(before, now), *names], now)
        self._outbox.add([erased_message(erasure)])
        add_erased_counts(rows, erasure_id, SERVICE, counts)
        note_erased(rows, erasure_id, now, state=ERASED if more is None else ERASING)
        # Alone: with many receipts, to read all of them again would cost more than the erasure. Should the caller's
        # transaction fail, what is dropped until the tombstone comes again is what it would take.
        self._erased[erasure.subject] = max(erasure.at, self._erased.get(erasure.subject, 0))
        _log.info("erasing.erased", erasure=erasure_id, **counts)
        since = sorted((each for each in signals if each.received_at > erasure.at), key=lambda each: each.sequence)
        return [_arrival(each, erasure.partition) for each in since]

    def _erased_at(self, arrival: Arrival) -> int | None:
        return self._erased.get(self._subject(arrival.profile))

    def _subject(self, profile: ProfileId) -> bytes:
        return subject_of(self._pepper, *profile)

    def _name_of(self, arrival: Arrival) -> bytes:
        signal = arrival.signal
        return erased_signal_of(self._pepper, signal_key(profile_key(arrival.profile), signal.source, signal.id))


def recent_keys(signals: Iterable[LoggedSignal], now: int) -> list[bytes]:
    """The keys of the signals of which repeats are still recognised."""
    return [each.key for each in signals if each.received_at > now - SIGNALS_BARRED]


def bar(rows: Rows, pepper: bytes, keys: Iterable[bytes], now: int) -> None:
    """No repeat of a signal, and no replay of a refused one, is taken for as long as repeats are recognised."""
    bar_signals(rows, [erased_signal_of(pepper, key) for key in keys], now + SIGNALS_BARRED)


def tombstone_message(erasure: Erasure) -> Message:
    """What goes through the customer's partition."""
    return Message(
        exchange=PARTITIONS,
        routing_key=partition_key(erasure.partition),
        body=encode(Tombstone(erasure=erasure.id, partition=erasure.partition)),
        message_id=f"{TOMBSTONE_ID_PREFIX}{erasure.id}",
        content_type=TOMBSTONE_TYPE,
    )


def resend_tombstones(rows: Rows, publisher: Publisher, now: int) -> None:
    """Send those again that were to be taken long ago: a broker may have lost them, or a worker failed at one.

    One that comes twice does no harm; one at which workers fail goes ever more seldom.
    """
    due = [each for each in erasures_in(rows, REQUESTED) if (each.next_at or each.at + FIRST_PAUSE) <= now]
    late = [each for each in due if claim_tombstone(rows, each, now + pause_after(each.failures))]
    if late:
        _log.warning("erasing.tombstones_resent", count=len(late))
        publisher.publish_all([tombstone_message(each) for each in late])


def erased_message(erasure: Erasure) -> Message:
    """What tells the other services whom to erase."""
    assert erasure.profile is not None
    told = ProfileErased(
        erasure=erasure.id,
        at=erasure.at,
        configuration=erasure.configuration,
        id_type=erasure.id_type,
        profile=erasure.profile,
        suppress=erasure.suppress,
    )
    return Message(
        exchange=ERASURES,
        routing_key=PROFILE_ERASED,
        body=encode(told),
        message_id=erased_message_id(erasure.id),
        content_type="application/json",
    )


def erased_message_id(erasure_id: str) -> str:
    """The id of that message."""
    return f"{PROFILE_ERASED}:{erasure_id}"


def _erase_all(
    rows: Rows, identity: ProfileId, erasure: Erasure, signals: Sequence[LoggedSignal], now: int
) -> dict[str, int]:
    """Store → how many rows went. Messages first, while it is known which of them are raises."""
    profile, partition = profile_key(identity), erasure.partition
    return {
        "outbox": store.erase_unsent(rows, profile, erasure.at),
        "waits": store.erase_waits(rows, profile, partition, now),
        "processes": store.erase_processes(rows, profile),
        "raises": store.erase_raises(rows, profile, partition, now),
        "recoveries": store.erase_recoveries(rows, profile),
        "contradictions": store.erase_contradictions(rows, profile),
        "retimed": store.erase_retimed(rows, profile),
        "signals": store.erase_signals(rows, signals),
        "profiles": store.erase_profile(rows, profile),
        "refused": store.erase_refusals(rows, identity),
        "anonymous": erase_anonymous(rows, profile),
        "webhook_deliveries": _erase_deliveries(DeliveryRows(rows), profile),
    }


def _erase_deliveries(deliveries: DeliveryRows, profile: bytes) -> int:
    erased = 0
    while gone := deliveries.forget_profile(profile):
        erased += gone
    return erased


def _arrival(logged: LoggedSignal, partition: int) -> Arrival:
    signal = decode_signal(logged.body)
    return Arrival(partition, signal, logged.body, profile_of(signal), membership_of(signal))
