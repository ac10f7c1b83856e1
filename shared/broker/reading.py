"""A thread that reads a queue in the background, where nothing waits for what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from contracts.topology import Topology
from shared.broker.errors import BrokerError
from shared.broker.port import Broker, Consumer, Delivery

_PAUSE = 1.0
_WAIT = 0.5
_log = structlog.get_logger("broker.reading")

Take = Callable[[list[Delivery]], None]
"""Takes a batch, never an empty one. When it returns, the batch is acknowledged; when it raises, it comes again."""


class QueueReader:
    """Hands what comes on a queue to a function, batch by batch, and goes on after any failure.

    `topology`: what is declared before; None where others do. `passing`: failures of servers that are away, of which
    the log says no more than their name.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        take: Take,
        *,
        topology: Topology | None = None,
        at_once: int = 500,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._take = take
        self._topology = topology
        self._at_once = at_once
        self._passing = (*passing, BrokerError, TimeoutError)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"reads {queue}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the batch in hand; does not wait longer than `timeout` seconds."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._read()
            except Exception as error:
                told = None if isinstance(error, self._passing) else error
                _log.warning("reading.interrupted", queue=self._queue, error=type(error).__name__, exc_info=told)
                self._ended.wait(_PAUSE)

    def _read(self) -> None:
        if self._topology is not None:
            self._broker.declare(self._topology)
        consumer = self._broker.consumer([self._queue], prefetch=self._at_once)
        try:
            while not self._ended.is_set():
                self._next(consumer)
        finally:
            consumer.drop()

    def _next(self, consumer: Consumer) -> None:
        deliveries = consumer.receive(self._at_once, _WAIT)
        if deliveries:
            self._take(deliveries)
            consumer.ack(deliveries[-1])
