"""A thread of the worker that keeps what ingestion tells of refused signals."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from contracts.topology import REFUSALS
from contracts.wire import SignalRefused, UnreadableMessage, decode_signal_refused
from services.trigger.store.refused import keep_refusals
from services.trigger.store.rows import Rows
from shared.broker import Broker, BrokerError, Consumer, Delivery
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.refusals")

_AT_ONCE = 500
_PAUSE = 1.0
_FAULTS: tuple[type[Exception], ...] = (*STORE_FAULTS, BrokerError)


class RefusalKeeper:
    """Reads the queue of refusals, whose shape must be declared; several workers share it. Nothing waits for it."""

    def __init__(self, broker: Broker, rows: Rows) -> None:
        self._broker = broker
        self._rows = rows
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._ended.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except _FAULTS as error:
                _log.warning("refusals.interrupted", error=type(error).__name__)
                self._ended.wait(_PAUSE)

    def _follow(self) -> None:
        consumer = self._broker.consumer([REFUSALS], prefetch=_AT_ONCE)
        try:
            while not self._ended.is_set():
                self._take(consumer)
        finally:
            consumer.drop()

    def _take(self, consumer: Consumer) -> None:
        deliveries = consumer.receive(_AT_ONCE, 0.5)
        if not deliveries:
            return
        try:
            with connected(self._rows.database), self._rows.database.atomic():
                keep_refusals(self._rows, _readable(deliveries))
        except STORE_FAULTS:
            raise
        except Exception:  # what no database takes is no reason to keep no others from now on
            _log.exception("refusals.not_kept", count=len(deliveries))
        consumer.ack(deliveries[-1])


def _readable(deliveries: Sequence[Delivery]) -> list[SignalRefused]:
    """What can be read; the rest is said in the log and forgotten: it is no more than a notice."""
    found: list[SignalRefused] = []
    for delivery in deliveries:
        try:
            found.append(decode_signal_refused(delivery.body))
        except UnreadableMessage as error:
            _log.error("refusals.unreadable", message=delivery.message_id, reason=str(error)[:200])
    return found
