"""What ingestion does when a customer is erased: a duty of its own, and what it erases."""

from __future__ import annotations

from contracts.erasures import ProfileErased
from contracts.topology import Topology, erasures_queue
from services.ingestion.leadership import Leadership
from services.ingestion.spool.store import Spool
from shared.broker import Broker, Consumer, Publisher
from shared.clock import Clock
from shared.erasing import Erase, answer_to

READER = "ingestion"
_CONFIRM_WITHIN = 5.0


class Erasing:
    """Erases a customer from what ingestion keeps: its log of refusals counts, and names nobody.

    The spools of other machines are not reached: what lies there is dropped by trigger when it comes.
    """

    def __init__(self, spool: Spool | None = None) -> None:
        self._spool = spool

    def __call__(self, told: ProfileErased) -> dict[str, int]:
        """Store → how many rows went."""
        if self._spool is None:
            return {}
        return {"spool": self._spool.erase(told.configuration, told.id_type, told.profile, told.at)}


class EraseCustomers:
    """Erases, where this machine leads, whom trigger tells of, and answers."""

    name = "erase-customers"

    def __init__(
        self,
        leadership: Leadership,
        broker: Broker,
        publisher: Publisher,
        topology: Topology,
        clock: Clock,
        erase: Erase,
    ) -> None:
        self._leadership = leadership
        self._broker = broker
        self._publisher = publisher
        self._topology = topology
        self._clock = clock
        self._erase = erase
        self._consumer: Consumer | None = None

    def step(self) -> float:
        """Take what has come; a customer is erased before the answer goes, and the answer before the message."""
        if not self._leadership.held():
            return 0.5
        try:
            if self._consumer is None:
                self._broker.declare(self._topology)
                self._consumer = self._broker.consumer([erasures_queue(READER)])
            deliveries = self._consumer.receive(20, 0.5)
            for delivery in deliveries:
                answer = answer_to(delivery.body, READER, self._clock, self._erase)
                if answer is not None:
                    self._publisher.publish(answer).result(_CONFIRM_WITHIN)
            if deliveries:
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
