"""What the other services answer to an erasure, noted on its receipt by the worker in the background."""

from __future__ import annotations

import structlog

from contracts.erasures import UnreadableErasure, decode_erasure_done
from contracts.topology import ERASURES_DONE
from services.trigger.store.erasures import add_erased_counts, find_erasure, note_answer
from services.trigger.store.rows import Rows
from shared.broker import Broker, Delivery
from shared.broker.reading import QueueReader
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.erasing")


def answer_reader(broker: Broker, rows: Rows) -> QueueReader:
    """The thread that notes answers; several workers share the queue."""

    def note(deliveries: list[Delivery]) -> None:
        with connected(rows.database), rows.database.atomic():
            for delivery in deliveries:
                _note(rows, delivery)

    return QueueReader(broker, ERASURES_DONE, note, passing=STORE_FAULTS)


def _note(rows: Rows, delivery: Delivery) -> None:
    """An answer that comes again counts nothing twice; one to an erasure that is forgotten is dropped."""
    try:
        done = decode_erasure_done(delivery.body)
    except UnreadableErasure as error:
        _log.error("erasing.unreadable_answer", reason=str(error)[:200])
        return
    if find_erasure(rows, done.erasure) is not None and note_answer(rows, done.erasure, done.reader, done.at):
        add_erased_counts(rows, done.erasure, done.reader, done.counts)
