"""Metrics of webhooks, read from the database when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from contracts.times import SECOND
from services.trigger.store.rows import Rows
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from shared.clock import Clock
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.webhooks")


class WebhookGauges(Collector):
    """Collected at each scrape; nothing while the database is away, which `moments_trigger_database_up` tells."""

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._subscriptions = SubscriptionRows(rows)
        self._deliveries = DeliveryRows(rows)
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this instant."""
        try:
            with connected(self._deliveries.rows.database):
                found = [*self._switches(), *self._outcomes(), *self._waiting()]
        except STORE_FAULTS as error:
            _log.warning("webhooks.gauges_unreadable", error=type(error).__name__)
            found = []
        yield from found

    def _switches(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("moments_webhooks", "Webhooks, by whether they are enabled.", labels=("state",))
        switches = Counter(self._subscriptions.switches().values())
        family.add_metric(("enabled",), switches[True])
        family.add_metric(("disabled",), switches[False])
        yield family

    def _outcomes(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "moments_webhook_outcomes",
            "Events taken up, delivered, dead, dropped; attempts failed; times disabled by itself.",
            labels=("webhook", "outcome"),
        )
        for subscription_id, counter, value in self._subscriptions.counters():
            family.add_metric((subscription_id, counter), value)
        yield family

    def _waiting(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("moments_webhook_waiting", "Deliveries that are not finished.", labels=("webhook",))
        oldest = GaugeMetricFamily(
            "moments_webhook_oldest_waiting_seconds", "Age of the oldest unfinished delivery.", labels=("webhook",)
        )
        now = self._clock.now()
        for subscription_id, count, taken_at in self._deliveries.waiting():
            waiting.add_metric((subscription_id,), count)
            oldest.add_metric((subscription_id,), max(0, now - taken_at) / SECOND)
        yield waiting
        yield oldest
