"""The duty of the one process of a machine that keeps the spool: drain it, and give trigger the machine's word."""

from __future__ import annotations

from concurrent.futures import Future

import structlog

from contracts.topology import PARTITIONS, partition_key
from contracts.wire import SPOOL_ID_PREFIX, SPOOL_WORD_TYPE, SpoolWord, encode
from services.ingestion import meters
from services.ingestion.leadership import Leadership
from services.ingestion.spool.attention import Attention
from services.ingestion.spool.board import Mode
from services.ingestion.spool.store import LEASE, Spool
from shared.broker import Broker, BrokerError, Message, Publisher
from shared.clock import Clock, stopwatch

_log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between two words of a machine, where somebody reads them."""
_LOOK = 0.1
_BATCH = 1_000
_CONFIRMED_WITHIN = 5.0
_SHOW_EVERY = 1.0
_TERM = 2**32


class Words:
    """The words of one term of keeping, through every partition (DOMAIN §6.5); used by one thread."""

    def __init__(self, publisher: Publisher, machine: str, term: int, partitions: int, attention: Attention) -> None:
        self._publisher = publisher
        self._machine = machine
        self._number = term * _TERM
        self._partitions = partitions
        self._attention = attention
        self._underway: list[Future[None]] = []
        self._spoken = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return stopwatch() - self._spoken >= EVERY

    @property
    def underway(self) -> bool:
        """Whether the broker has not answered yet to the last one."""
        return any(not future.done() for future in self._underway)

    def say(self, at: int, waiting: int, *, leaving: bool = False, everywhere: bool = False) -> None:
        """All that this machine acknowledged before `at` (µs) has been confirmed by the broker.

        Where nobody reads it is said seldom, unless `everywhere` or it is the last one.
        """
        self._number += 1
        self._spoken = stopwatch()
        chosen = range(self._partitions) if leaving or everywhere else self._attention.chosen()
        words = [
            SpoolWord(partition=n, machine=self._machine, number=self._number, at=at, waiting=waiting, leaving=leaving)
            for n in chosen
        ]
        self._underway = self._publisher.publish_all([_message(word) for word in words])
        self._attention.spoken(chosen)

    def confirmed(self) -> None:
        """Wait until the last one has reached every partition; raises BrokerError or TimeoutError."""
        until = stopwatch() + _CONFIRMED_WITHIN
        for future in self._underway:
            future.result(max(0.0, until - stopwatch()))


class KeepSpool:
    """Drains what waits, in order, and says every half second what trigger may rely on."""

    name = "keep-spool"

    def __init__(
        self, leadership: Leadership, spool: Spool, broker: Broker, publisher: Publisher, clock: Clock, partitions: int
    ) -> None:
        self._leadership = leadership
        self._attention = Attention(broker, partitions)
        self._spool = spool
        self._publisher = publisher
        self._clock = clock
        self._partitions = partitions
        self._words: Words | None = None
        self._known = False
        self._shown = 0.0
        self._waiting = 0
        self._drained = 0

    def step(self) -> float:
        """Drain a batch, or say a word when it is time for one."""
        if not self._leadership.held():
            return EVERY
        if self._words is None:
            term = self._spool.begin_term()
            self._words = Words(self._publisher, self._spool.name, term, self._partitions, self._attention)
            self._known = self._spool.standing().known
        if stopwatch() - self._shown >= _SHOW_EVERY:
            self._show()
        if not self._publisher.ready:
            return _LOOK
        if self._spool.filled:
            return self._drain(self._words)
        return self._speak(self._words)

    def stop(self) -> None:
        """Sign off when nothing waits here: trigger need not wait for this machine's word until it is back."""
        if self._words is None or not self._leadership.held():
            return
        try:
            self._sign_off(self._words)
        except (BrokerError, TimeoutError) as error:
            _log.warning("spool.not_signed_off", reason=str(error))

    def _drain(self, words: Words) -> float:
        waiting = self._spool.first(_BATCH)
        if not waiting.messages:
            return self._emptied(words)
        if len(waiting.messages) < _BATCH and self._spool.board.mode is Mode.FILLED:
            self._spool.board.mode = Mode.CLOSING  # new ones wait: else a steady stream would keep it filled for ever
            return 0.0
        try:
            at = self._forward(waiting.messages, waiting.places)
        except BaseException:
            self._spool.board.mode = Mode.FILLED
            raise
        if words.due and not words.underway:
            words.say(at, self._waiting)
        return 0.0

    def _forward(self, messages: list[Message], places: list[int]) -> int:
        """Publish, and forget those up to the first that was not confirmed; the rest comes again, in order."""
        futures = self._publisher.publish_all(messages)
        until = stopwatch() + _CONFIRMED_WITHIN
        confirmed = 0
        try:
            for future in futures:
                future.result(max(0.0, until - stopwatch()))
                confirmed += 1
        finally:
            if confirmed:
                at = self._spool.forget(places[confirmed - 1])
                self._drained += confirmed
                meters.DRAINED.inc(confirmed)
        return at

    def _emptied(self, words: Words) -> float:
        at = self._spool.grant(LEASE if self._known else 0.0)
        if at is None:
            return 0.0
        words.say(at, 0, everywhere=True)
        _log.warning("spool.drained", signals=self._drained)
        self._drained = 0
        self._spool.tidy()
        self._show()
        return 0.0

    def _speak(self, words: Words) -> float:
        if not words.due or words.underway:
            return _LOOK / 2
        if not self._spool.takes:
            self._sign_off(words)
            return 5.0
        at = self._spool.grant(0.0 if self._spool.board.wished(LEASE) else LEASE)
        if at is None:
            return 0.0
        words.say(at, 0, everywhere=not self._known)
        if not self._known:
            words.confirmed()
            self._spool.introduce()
            self._known = True
            _log.info("spool.introduced", machine=self._spool.name)
        return _LOOK / 2

    def _sign_off(self, words: Words) -> None:
        """First the spool becomes unusable, then trigger is told."""
        if not self._spool.sign_off():
            return
        self._known = False
        words.say(self._clock.now(), 0, leaving=True)
        words.confirmed()
        _log.info("spool.signed_off", machine=self._spool.name)

    def _show(self) -> None:
        standing = self._spool.standing()
        self._shown, self._waiting = stopwatch(), standing.signals
        meters.SPOOL_SIGNALS.set(standing.signals)
        meters.SPOOL_BYTES.set(standing.used)
        meters.SPOOL_BOUND.set(standing.bound)
        meters.SPOOL_OLDEST.set(0 if standing.oldest is None else standing.oldest / 1_000_000)


def _message(word: SpoolWord) -> Message:
    return Message(
        exchange=PARTITIONS,
        routing_key=partition_key(word.partition),
        body=encode(word),
        message_id=f"{SPOOL_ID_PREFIX}{word.partition}:{word.machine}:{word.number}",
        content_type=SPOOL_WORD_TYPE,
    )
