"""A config service in this process, called as over HTTP, and a reader of what it publishes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    STATE_CONFIGURATION,
    STATE_MOMENT,
    Binding,
    Queue,
    moments_topology,
    state_queue,
)
from contracts.wire import decode_configuration_state, decode_moment_state
from services.config.wiring import Config
from shared.broker import Broker, connect_broker
from shared.clock import Clock, SystemClock
from shared.settings import Settings
from tests.support.browsing import QUICK
from tests.support.processes import stretched

CONFIGURATIONS = "/api/v1/audience-configurations"
MOMENTS = "/api/v1/moments"
SHOP = {
    "name": "Web shop",
    "audience": {"id": "list-1", "name": "Customers", "idTypes": ["email", "external"]},
    "domains": ["shop.example.com", "*.example.net"],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `document` is its JSON, or None."""

    status: int
    headers: Any
    document: Any

    @property
    def etag(self) -> str:
        """The version that the answer shows."""
        return str(self.headers["ETag"])

    @property
    def pointers(self) -> list[str]:
        """Where the faults of a problem document are."""
        return [fault.get("pointer", fault.get("parameter")) for fault in self.document["errors"]]


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the service with the admin token; usable from any thread."""

    service: Config
    token: str

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> Answer:
        """One request; `if_match` and the like become headers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Authorization", f"Bearer {self.token}")
        options = {} if document is None else {"json": document}
        response = self.service.app.test_client().open(path, method=method, headers=sent, **options)
        return Answer(response.status_code, response.headers, response.get_json(silent=True, force=True))

    def get(self, path: str) -> Any:
        """The document at a path."""
        return self.call("GET", path).document

    def make_configuration(self, **fields: Any) -> dict[str, Any]:
        """A configuration as SHOP, with other fields where given."""
        answer = self.call("POST", CONFIGURATIONS, {**SHOP, **fields})
        assert answer.status == 201, answer.document
        made: dict[str, Any] = answer.document
        return made

    def make_moment(self, configuration_id: str, **fields: Any) -> dict[str, Any]:
        """A draft of Cart Abandon, with other fields where given."""
        wanted = {"type": "cart_abandon", "name": "Cart", "audienceConfigurationId": configuration_id, **fields}
        answer = self.call("POST", MOMENTS, wanted)
        assert answer.status == 201, answer.document
        made: dict[str, Any] = answer.document
        return made

    def set_status(self, moment_id: str, *statuses: str) -> dict[str, Any]:
        """Change the status, step by step."""
        document: dict[str, Any] = {}
        for status in statuses:
            answer = self.call("POST", f"{MOMENTS}/{moment_id}/status", {"status": status})
            assert answer.status == 200, answer.document
            document = answer.document
        return document


@contextmanager
def running_config(
    folder: Path,
    database_url: str = "",
    broker_url: str = "",
    clock: Clock | None = None,
    *,
    start: bool = True,
    **variables: str,
) -> Iterator[Client]:
    """A service with its background work; without `start` nothing is published."""
    settings = Settings.from_environment(
        {
            "MOMENTS_DATA": str(folder / "data"),
            "MOMENTS_CONFIG_DATABASE_URL": database_url,
            "MOMENTS_BROKER_URL": broker_url,
            "MOMENTS_PARTITIONS": "2",
            **variables,
        }
    )
    service = Config(settings, clock or SystemClock(), QUICK)
    service.store.migrate()
    if start:
        service.start()
    try:
        yield Client(service, settings.admin_token)
    finally:
        service.stop()


class StateReader:
    """Follows the configuration as ingestion and trigger do: keeps the newest version of each state."""

    def __init__(self, broker_url: str, name: str = "reader") -> None:
        self._broker: Broker = connect_broker(broker_url, SystemClock())
        self._broker.declare(moments_topology(2))
        queue = state_queue(name)
        bindings = [Binding(CONFIGURATION, queue, key) for key in (STATE_MOMENT, STATE_CONFIGURATION)]
        self._broker.declare_queue(Queue(queue, dead_letter=DEAD_LETTERS), bindings)
        self._consumer = self._broker.consumer([queue])
        self.received: list[ConfigurationState | MomentState] = []
        self.states: dict[str, ConfigurationState | MomentState] = {}

    @property
    def broker(self) -> Broker:
        """The broker that is read."""
        return self._broker

    def wait_for(self, resource_id: str, version: int, timeout: float = 10.0) -> Any:
        """The state of a resource once that version has come."""
        deadline = time.monotonic() + stretched(timeout)
        while resource_id not in self.states or self.states[resource_id].version < version:
            if time.monotonic() > deadline:
                raise AssertionError(f"no version {version} of {resource_id} within {timeout} s")
            self._take()
        return self.states[resource_id]

    def close(self) -> None:
        """Stop reading."""
        self._consumer.drop()
        self._broker.close()

    def _take(self) -> None:
        deliveries = self._consumer.receive(100, 0.1)
        for delivery in deliveries:
            decode = decode_moment_state if delivery.routing_key == STATE_MOMENT else decode_configuration_state
            state: Any = decode(delivery.body)
            self.received.append(state)
            known = self.states.get(state.id)
            if known is None or known.version < state.version:
                self.states[state.id] = state
        if deliveries:
            self._consumer.ack(deliveries[-1])
