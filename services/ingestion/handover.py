"""Hands the messages of a request to the broker, or to the spool when it is away; either way they are durable."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from services.ingestion import meters
from services.ingestion.spool.board import Mode
from services.ingestion.spool.store import LEASE, Outcome, Spool
from shared.broker import BrokerError, BrokerUnavailable, Message, Publisher
from shared.clock import stopwatch

_log = structlog.get_logger(__name__)

CONFIRMED_WITHIN = 5.0
_AT_ONCE = 2_500
"""Messages of a request; of each signal there are up to three, with those that tell whose it is."""
_CLOSES_WITHIN = 1.0
_LOOK_AGAIN = 0.002
_SLACK = 0.01


Owner = tuple[str, str, str]
"""A customer: configuration, idType, normalised value."""


class Handover:
    """One per process; used by all request threads. Without a spool it only publishes."""

    def __init__(self, publisher: Publisher, spool: Spool | None = None) -> None:
        self._publisher = publisher
        self._spool = spool

    def take(self, messages: Sequence[Message], owners: Sequence[Owner]) -> list[bool]:
        """Whether each is stored in time. Another may still arrive; the sender's repetition is absorbed.

        `owners`: the customers whom they are about, one for each.
        """
        if not messages:
            return []
        spool = self._spool
        if spool is None:
            return [error is None for error in self._publish(messages)]
        if spool.filled:
            outcome = self._put_behind(spool, messages, owners)
            if outcome is not Outcome.DIRECT:
                return [outcome is Outcome.KEPT] * len(messages)
        began = stopwatch()
        errors = self._publish(messages)
        away = [place for place, error in enumerate(errors) if isinstance(error, BrokerUnavailable | TimeoutError)]
        stored = [error is None for error in errors]
        if away and self._put(spool, messages, owners, away, began + CONFIRMED_WITHIN + LEASE):
            for place in away:
                stored[place] = True
        return stored

    def _publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """In parts that leave room for others in the publisher: all of a large request would be refused for ever."""
        began = stopwatch()
        errors: list[Exception | None] = []
        for start in range(0, len(messages), _AT_ONCE):
            together = self._publisher.publish_together(messages[start : start + _AT_ONCE])
            errors += together.wait(CONFIRMED_WITHIN - (stopwatch() - began))
        meters.CONFIRMED.observe(stopwatch() - began)
        for error in errors:
            if error is not None and not isinstance(error, BrokerError | TimeoutError):
                raise error
        return errors

    def _put_behind(self, spool: Spool, messages: Sequence[Message], owners: Sequence[Owner]) -> Outcome:
        """Keep them behind those that wait; while the last of these leave, wait for that, to keep the order."""
        until = stopwatch() + _CLOSES_WITHIN
        while spool.board.mode is Mode.CLOSING and stopwatch() < until:
            time.sleep(_LOOK_AGAIN)
        if not spool.filled:
            return Outcome.DIRECT
        return _counted(spool.put(_rows(spool, messages, owners)), len(messages))

    def _put(
        self, spool: Spool, messages: Sequence[Message], owners: Sequence[Owner], places: list[int], until: float
    ) -> bool:
        """Keep those that the broker did not take, once no promise to trigger is in the way any more."""
        spool.board.wish()
        rows = _rows(spool, [messages[place] for place in places], [owners[place] for place in places])
        while True:
            outcome = spool.put(rows)
            if outcome is not Outcome.DIRECT or not spool.takes:
                return _counted(outcome, len(rows)) is Outcome.KEPT
            pause = spool.lease_left() + _SLACK
            if stopwatch() + pause > until:
                return False
            time.sleep(pause)


def _rows(spool: Spool, messages: Sequence[Message], owners: Sequence[Owner]) -> list[tuple[bytes, Message]]:
    return [(spool.person(*owner), message) for owner, message in zip(owners, messages, strict=True)]


def _counted(outcome: Outcome, signals: int) -> Outcome:
    if outcome is Outcome.KEPT:
        meters.SPOOLED.inc(signals)
    elif outcome is not Outcome.DIRECT:
        meters.NOT_SPOOLED.labels(outcome.value).inc(signals)
    return outcome
