"""Replays of refused signals, which trigger keeps, as the app asks for them: each stands in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.config.access import actor
from services.config.audit import Audit
from services.config.store import ConfigStore
from services.config.triggering import TriggerClient
from shared.clock import Clock

PATH = "/api/v1/refusals"
KIND = "replay"


class Replays:
    """All raise TriggerAway; unknown ids are NotFound. `wanted`: `ids` of refused signals, or `where` they are alike.

    The audit log is written after trigger has taken the wish, which names who asked, too.
    """

    def __init__(self, trigger: TriggerClient, audit: Audit, store: ConfigStore, clock: Clock) -> None:
        self._trigger = trigger
        self._audit = audit
        self._store = store
        self._clock = clock

    def preview(self, wanted: Mapping[str, Any]) -> int:
        """How many refused signals would be replayed; raises TriggerRefused."""
        return int(self._trigger.post(f"{PATH}/replay/preview", wanted)["found"])

    def ask(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for it; raises TriggerConflict when there is nothing that can be replayed."""
        asked = self._trigger.post(f"{PATH}/replay", {**wanted, "by": actor()})
        named = {"id": asked["id"], "name": f"{asked['found']} refused signals", "wanted": asked["wanted"]}
        with self._store.transaction():
            self._audit.document(KIND, "ask for replay", None, named, self._clock.now())
        return asked

    def get(self, replay_id: str) -> dict[str, Any]:
        """How far one is."""
        return self._trigger.get(f"{PATH}/replays/{replay_id}")

    def latest(self) -> list[dict[str, Any]]:
        """The latest ones, the newest first."""
        found: list[dict[str, Any]] = self._trigger.get(f"{PATH}/replays")["items"]
        return found
