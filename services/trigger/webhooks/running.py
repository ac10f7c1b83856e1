"""Webhooks in the trigger worker: two threads with a database pool of their own, which hold nobody up."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import structlog

from contracts.times import SECOND
from services.trigger.store.rows import Rows
from services.trigger.webhooks.dispatch import Dispatcher, Rules
from services.trigger.webhooks.sending import Sender
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from services.trigger.webhooks.takeup import TakeUp
from services.trigger.webhooks.targets import Guard
from shared.broker import Broker, BrokerError, Publisher
from shared.clock import Clock, stopwatch
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, open_database

_log = structlog.get_logger("trigger.webhooks")
_LONGEST_REST = 1.0
_SHORTEST_REST = 0.02
"""Answers that come close together are recorded in one transaction."""
_PAUSE_AFTER_FAULT = 1.0
_GRACE = 3.0


def rules_of(settings: Settings) -> Rules:
    """How deliveries are made by these settings."""
    return Rules(
        timeout=settings.webhook_timeout,
        concurrency=settings.webhook_concurrency,
        endpoint_concurrency=settings.webhook_endpoint_concurrency,
        factor=settings.webhook_retry_factor,
        disable_after=settings.webhook_disable_after,
    )


def guard_of(settings: Settings) -> Guard:
    """Where webhooks may lead by these settings."""
    return Guard(settings.webhook_allowed_networks, plain_http=settings.webhook_plain_http)


def sender_of(settings: Settings, guard: Guard) -> Sender:
    """Sends by these settings."""
    return Sender(guard, settings.webhook_timeout / SECOND)


class Webhooks:
    """Takes events up and sends them, between `start` and `stop`."""

    def __init__(self, settings: Settings, clock: Clock, broker: Broker, publisher: Publisher) -> None:
        self._database = open_database(settings.trigger_database_url, schema="moments_trigger")
        rows = Rows(self._database)
        subscriptions, deliveries = SubscriptionRows(rows), DeliveryRows(rows)
        sender = sender_of(settings, guard_of(settings))
        self._clock = clock
        self._ended = threading.Event()
        self._dispatcher = Dispatcher(subscriptions, deliveries, sender, clock, rules_of(settings), random.random)
        nudge, most = self._dispatcher.wake.set, settings.webhook_most_waiting
        name, pepper = settings.trigger_name, settings.secret_pepper
        self._take_up = TakeUp(subscriptions, deliveries, broker, publisher, clock, name, nudge, most, pepper)
        self._threads = [
            threading.Thread(target=self._keep_on, args=(work,), name=name, daemon=True)
            for name, work in (
                ("webhooks-take-up", lambda: self._take_up.work(self._ended)),
                ("webhooks-dispatch", self._dispatch),
            )
        ]

    def start(self) -> None:
        """Begin; the tables must stand."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End soon; requests that are underway get a little time, and are made again later if that is not enough."""
        self._ended.set()
        self._dispatcher.wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * _GRACE)
        close_database(self._database)

    def _dispatch(self) -> None:
        while not self._ended.is_set():
            self._dispatcher.wake.clear()
            due = self._dispatcher.turn()
            rest = _LONGEST_REST if due is None else (due - self._clock.now()) / SECOND
            self._dispatcher.wake.wait(min(max(rest, _SHORTEST_REST), _LONGEST_REST))
            self._ended.wait(_SHORTEST_REST)
        self._finish()

    def _finish(self) -> None:
        end = stopwatch() + _GRACE
        while self._dispatcher.flying and stopwatch() < end:
            self._dispatcher.wake.wait(0.1)
            self._dispatcher.wake.clear()
            self._dispatcher.record()

    def _keep_on(self, work: Callable[[], None]) -> None:
        """Do it again after every fault, until the end."""
        while not self._ended.is_set():
            try:
                with connected(self._database):
                    work()
            except Exception as error:
                passing = isinstance(error, (*STORE_FAULTS, BrokerError))
                _log.warning("webhooks.interrupted", error=type(error).__name__, exc_info=None if passing else error)
                self._ended.wait(_PAUSE_AFTER_FAULT)
