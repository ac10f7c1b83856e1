"""What ingestion tells of refused signals, kept by the worker in the background."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from contracts.erasures import subject_of
from contracts.topology import REFUSALS
from contracts.wire import SignalRefused, UnreadableMessage, decode_signal_refused
from services.trigger.store.erasures import erased_since
from services.trigger.store.refused import forget_contents, keep_refusals
from services.trigger.store.rows import Rows
from shared.broker import Broker, Delivery
from shared.broker.reading import QueueReader
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.refusals")


LOOKED_AT_AFTER = 4_000_000
"""Bytes of contents after which it is looked at whether all together have become too many."""


def refusal_reader(broker: Broker, rows: Rows, pepper: bytes, most_bytes: int) -> QueueReader:
    """The thread that keeps refusals, whose shape must be declared; several workers share the queue.

    `most_bytes`: of contents, all together; what is over is forgotten here, since a flood does not wait for a round
    of housekeeping.
    """
    since_looked = 0

    def keep(deliveries: list[Delivery]) -> None:
        nonlocal since_looked
        found = _readable(deliveries)
        with connected(rows.database):
            if not _kept(rows, pepper, found):
                for each in found:
                    if not _kept(rows, pepper, [each]):
                        _log.error("refusals.not_kept", id=each.id)
        since_looked += sum(len(each.sent) for each in found)
        if since_looked > min(LOOKED_AT_AFTER, most_bytes):
            since_looked = 0
            _forget_contents(rows, most_bytes)

    return QueueReader(broker, REFUSALS, keep, passing=STORE_FAULTS)


def _kept(rows: Rows, pepper: bytes, found: Sequence[SignalRefused]) -> bool:
    """Whether all of them are kept now; what no database takes is no reason to keep no others."""
    try:
        with rows.database.atomic():
            keep_refusals(rows, _standing(rows, pepper, found))
    except STORE_FAULTS:
        raise
    except Exception:
        _log.exception("refusals.failed", count=len(found))
        return False
    return True


def _forget_contents(rows: Rows, most_bytes: int) -> None:
    emptied = True
    while emptied:
        with connected(rows.database), rows.database.atomic():
            emptied = forget_contents(rows, most_bytes) > 0


def _readable(deliveries: Sequence[Delivery]) -> list[SignalRefused]:
    """What can be read; the rest is said in the log and forgotten: it is no more than a notice."""
    found: list[SignalRefused] = []
    for delivery in deliveries:
        try:
            found.append(decode_signal_refused(delivery.body))
        except UnreadableMessage as error:
            _log.error("refusals.unreadable", message=delivery.message_id, reason=str(error)[:200])
    return found


def _standing(rows: Rows, pepper: bytes, found: Sequence[SignalRefused]) -> list[SignalRefused]:
    """Without those whose customer was erased since."""
    subjects = {
        each.id: subject_of(pepper, each.configuration, each.id_type, each.profile) for each in found if each.profile
    }
    erased = erased_since(rows, set(subjects.values())) if subjects else {}
    return [each for each in found if each.at > erased.get(subjects.get(each.id, b""), -1)]
