"""Which kinds of signals came in lately, as trigger knows it."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.times import from_rfc3339
from services.config.triggering import TriggerAway, TriggerClient, TriggerRefused
from shared.http import NotFound

Received = Mapping[str, int]
"""Kind of signal, `cart/add` → when the latest one was received (µs)."""


def received_kinds(trigger: TriggerClient, within: float | None = None) -> Received | None:
    """The kinds that any audience configuration has received; None where trigger does not tell: not known is not no."""
    try:
        items = trigger.get("/api/v1/signals/kinds", within=within)["items"]
    except (TriggerAway, NotFound, TriggerRefused):
        return None
    found: dict[str, int] = {}
    for item in items:
        found[item["kind"]] = max(found.get(item["kind"], 0), from_rfc3339(item["lastReceivedAt"]))
    return found
