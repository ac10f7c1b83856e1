"""Deliveries of webhooks: the log."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.webhooks.forgetting import forget
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows


def forget_deliveries(house: House) -> Iterator[int]:
    """Forget the deliveries that ended before the time for which their log is kept, and those without a webhook."""
    before = house.now - house.settings.webhook_log
    return forget(SubscriptionRows(house.rows), DeliveryRows(house.rows), before)
