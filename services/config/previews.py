"""What a change of a moment would do: refused as the change itself, then told by trigger; nothing is saved."""

from __future__ import annotations

from typing import Any

from contracts.times import to_rfc3339
from services.config.moments import Moments
from services.config.triggering import TriggerClient
from shared.clock import Clock
from shared.conditions import Expected

_NOTHING_WAITS: dict[str, Any] = {
    **dict.fromkeys(("pending", "moved", "earlier", "later", "dueAtOnce", "suppressed"), 0),
    "spreadUntil": None,
    "raisesInNextHour": {"before": 0, "after": 0},
    "exact": True,
}


class Previews:
    """Previews of changes."""

    def __init__(self, moments: Moments, trigger: TriggerClient, clock: Clock) -> None:
        self._moments = moments
        self._trigger = trigger
        self._clock = clock

    def of(self, moment_id: str, change: dict[str, Any], expected: Expected) -> dict[str, Any]:
        """The preview of a change of fields, settings and `status`.

        Raises what the change itself would raise, and TriggerAway. A moment that has never run has no waits: trigger
        need not be asked.
        """
        fields = {name: value for name, value in change.items() if name != "status"}
        former, wanted = self._moments.foreseen(moment_id, fields, change.get("status"), expected)
        if former.has_run:
            thought = {"settings": _cleared(former.settings, wanted.settings), "status": wanted.status}
            waits = self._trigger.preview(moment_id, thought)
        else:
            waits = {"asOf": to_rfc3339(self._clock.now()), **_NOTHING_WAITS}
        return {**waits, "version": former.version, "status": wanted.status, "settings": wanted.settings}


def _cleared(former: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted settings for merging: what is cleared is null."""
    return {**dict.fromkeys(former), **wanted}
