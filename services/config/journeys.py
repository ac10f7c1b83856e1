"""What listens to moments at the broker: queues that journeys have bound, and what nobody has bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.topology import JOURNEYS, UNROUTED, WEBHOOKS, topic_matches
from shared.broker import Broker, BrokerError, UnknownQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyQueue:
    """A queue of a journey: the patterns it is bound by, and how many messages wait in it (None: not known)."""

    name: str
    patterns: tuple[str, ...]
    waiting: int | None

    def takes(self, routing_key: str) -> bool:
        """Whether it gets what is published by a routing key."""
        return any(topic_matches(pattern, routing_key) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What the broker tells. `queues`: None where it does not tell. `unrouted`: moments for which no queue was bound.

    `away`: the broker does not answer, and nothing is known.
    """

    queues: Sequence[JourneyQueue] | None
    unrouted: int | None
    away: bool = False


class Journeys:
    """Asks the broker, once for each page."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def listening(self) -> Listening:
        """What listens now."""
        try:
            return Listening(queues=self._queues(), unrouted=self._depth(UNROUTED))
        except BrokerError:
            return Listening(queues=None, unrouted=None, away=True)

    def _queues(self) -> list[JourneyQueue] | None:
        """The queues of journeys, by name; the one by which webhooks are served is none of them."""
        bindings = self._broker.bound(JOURNEYS)
        if bindings is None:
            return None
        patterns: dict[str, list[str]] = {}
        for binding in bindings:
            if binding.destination != WEBHOOKS:
                patterns.setdefault(binding.destination, []).append(binding.key)
        return [
            JourneyQueue(name=name, patterns=tuple(sorted(keys)), waiting=self._depth(name))
            for name, keys in sorted(patterns.items())
        ]

    def _depth(self, queue: str) -> int | None:
        try:
            return self._broker.depth(queue)
        except UnknownQueue:
            return None
