"""Retention: what is deleted of deliveries. Each step is one chunk, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.store.subscriptions import SubscriptionRows


def forget(subscriptions: SubscriptionRows, deliveries: DeliveryRows, before: int) -> Iterator[int]:
    """Delete what was finished before an instant, what a disabled webhook holds since then, and what has no webhook.

    Yields how many deliveries went, after each chunk. Their attempts go with them.
    """
    while gone := deliveries.forget_finished(before):
        yield gone
    enabled = subscriptions.switches()
    for owner in deliveries.owners():
        while gone := _unwanted(deliveries, owner, enabled.get(owner), before):
            yield gone
    subscriptions.forget_counters()


def forget_profile(deliveries: DeliveryRows, profile_key: bytes) -> Iterator[int]:
    """Delete what is about a profile, whatever its state; yields how many deliveries went, after each chunk."""
    while gone := deliveries.forget_profile(profile_key):
        yield gone


def _unwanted(deliveries: DeliveryRows, owner: str, enabled: bool | None, before: int) -> int:
    if enabled is None:
        return deliveries.forget_all(owner)
    return 0 if enabled else deliveries.forget_held(owner, before)
