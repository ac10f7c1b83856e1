"""Dispatching: due deliveries are claimed, sent by short-lived threads, and what came back is recorded.

All rows are read and written by the one thread that calls `turn`; the sending threads touch no database. A claim ends
by itself, so that what a killed process held is sent again by whoever claims it next: at least once.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from contracts.times import SECOND
from services.trigger.webhooks.resources import Answer, Attempt, Claimed, Subscription
from services.trigger.webhooks.sending import Sender
from services.trigger.webhooks.signatures import signed_headers
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from services.trigger.webhooks.verdicts import Verdict, judge
from shared.clock import Clock

_log = structlog.get_logger("trigger.webhooks")
_LEASE_FACTOR = 3
_AT_MOST_AT_ONCE = 1
"""Requests at a time to an endpoint that fails: it keeps the places of the others free, and gets a chance to rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How deliveries are made. `timeout` and `disable_after` in µs; `factor` stretches the pauses between attempts."""

    timeout: int
    concurrency: int
    endpoint_concurrency: int
    factor: float
    disable_after: int

    @property
    def lease(self) -> int:
        """How long a claim holds: well longer than any request lasts."""
        return _LEASE_FACTOR * self.timeout


@dataclass(frozen=True, slots=True)
class _Result:
    claimed: Claimed
    at: int
    answer: Answer


class Dispatcher:
    """Sends what is due, bounded overall and for each endpoint. `chance`: a draw from 0 to 1."""

    def __init__(
        self, subscriptions: SubscriptionRows, deliveries: DeliveryRows, sender: Sender, clock: Clock, rules: Rules,
        chance: Callable[[], float],
    ) -> None:  # fmt: skip
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._rules = rules
        self._chance = chance
        self._results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._unrecorded: list[_Result] = []
        self._flying: Counter[str] = Counter()
        self._turns: dict[str, int] = {}
        self._count = 0
        self.wake = threading.Event()

    @property
    def flying(self) -> int:
        """Requests that are underway."""
        return self._flying.total()

    def turn(self) -> int | None:
        """Record what came back, claim and send what is due; when something is due next (µs), None when nothing is.

        Raises what the store raises; what came back is then recorded by a later turn.
        """
        self.record()
        due = self._deliveries.due()
        subscriptions = [each for each in self._subscriptions.enabled() if each.id in due] if due else []
        now = self._clock.now()
        dues = {each.id: max(due[each.id], each.paused_until) for each in subscriptions}
        self._send_due([each for each in subscriptions if dues[each.id] <= now], now)
        return min((at for at in dues.values() if at > now), default=None)

    def _send_due(self, ready: list[Subscription], now: int) -> None:
        """Fill the free places; a webhook that had less than it was given leaves the rest to the others."""
        while places := self._places(ready):
            offered = [each for each in ready if places[each.id]]
            with self._deliveries.rows.database.atomic():
                claimed = [self._claim(each, places[each.id], now) for each in offered]
            empty = {each.id for each, found in zip(offered, claimed, strict=True) if len(found) < places[each.id]}
            ready = [each for each in ready if each.id not in empty]
            for found in claimed:
                self._start(found)

    def _places(self, ready: list[Subscription]) -> Counter[str]:
        """Webhook → how many requests it may begin.

        Each free place goes to the one with the fewest, and of these to the one that waits longest for its turn, so
        that slow ones with much to get starve nobody.
        """
        places: Counter[str] = Counter()
        for _ in range(self._rules.concurrency - self.flying):
            open_ones = [each.id for each in ready if self._flying[each.id] + places[each.id] < self._limit(each)]
            if not open_ones:
                break
            chosen = min(open_ones, key=lambda each: (self._flying[each] + places[each], self._turns.get(each, 0)))
            self._count += 1
            self._turns[chosen] = self._count
            places[chosen] += 1
        return places

    def _limit(self, subscription: Subscription) -> int:
        return _AT_MOST_AT_ONCE if subscription.failing_since is not None else self._rules.endpoint_concurrency

    def _claim(self, subscription: Subscription, most: int, now: int) -> list[Claimed]:
        return self._deliveries.claim(subscription, most, now, now + self._rules.lease, uuid.uuid4().hex)

    def _start(self, claimed: list[Claimed]) -> None:
        for each in claimed:
            self._flying[each.subscription.id] += 1
            threading.Thread(target=self._send, args=(each,), name="webhook", daemon=True).start()

    def _send(self, claimed: Claimed) -> None:
        """In a thread of its own."""
        at = self._clock.now()
        headers = signed_headers(claimed.event_id, at, claimed.body, claimed.subscription.secrets(at))
        answer = self._sender.send(claimed.subscription.url, headers, claimed.body)
        self._results.put(_Result(claimed, at, answer))
        self.wake.set()

    def record(self) -> None:
        """Write what came back since the last time, in one transaction."""
        while not self._results.empty():
            result = self._results.get()
            self._flying[result.claimed.subscription.id] -= 1
            self._unrecorded.append(result)
        self._flying = +self._flying
        if not self._unrecorded:
            return
        counts: Counter[tuple[str, str]] = Counter()
        with self._deliveries.rows.database.atomic():
            self._deliveries.add_attempts([(each.claimed.id, _attempt(each)) for each in self._unrecorded])
            for each in self._unrecorded:
                self._settle(each, counts)
            self._subscriptions.count_up(counts)
        self._unrecorded.clear()

    def _settle(self, result: _Result, counts: Counter[tuple[str, str]]) -> None:
        claimed, answer, now = result.claimed, result.answer, self._clock.now()
        verdict = judge(answer, claimed.attempts + 1, now, self._rules.factor, self._chance())
        identity = claimed.subscription.id
        if verdict.state == "delivered":
            # Whoever holds the delivery by now: the endpoint has it.
            counts[identity, "delivered"] += self._deliveries.finish(claimed.id, "delivered", now, None)
            self._subscriptions.succeeded(identity)
            return
        counts[identity, "failed"] += 1
        if verdict.next_at is not None:
            self._deliveries.postpone(claimed.id, verdict.next_at, claimed.claim)
        else:
            counts[identity, "dead"] += self._deliveries.finish(claimed.id, "dead", now, claimed.claim)
        self._subscriptions.failed(identity, result.at, verdict.pause_until)
        counts[identity, "disabled"] += self._disable(identity, verdict, now)
        _log.debug("webhooks.failed", webhook=identity, delivery=claimed.id, state=verdict.state, error=answer.error)

    def _disable(self, identity: str, verdict: Verdict, now: int) -> bool:
        """Stop sending to an endpoint that is gone, or has failed for long without a success."""
        if verdict.gone:
            done, reason = self._subscriptions.disable(identity, "gone", now), "gone"
        else:
            before = now - self._rules.disable_after
            done, reason = self._subscriptions.disable(identity, "failing", now, failing_before=before), "failing"
        if done:
            _log.warning("webhooks.disabled", webhook=identity, reason=reason)
        return done


def _attempt(result: _Result) -> Attempt:
    answer = result.answer
    return Attempt(at=result.at, duration=int(answer.seconds * SECOND), status=answer.status, error=answer.error)
