"""The event that the test of a webhook sends: a moment event in shape, of a type that no journey acts on."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from contracts.times import HOUR, to_rfc3339
from services.trigger.webhooks.resources import Subscription

SAMPLE_TYPE = "webhook.test"


def sample_event(subscription: Subscription, now: int) -> tuple[str, bytes]:
    """An id and the bytes of a sample for a webhook."""
    identity = str(uuid.uuid4())
    event = {
        "specversion": "1.0",
        "id": identity,
        "source": "moments/trigger",
        "type": SAMPLE_TYPE,
        "time": to_rfc3339(now),
        "datacontenttype": "application/json",
        "data": {**_DATA, **_times(now), "attributes": {"webhook": subscription.id, "sample": True}},
    }
    return identity, msgspec.json.encode(event)


def _times(now: int) -> dict[str, str]:
    moved = {"openedAt": 3 * HOUR, "lastActivityAt": 2 * HOUR, "dueAt": 0, "raisedAt": 0}
    return {name: to_rfc3339(now - span) for name, span in moved.items()}


_DATA: dict[str, Any] = {
    "moment": {"id": "00000000-0000-0000-0000-000000000000", "name": "Sample", "type": "cart_abandon"},
    "audienceConfiguration": {"id": "00000000-0000-0000-0000-000000000000", "name": "Sample shop"},
    "audience": {"id": "sample", "name": "Sample audience"},
    "profile": {"idType": "email", "id": "sample@example.com"},
    "site": "shop.example.com",
    "process": {"kind": "cart", "id": "sample"},
    "content": {
        "items": [{"productId": "mug", "name": "Blue mug", "quantity": 2, "price": 12.5, "currency": "EUR"}],
        "total": 25.0,
        "currency": "EUR",
    },
    "raiseNumber": 1,
    "signalIds": ["sample"],
}
