"""The parts of a running config service, as its views reach them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from services.config.audit import Audit
from services.config.configurations import Configurations
from services.config.ingesting import IngestionClient
from services.config.journeys import Journeys
from services.config.live import LivePages
from services.config.moments import Moments
from services.config.once import ShownOnce
from services.config.previews import Previews
from services.config.replays import Replays
from services.config.suppressions import Suppressions
from services.config.triggering import TriggerClient
from services.config.webhooks import Webhooks
from shared.clock import Clock

EXTENSION = "moments-config"


@dataclass(frozen=True, slots=True)
class Program:
    """What views call. `environment`: what the operator calls this installation, shown on every page.

    `sample_shop`: where the demo's shop is; empty where there is none.
    """

    configurations: Configurations
    moments: Moments
    audit: Audit
    previews: Previews
    trigger: TriggerClient
    live: LivePages
    webhooks: Webhooks
    replays: Replays
    journeys: Journeys
    clock: Clock
    ingestion: IngestionClient
    suppressions: Suppressions
    environment: str = ""
    sample_shop: str = ""
    secrets: ShownOnce = field(default_factory=ShownOnce)


def program() -> Program:
    """The parts behind the present request."""
    return cast(Program, current_app.extensions[EXTENSION])
