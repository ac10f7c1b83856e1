"""Taking up: from the queue of webhooks into deliveries, one for each subscription that wants the event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import msgspec
import structlog

from contracts.erasures import subject_of
from contracts.times import from_rfc3339
from contracts.topology import JOURNEYS, WEBHOOKS, WEBHOOKS_QUEUE, Binding
from services.trigger.about import profile_in
from services.trigger.dead_letters import dead_letter
from services.trigger.engine.application import ProfileId
from services.trigger.store.erasures import erased_since
from services.trigger.store.keys import profile_key
from services.trigger.webhooks.patterns import matches
from services.trigger.webhooks.store.deliveries import DeliveryRows, Taken
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from shared.broker import Broker, Consumer, Delivery, Publisher
from shared.clock import Clock, stopwatch

_log = structlog.get_logger("trigger.webhooks")
BATCH = 500
_WAIT = 0.25
_LOOK_EVERY = 0.5
_BIND_AGAIN_EVERY = 60.0
_BINDER_LEASE = 30_000_000
_CONFIRM = 10.0
_FAR = 2**62
_LONGEST_TEXT = 1_000
_COUNT_EVERY = 1_000
"""Counting what waits costs some milliseconds, so it is done once for so many events."""


class _Envelope(msgspec.Struct):
    """What is read of an event: its name, and whose it is."""

    id: str
    source: str
    time: str = ""
    data: Any = None


_envelope = msgspec.json.Decoder(_Envelope)


@dataclass(frozen=True, slots=True)
class _Event:
    """`at`: when what it tells of was received or decided, µs."""

    source: str
    id: str
    profile: ProfileId | None
    at: int


class Unreadable(ValueError):
    """The message is no event."""


class TakeUp:
    """Binds the queue to what subscriptions want, and empties it. Used by one thread."""

    def __init__(  # noqa: PLR0913, PLR0917
        self, rows: SubscriptionRows, deliveries: DeliveryRows, broker: Broker, publisher: Publisher, clock: Clock,
        name: str, nudge: Callable[[], None], most_waiting: int, pepper: bytes,
    ) -> None:  # fmt: skip
        self._rows = rows
        self._deliveries = deliveries
        self._broker = broker
        self._publisher = publisher
        self._clock = clock
        self._name = name
        self._nudge = nudge
        self._most_waiting = most_waiting
        self._pepper = pepper
        self._unwatched: Counter[str] = Counter()
        self._revision = -1
        self._looked_at = self._bound_at = -_BIND_AGAIN_EVERY
        self._wanted: frozenset[str] = frozenset()

    def work(self, ended: Event) -> None:
        """Bind and take until the end, or a fault. Once nothing is wanted the queue is emptied, then left alone.

        Emptied, so that a webhook made weeks later does not get what lies there.
        """
        self._bound_at = -_BIND_AGAIN_EVERY
        first = True
        while not ended.is_set():
            self.look()
            if self._wanted or first:
                self._consume(ended)
            first = False
            ended.wait(_LOOK_EVERY)

    def _consume(self, ended: Event) -> None:
        consumer = self._broker.consumer([WEBHOOKS], prefetch=2 * BATCH)
        try:
            idle = False
            while not ended.is_set() and (self._wanted or not idle or self._broker.depth(WEBHOOKS)):
                self.look()
                idle = not self.take_some(consumer)
        finally:
            consumer.drop()

    def take_some(self, consumer: Consumer) -> int:
        """One batch: a transaction, then the acknowledgement; returns how many messages."""
        deliveries = consumer.receive(BATCH, _WAIT)
        if deliveries:
            self._take(deliveries)
            consumer.ack(deliveries[-1])
        return len(deliveries)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        readable: list[tuple[Delivery, _Event]] = []
        for delivery in deliveries:
            try:
                readable.append((delivery, _read(delivery)))
            except Unreadable as error:
                self._bury(delivery, str(error))
        with self._rows.rows.database.atomic():
            subscriptions = self._rows.enabled()
            erased = self._erased([event for _, event in readable])
            wanted = [
                Taken(
                    subscription_id=each.id,
                    source=event.source,
                    event_id=event.id,
                    type=delivery.routing_key,
                    profile_key=None if event.profile is None else profile_key(event.profile),
                    body=delivery.body,
                )
                for delivery, event in readable
                for each in subscriptions
                if matches(each.patterns, delivery.routing_key) and event not in erased
            ]
            new = self._deliveries.add(wanted, self._clock.now())
            self._rows.count_up(Counter((each.subscription_id, "taken") for each in new))
        if new:
            self._nudge()
            self._bound_waiting(new)

    def _erased(self, events: Sequence[_Event]) -> set[_Event]:
        """Those that tell of a customer who was erased since."""
        if not self._rows.rows.execute("SELECT 1 FROM erasures LIMIT 1"):
            return set()
        subjects = {event: subject_of(self._pepper, *event.profile) for event in events if event.profile is not None}
        known = erased_since(self._rows.rows, set(subjects.values()))
        return {event for event, subject in subjects.items() if event.at <= known.get(subject, -1)}

    def _bound_waiting(self, new: Sequence[Taken]) -> None:
        """Now and then, see that what waits for an endpoint that is away stays bounded: the oldest go."""
        self._unwatched.update(each.subscription_id for each in new)
        for subscription_id in [key for key, count in self._unwatched.items() if count >= _COUNT_EVERY]:
            del self._unwatched[subscription_id]
            surplus = self._deliveries.surplus(subscription_id, self._most_waiting)
            if surplus:
                _log.warning("webhooks.dropped", webhook=subscription_id, deliveries=surplus)
            while surplus > 0:
                with self._rows.rows.database.atomic():
                    gone = self._deliveries.drop_oldest(subscription_id, surplus)
                    self._rows.count_up(Counter({(subscription_id, "dropped"): gone}))
                surplus = surplus - gone if gone else 0

    def look(self) -> None:
        """Now and then: bind what is wanted and unbind what is not, when something has changed."""
        now = stopwatch()
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        revision = self._rows.revision()
        if (revision != self._revision or now - self._bound_at >= _BIND_AGAIN_EVERY) and self._bind(revision):
            self._revision, self._bound_at = revision, now

    def _bind(self, revision: int) -> bool:
        """One process binds at a time: a slow one must not unbind what another has bound meanwhile.

        A pattern is noted before it is bound and until it is unbound, so that none is left bound after a crash.
        """
        rows, now = self._rows, self._clock.now()
        with rows.rows.database.atomic():
            if not rows.claim_binder(self._name, now, now + _BINDER_LEASE):
                return False
            wanted = {pattern for each in rows.enabled() for pattern in each.patterns}
            rows.note_bound(wanted)
            surplus = sorted(rows.bound() - wanted)
        self._broker.declare_queue(WEBHOOKS_QUEUE, _bindings(sorted(wanted)))
        if surplus:
            self._broker.unbind(_bindings(surplus))
        with rows.rows.database.atomic():
            rows.forget_bound(surplus)
            rows.release_binder(self._name, revision)
        self._wanted = frozenset(wanted)
        return True

    def _bury(self, delivery: Delivery, reason: str) -> None:
        _log.error("webhooks.unreadable", routing_key=delivery.routing_key[:200], reason=reason)
        self._publisher.publish(dead_letter(delivery.body, WEBHOOKS, reason)).result(_CONFIRM)


def _bindings(patterns: Iterable[str]) -> list[Binding]:
    return [Binding(JOURNEYS, WEBHOOKS, pattern) for pattern in patterns]


def _read(delivery: Delivery) -> _Event:
    try:
        found = _envelope.decode(delivery.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"no event: {error}") from error
    if not found.id or any("\0" in text or len(text) > _LONGEST_TEXT for text in (found.id, found.source)):
        raise Unreadable("no event: its id or its source cannot be kept")
    return _Event(found.source, found.id, profile_in(found.data), _instant(found))


def _instant(found: _Envelope) -> int:
    """When it was received or decided: the time of a signal is its sender's."""
    received = found.data.get("receivedAt") if type(found.data) is dict else None
    try:
        return from_rfc3339(received if type(received) is str else found.time)
    except ValueError:
        return _FAR
