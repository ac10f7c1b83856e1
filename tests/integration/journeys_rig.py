"""Config's pages over trigger's webhooks: a real broker, a real database, and an endpoint that receives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.clock import Clock, SystemClock
from tests.integration.webhook_rig import TOKEN, WebhookRig
from tests.support.browsing import Browser, make_administrator
from tests.support.configuring import Client, running_config
from tests.support.endpoint import Endpoint, endpoint
from tests.support.serving import served


@dataclass(frozen=True, slots=True)
class Journeying:
    """An installation of which webhooks run. `browser`: of an administrator; `journey`: an endpoint that receives."""

    config: Client
    hooks: WebhookRig
    browser: Browser
    journey: Endpoint

    def make(self, name: str = "E-mail journey", *patterns: str, **fields: Any) -> dict[str, Any]:
        """A webhook to the endpoint."""
        made: dict[str, Any] = self.hooks.call(
            "POST", status=201, name=name, url=self.journey.url, patterns=list(patterns) or ["moment.#"], **fields
        )
        return made

    def audit(self, hook: dict[str, Any]) -> list[dict[str, Any]]:
        """What the audit log tells of a webhook, the newest first."""
        found: list[dict[str, Any]] = self.config.get("/api/v1/audit?kind=webhook&pageSize=100")["items"]
        return [entry for entry in found if entry["resourceId"] == hook["id"]]

    def called(self, name: str) -> list[dict[str, Any]]:
        """The webhooks of a name."""
        return [each for each in self.hooks.call("GET", "?limit=200")["items"] if each["name"] == name]


@contextmanager
def journeys_rig(folder: Path, clock: Clock | None = None, **variables: str) -> Iterator[Journeying]:
    """The installation on the embedded broker and SQLite."""
    url = f"embedded://{folder}/broker.db"
    hooks = WebhookRig(folder, url, clock=clock)
    try:
        with served(hooks.trigger.app) as port, endpoint() as journey:
            known = {"MOMENTS_TRIGGER_URL": f"http://127.0.0.1:{port}", "MOMENTS_ADMIN_TOKEN": TOKEN, **variables}
            with running_config(
                folder / "config", broker_url=url, clock=clock or SystemClock(), start=False, **known
            ) as config:
                yield Journeying(config, hooks, make_administrator(config.service), journey)
    finally:
        hooks.close()
