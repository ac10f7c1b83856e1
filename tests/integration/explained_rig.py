"""Config's pages over trigger's REST API and a worker's desk, all under one clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.times import MINUTE, SECOND, to_rfc3339
from services.config.states import configuration_state, moment_state
from services.trigger.store import records
from services.trigger.wiring import Trigger
from shared.clock import ManualClock
from shared.settings import Settings
from shared.store import connected
from tests.support.browsing import Browser, make_administrator
from tests.support.configuring import Client, running_config
from tests.support.desk import START, Desk
from tests.support.serving import served

TOKEN = "a-token-for-the-tests"


@dataclass(slots=True)
class Explained:
    """An installation with one running moment. `moment`: its document; `browser`: of an administrator."""

    config: Client
    desk: Desk
    clock: ManualClock
    browser: Browser
    moment: dict[str, Any]
    configuration: str

    @property
    def path(self) -> str:
        """Where the moment is explained."""
        return f"/moments/{self.moment['id']}/explanations"

    def learn(self, *, new_run: bool = False) -> None:
        """The worker learns of the moment as config has it."""
        store = self.config.service.store
        with store.reading():
            found = store.moment(self.moment["id"])
            configuration = store.configuration(self.configuration)
            history = store.histories([self.moment["id"]], 0)[self.moment["id"]]
        assert found is not None
        assert configuration is not None
        state = configuration_state(configuration)
        with connected(self.desk.database):
            records.save_configuration(self.desk.rows, state)
        self.desk.registry.put_configuration(state)
        self.desk.keep(moment_state(found, history), new_run=new_run)

    def run(self, **settings: Any) -> None:
        """Make a moment of Cart Abandon with these settings, and let it run."""
        self.moment = self.config.make_moment(self.configuration, name="Cart reminder", settings=settings)
        self.moment = self.config.set_status(self.moment["id"], "running")
        self.learn(new_run=True)

    def do(self, profile: str, *acts: tuple[float, str], late: float = 0, **given: Any) -> None:
        """What a customer does: each act some minutes after the one before; what is due in between is decided."""
        for minutes, kind in acts:
            self.wait(minutes)
            at = self.clock.now() - int(late * MINUTE)
            self.desk.add(profile, kind=kind, at=at, configuration=self.configuration, **given)

    def wait(self, minutes: float) -> None:
        """Let time pass; every second something may be decided that is due."""
        end = self.clock.now() + int(minutes * MINUTE)
        for due, _ in self.desk.dues():
            if self.clock.now() < due + SECOND <= end:
                self.clock.advance(due + SECOND - self.clock.now())
                self.desk.fire()
        self.clock.advance(end - self.clock.now())
        self.desk.fire()

    def page(self, profile: str = "", status: int = 200, **query: str) -> str:
        """The text of the page of a customer."""
        answer = self.browser.client.get(
            self.path,
            query_string={**({"id": profile} if profile else {}), **query},
            headers={"Accept": "text/html"},
            base_url=self.browser.base,
        )
        assert answer.status_code == status, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        return str(answer.text)

    def said(self, at: int) -> str:
        """An instant as it stands in the API."""
        return to_rfc3339(at)


@contextmanager
def explained_rig(folder: Path, start: int = START, **settings: Any) -> Iterator[Explained]:
    """The installation, with a moment of these settings that runs."""
    clock = ManualClock(start)
    data = {"MOMENTS_DATA": str(folder / "data"), "MOMENTS_ADMIN_TOKEN": TOKEN, "MOMENTS_PARTITIONS": "1"}
    environment = Settings.from_environment(data)
    trigger = Trigger(environment, clock)
    trigger.start()
    with served(trigger.app) as port:
        variables = {**data, "MOMENTS_TRIGGER_URL": f"http://127.0.0.1:{port}"}
        with running_config(folder, clock=clock, start=False, **variables) as config:
            desk = Desk(environment.trigger_database_url, start)
            desk.clock = clock
            made = config.make_configuration(name="Shop")
            rig = Explained(config, desk, clock, make_administrator(config.service), {}, made["id"])
            rig.run(**{"duration": "PT2H", **settings})
            yield rig
            desk.close()
    trigger.close()
