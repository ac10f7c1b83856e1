"""Moments: status table and the published state (DOMAIN §5)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Status = Literal["draft", "running", "stopped", "archived"]
STATUSES: tuple[Status, ...] = ("draft", "running", "stopped", "archived")

TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    "draft": ("running",),
    "running": ("stopped", "archived"),
    "stopped": ("running", "archived"),
    "archived": ("draft",),
}
"""Status → the statuses that it may change to."""

DELETABLE: tuple[Status, ...] = ("draft", "archived")
EDITABLE: tuple[Status, ...] = ("draft", "running", "stopped")


class SettingsVersion(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The settings in force from `since` (µs, config's clock) until the next version."""

    version: int
    since: int
    settings: dict[str, Any]


class MomentState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The published, full state of a moment. Readers keep the greatest `version`.

    `history`: every version of the settings in force during the last retention period, oldest first, the present
    one last. `running_since`: µs on config's clock of the present (or latest) start; None before the first.
    """

    id: str
    version: int
    type: str = ""
    name: str = ""
    description: str = ""
    configuration_id: str | None = None
    status: Status = "draft"
    running_since: int | None = None
    stopped_at: int | None = None
    history: tuple[SettingsVersion, ...] = ()
    deleted: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The present settings, as the API shows them."""
        return self.history[-1].settings if self.history else {}
