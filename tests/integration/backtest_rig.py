"""A log of recorded signals, trigger's HTTP side over it, and what a test asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from contracts.configurations import AudienceState, ConfigurationState
from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, SignalData, encode_signal
from contracts.times import to_datetime
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key, profile_number, signal_key
from services.trigger.store.records import save_configuration, save_moment
from services.trigger.store.rows import Rows
from services.trigger.wiring import Trigger
from shared.clock import Clock
from shared.settings import Settings
from shared.store import connected
from tests.integration.trigger_rig import wait_until

CONFIGURATION = "c1"
SITE = "shop.example.com"
_COLUMNS = {
    "sequence": "int8",
    "profile": "int8",
    "key": "bytea",
    "level": "int4",
    "received_at": "int8",
    "body": "bytea",
}


def cart_signal(
    number: int,
    profile: str,
    at: int,
    kind: str = "cart/add",
    *,
    received: int | None = None,
    configuration: str = CONFIGURATION,
    price: float = 2.5,
    products: int = 1,
) -> tuple[int, ProfileId, str, int, bytes]:
    """A row of the log to be: place, profile, signal id, receivedAt and body."""
    received = at if received is None else received
    data = SignalData(
        signal=kind,
        audience_configuration=Reference(configuration, "Shop"),
        audience=Reference("a", "A"),
        profile=ProfileReference("email", profile),
        received_at=to_datetime(received),
        touchpoint="web",
        site=SITE,
        cart_id="k",
        items=tuple(Item(product_id=f"p{n}", price=price, currency="EUR") for n in range(products)),
    )
    body = encode_signal(id=f"s{number}", source="shop", time=at, data=data)
    return number, ProfileId(configuration, "email", profile), f"s{number}", received, body


def fill_log(rows: Rows, signals: Iterable[tuple[int, ProfileId, str, int, bytes]]) -> int:
    """Write signals into the log as the worker does; how many."""
    count, page = 0, []
    with connected(rows.database):
        for place, profile, name, received, body in signals:
            owner = profile_key(profile)
            page.append((place, profile_number(owner), signal_key(owner, "shop", name), 0, received, body))
            count += 1
            if len(page) == 2_000:
                with rows.database.atomic():
                    rows.insert("signals", _COLUMNS, page)
                page = []
        with rows.database.atomic():
            rows.insert("signals", _COLUMNS, page)
    return count


def know(rows: Rows, *states: MomentState | ConfigurationState) -> None:
    """Keep states as the worker does."""
    with connected(rows.database), rows.database.atomic():
        for state in states:
            if isinstance(state, MomentState):
                save_moment(rows, state)
            else:
                save_configuration(rows, state)


def shop() -> ConfigurationState:
    """The configuration of the signals."""
    audience = AudienceState(id="a", name="A")
    return ConfigurationState(id=CONFIGURATION, version=1, name="Shop", audience=audience, domains=(SITE,))


def draft(**settings: Any) -> MomentState:
    """A Cart Abandon that has never run."""
    values = {"duration": "PT2H", "repeat": "on_change", **settings}
    return MomentState(
        id="m1",
        version=1,
        type="cart_abandon",
        name="Cart",
        configuration_id=CONFIGURATION,
        history=(SettingsVersion(version=1, since=0, settings=values),),
    )


class Asker:
    """Asks trigger's HTTP side."""

    def __init__(self, trigger: Trigger) -> None:
        self._client = trigger.app.test_client()

    def call(self, method: str, path: str, status: int, document: Any = None) -> Any:
        """The answer's document; the status must be as said."""
        answer = self._client.open(
            path, method=method, json=document, headers={"Authorization": "Bearer a-token-for-the-tests"}
        )
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json(force=True) if answer.get_data() else None

    def ask(self, **fields: Any) -> str:
        """Queue a back-test; its id. `since` stands for `from`."""
        if "since" in fields:
            fields["from"] = fields.pop("since")
        return str(self.call("POST", "/api/v1/backtests", 202, fields)["id"])

    def job(self, job_id: str) -> Any:
        """A job as it is now."""
        return self.call("GET", f"/api/v1/backtests/{job_id}", 200)

    def until(self, job_id: str, *states: str, seconds: float = 60.0) -> Any:
        """Wait until a job is in one of the states."""
        wait_until(lambda: self.job(job_id)["state"] in states, f"the job to be {states}", seconds)
        return self.job(job_id)

    def result(self, **fields: Any) -> Any:
        """Run a back-test to its end."""
        done = self.until(self.ask(**fields), "done", "failed")
        assert done["state"] == "done", done["reason"]
        return done["result"]


@contextmanager
def started(settings: Settings, clock: Clock) -> Iterator[Trigger]:
    """Trigger's HTTP side, with its runner."""
    trigger = Trigger(settings, clock)
    trigger.start()
    try:
        yield trigger
    finally:
        trigger.close()
