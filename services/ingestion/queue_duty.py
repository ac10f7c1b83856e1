"""A duty of the process that leads on its machine: to take what comes on a queue, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.topology import Topology
from services.ingestion.leadership import Leadership
from shared.broker import Broker, Consumer, Delivery

_WAIT = 0.5

Take = Callable[[Sequence[Delivery]], None]
"""Takes a batch, never an empty one. When it returns, the batch is acknowledged; when it raises, it comes again."""


class QueueDuty:
    """Hands what comes on a queue to a function, one step at a time, where this machine's process leads.

    `ready`: whether anything may be taken now.
    """

    def __init__(
        self,
        name: str,
        leadership: Leadership,
        broker: Broker,
        topology: Topology,
        queue: str,
        take: Take,
        *,
        at_once: int,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self._leadership = leadership
        self._broker = broker
        self._topology = topology
        self._queue = queue
        self._take = take
        self._at_once = at_once
        self._ready = ready
        self._consumer: Consumer | None = None

    def step(self) -> float:
        """Take a batch and acknowledge it; seconds until the next step. After any failure it begins anew."""
        if not self._leadership.held() or not self._ready():
            return _WAIT
        try:
            if self._consumer is None:
                self._broker.declare(self._topology)
                self._consumer = self._broker.consumer([self._queue], prefetch=self._at_once)
            deliveries = self._consumer.receive(self._at_once, _WAIT)
            if deliveries:
                self._take(deliveries)
                self._consumer.ack(deliveries[-1])
        except Exception:
            self.stop()
            raise
        return 0.0

    def stop(self) -> None:
        """Give the queue back."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.drop()
