"""The Moments app: what a marketer opens. Pages are rendered here; scripts only add to them (decision 030)."""

from __future__ import annotations

from flask import Blueprint

from services.config.ui.assets import assets
from services.config.ui.frame import set_up_frame
from services.config.ui.pages import (
    account,
    audit,
    configuration_keys,
    configurations,
    erasures,
    explanation,
    journeys,
    key_limits,
    moment_actions,
    moment_bulk,
    new_moment,
    overview,
    profiles,
    properties,
    replays,
    reporting,
    segment_events,
    settings,
    signals,
    suppressions,
    tokens,
    users,
    webhook_log,
)

__all__ = ["PAGES", "set_up_frame"]

PAGES: tuple[Blueprint, ...] = (
    assets,
    configurations.blueprint,
    configuration_keys.blueprint,
    account.blueprint,
    audit.blueprint,
    erasures.blueprint,
    explanation.blueprint,
    journeys.blueprint,
    key_limits.blueprint,
    moment_actions.blueprint,
    moment_bulk.blueprint,
    new_moment.blueprint,
    overview.blueprint,
    profiles.blueprint,
    properties.blueprint,
    replays.blueprint,
    reporting.blueprint,
    segment_events.blueprint,
    settings.blueprint,
    signals.blueprint,
    suppressions.blueprint,
    tokens.blueprint,
    users.blueprint,
    webhook_log.blueprint,
)
"""The pages, a blueprint each. To add one: a module in `pages/`, a file in `texts/en/`, a line here."""
