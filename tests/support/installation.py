"""Config, trigger's REST API and a worker's desk in this process, under one clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.config.states import moment_state
from services.config.wiring import Config
from services.trigger.wiring import Trigger
from shared.clock import ManualClock
from shared.settings import Settings
from tests.support.browsing import QUICK
from tests.support.configuring import MOMENTS, Answer, Client
from tests.support.desk import START, Desk
from tests.support.serving import served

TOKEN = "a-token-for-the-tests"


@dataclass(frozen=True, slots=True)
class Installation:
    """Config, trigger's REST API behind a port, and a worker's desk, under one clock."""

    config: Client
    trigger: Trigger
    desk: Desk
    clock: ManualClock

    def learn(self, moment: dict[str, Any]) -> None:
        """The worker learns of a moment as config has it; its waits are settled."""
        store = self.config.service.store
        with store.reading():
            found = store.moment(moment["id"])
            history = store.histories([moment["id"]], 0)[moment["id"]]
        assert found is not None
        self.desk.keep(moment_state(found, history))

    def preview(self, moment: dict[str, Any], change: dict[str, Any], **headers: str) -> Answer:
        """Ask config, with the ETag of the moment unless another is given."""
        sent = {"if_match": f'"{moment["version"]}"', **headers}
        return self.config.call("POST", f"{MOMENTS}/{moment['id']}/preview", change, **sent)


@contextmanager
def running_installation(folder: Path, database_url: str) -> Iterator[Installation]:
    """One on databases of its own; config asks trigger over HTTP."""
    clock = ManualClock(START)
    environment = {
        "MOMENTS_DATA": str(folder / "data"),
        "MOMENTS_ADMIN_TOKEN": TOKEN,
        "MOMENTS_CONFIG_DATABASE_URL": database_url,
        "MOMENTS_TRIGGER_DATABASE_URL": database_url.replace("test.db", "trigger.db"),
    }
    settings = Settings.from_environment(environment)
    trigger = Trigger(settings, clock)
    trigger.start()
    with served(trigger.app) as port:
        environment["MOMENTS_TRIGGER_URL"] = f"http://127.0.0.1:{port}"
        config = Config(Settings.from_environment(environment), clock, QUICK)
        config.store.migrate()
        desk = Desk(settings.trigger_database_url)
        desk.clock = clock
        yield Installation(Client(config, TOKEN), trigger, desk, clock)
        desk.close()
        config.stop()
    trigger.close()
