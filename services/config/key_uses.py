"""A thread that takes what ingestion tells of the uses of keys."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog

from contracts.topology import KEY_USES, Topology
from contracts.wire import UnreadableMessage, decode_key_used
from services.config.configurations import Configurations
from shared.broker import Broker, BrokerError, Consumer, Delivery
from shared.store import STORE_FAULTS

_AT_ONCE = 500
_PASSING: tuple[type[Exception], ...] = (*STORE_FAULTS, BrokerError, TimeoutError)
_log = structlog.get_logger("config.key_uses")


class KeyUseTaker:
    """Reads the queue of key uses and notes the latest of each; goes on after any failure. Nothing waits for it."""

    def __init__(self, broker: Broker, topology: Topology, configurations: Configurations) -> None:
        self._broker = broker
        self._topology = topology
        self._configurations = configurations
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-uses", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End soon."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except Exception as error:
                passing = isinstance(error, _PASSING)
                _log.warning("key_uses.interrupted", error=type(error).__name__, exc_info=None if passing else error)
                self._ended.wait(1.0)

    def _follow(self) -> None:
        self._broker.declare(self._topology)
        consumer = self._broker.consumer([KEY_USES], prefetch=_AT_ONCE)
        try:
            while not self._ended.is_set():
                self._take(consumer)
        finally:
            consumer.drop()

    def _take(self, consumer: Consumer) -> None:
        deliveries = consumer.receive(_AT_ONCE, 0.5)
        if not deliveries:
            return
        uses = latest_uses(deliveries)
        noted = self._configurations.note_key_uses(uses)
        consumer.ack(deliveries[-1])
        _log.debug("key_uses.noted", told=len(uses), noted=noted)


def latest_uses(deliveries: Iterable[Delivery]) -> dict[str, int]:
    """Key → when it was last used; what cannot be read is passed over, the next use is told of again."""
    latest: dict[str, int] = {}
    for delivery in deliveries:
        try:
            used = decode_key_used(delivery.body)
        except UnreadableMessage as error:
            _log.error("key_uses.unreadable", reason=str(error)[:200])
            continue
        if "\0" not in used.key and 0 < used.at < 2**62:
            latest[used.key] = max(used.at, latest.get(used.key, 0))
    return latest
