"""Webhooks, which trigger keeps and sends, as the app changes them: with an entry in the audit log for each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.config.audit import Audit
from services.config.store import ConfigStore
from services.config.triggering import TriggerClient
from shared.clock import Clock

PATH = "/api/v1/webhooks"
KIND = "webhook"
_TEST_PATIENCE = 35.0
"""Seconds for a test: an endpoint may take as long as an attempt may."""


class Webhooks:
    """The webhooks of this installation, as trigger's documents. All raise TriggerAway; unknown ids are NotFound.

    The audit log is written after trigger has made the change: a change of which the answer is lost is not in it.
    """

    def __init__(self, trigger: TriggerClient, audit: Audit, store: ConfigStore, clock: Clock) -> None:
        self._trigger = trigger
        self._audit = audit
        self._store = store
        self._clock = clock

    def page(self, cursor: str | None = None, limit: int = 50) -> dict[str, Any]:
        """A page of the list, the newest first: `items`, and `next` for the page after it."""
        return self._trigger.get(PATH, {"cursor": cursor, "limit": limit})

    def get(self, webhook_id: str) -> dict[str, Any]:
        """One webhook."""
        return self._trigger.get(f"{PATH}/{webhook_id}")

    def create(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Make a webhook; the answer holds its secret, this once. Raises TriggerRefused."""
        made = self._trigger.post(PATH, fields)
        self._note("create", None, made)
        return made

    def change(self, webhook_id: str, changes: Mapping[str, Any], version: int) -> dict[str, Any]:
        """Change some fields; raises TriggerRefused, and TriggerConflict when it is no longer of this version."""
        before = self.get(webhook_id)
        after = self._trigger.patch(f"{PATH}/{webhook_id}", changes, version)
        if after["version"] != before["version"]:
            self._note("change", before, after)
        return after

    def delete(self, webhook_id: str, version: int | None = None) -> None:
        """Delete it with its log; raises TriggerConflict when it is no longer of this version."""
        before = self.get(webhook_id)
        self._trigger.delete(f"{PATH}/{webhook_id}", version)
        self._note("delete", before, None)

    def rotate(self, webhook_id: str, overlap_seconds: int) -> dict[str, Any]:
        """Another secret, which the answer holds this once; the former one signs too for the overlap."""
        before = self.get(webhook_id)
        after = self._trigger.post(f"{PATH}/{webhook_id}/rotate-secret", {"overlapSeconds": overlap_seconds})
        self._note("rotate secret", before, after)
        return after

    def test(self, webhook_id: str) -> dict[str, Any]:
        """Send a sample now; what came back."""
        return self._trigger.post(f"{PATH}/{webhook_id}/test", {}, within=_TEST_PATIENCE)

    def deliveries(self, webhook_id: str, state: str, cursor: str | None = None, limit: int = 50) -> dict[str, Any]:
        """A page of the delivery log, the newest first."""
        query = {"state": state, "cursor": cursor, "limit": limit}
        return self._trigger.get(f"{PATH}/{webhook_id}/deliveries", query)

    def delivery(self, webhook_id: str, delivery_id: int) -> dict[str, Any]:
        """One delivery with its event."""
        return self._trigger.get(f"{PATH}/{webhook_id}/deliveries/{delivery_id}")

    def redeliver(self, webhook_id: str, delivery_id: int) -> None:
        """Send one again, whatever became of it."""
        self._trigger.post(f"{PATH}/{webhook_id}/deliveries/{delivery_id}/redeliver", {})

    def redeliver_dead(self, webhook_id: str) -> int:
        """Send all dead letters again; how many."""
        return int(self._trigger.post(f"{PATH}/{webhook_id}/redeliver", {})["redelivered"])

    def _note(self, action: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        with self._store.transaction():
            self._audit.document(KIND, action, before, after, self._clock.now())
