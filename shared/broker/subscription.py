"""Reading a queue of one's own for long: bind it, take what comes, wait for a broker that was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from contracts.topology import Binding, Queue, Topology
from shared.broker.errors import BrokerError, BrokerUnavailable, ConsumerLost
from shared.broker.port import Broker, Consumer, Delivery
from shared.clock import Clock

_SECOND = 1_000_000


@dataclass(slots=True)
class Subscription:
    """A durable queue bound to an exchange, read until told otherwise. A lost broker is waited for.

    `topology`: what is made before the queue. `warn`: told why the broker is waited for.
    """

    broker: Broker
    topology: Topology
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    clock: Clock
    pause: Callable[[float], object]
    warn: Callable[[str], object]

    def bind(self) -> None:
        """Make the exchanges, the queues and the bindings; raises BrokerError."""
        self.broker.declare(self.topology)
        self.broker.declare(Topology((), self.queues, self.bindings))

    def deliveries(self, until: int | None) -> Iterator[tuple[Consumer, list[Delivery]]]:
        """Batches from the first queue, with the consumer that acknowledges them; an empty one every second or so."""
        consumer: Consumer | None = None
        try:
            while until is None or self.clock.now() < until:
                try:
                    if consumer is None:
                        self.bind()
                        consumer = self.broker.consumer([self.queues[0].name], prefetch=200)
                    yield consumer, consumer.receive(100, self._wait(until))
                except (ConsumerLost, BrokerUnavailable) as error:
                    self.warn(f"the broker was lost, trying again: {error}")
                    consumer = None
                    self.pause(1.0)
        finally:
            if consumer is not None:
                with suppress(BrokerError):
                    consumer.drop()

    def _wait(self, until: int | None) -> float:
        return 1.0 if until is None else max(0.0, min(1.0, (until - self.clock.now()) / _SECOND))
