"""What ingestion does when a customer is erased: a duty of its own, and what it erases."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.erasures import ProfileErased
from contracts.topology import Topology, erasures_queue
from services.ingestion.leadership import Leadership
from services.ingestion.queue_duty import QueueDuty
from services.ingestion.spool.store import Spool
from shared.broker import Broker, Delivery, Publisher
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


def erase_customers(
    leadership: Leadership, broker: Broker, publisher: Publisher, topology: Topology, clock: Clock, erase: Erase
) -> QueueDuty:
    """The duty that erases whom trigger tells of, and answers.

    A customer is erased before the answer goes, and the answer before the message is settled.
    """

    def take(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            answer = answer_to(delivery.body, READER, clock, erase)
            if answer is not None:
                publisher.publish(answer).result(_CONFIRM_WITHIN)

    queue = erasures_queue(READER)
    return QueueDuty("erase-customers", leadership, broker, topology, queue, take, at_once=20)
