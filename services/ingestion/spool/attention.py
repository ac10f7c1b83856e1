"""In which partitions a machine's word is heard: where nobody reads, words would only pile up."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from contracts.topology import partition_queue
from shared.broker import Broker, BrokerError
from shared.clock import stopwatch

_log = structlog.get_logger(__name__)

ASK_EVERY = 3.0
"""Seconds between two looks at who reads: by so much later than ever a word comes once somebody reads again."""
UNHEARD_EVERY = 30.0
"""Seconds between two words in a partition that nobody reads: whoever reads it later hears of this machine in time."""


class Attention:
    """Knows which partitions somebody reads, and chooses those in which to speak; used by one thread."""

    def __init__(self, broker: Broker, partitions: int) -> None:
        self._broker = broker
        self._queues = {partition_queue(n): n for n in range(partitions)}
        self._read = set(self._queues.values())
        self._asked = 0.0
        self._spoken: dict[int, float] = {}

    def chosen(self) -> list[int]:
        """The partitions for the word that is said now."""
        now = stopwatch()
        if now - self._asked >= ASK_EVERY:
            self._asked = now
            self._ask()
        return [n for n in self._queues.values() if n in self._read or self._silent(n, now)]

    def spoken(self, partitions: Iterable[int]) -> None:
        """A word was handed over for these."""
        self._spoken.update(dict.fromkeys(partitions, stopwatch()))

    def _silent(self, partition: int, now: float) -> bool:
        return now - self._spoken.get(partition, -UNHEARD_EVERY) >= UNHEARD_EVERY

    def _ask(self) -> None:
        """While the broker does not tell, what it told last holds."""
        try:
            read = {self._queues[queue] for queue in self._broker.consumed(list(self._queues))}
        except BrokerError as error:
            _log.info("spool.readers_unknown", reason=str(error))
            return
        if bool(read) != bool(self._read):
            _log.warning("spool.heard_again" if read else "spool.unheard")
        self._read = read
