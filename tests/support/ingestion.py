"""An ingestion process inside the test, on a real broker and database, and what a test says to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from contracts.configurations import AudienceState, ConfigurationState, KeyState
from contracts.joining import JOINING_ID_PREFIX
from contracts.signals import Signal, decode_signal
from contracts.stitching import IDENTIFIED_ID_PREFIX
from contracts.topology import CONFIGURATION, STATE_CONFIGURATION, partition_queue
from contracts.wire import encode
from services.ingestion.admission import hash_secret
from services.ingestion.wiring import Ingestion, create_ingestion
from shared.broker import Delivery, Message, Unroutable
from shared.clock import Clock
from shared.settings import Settings
from tests.support import processes

PEPPER = "a-pepper-for-the-tests"
ORIGIN = "https://shop.example.com"


def settings_for(folder: Path, **variables: str) -> Settings:
    """Settings of a process with its data in `folder`."""
    return Settings.from_environment(
        {
            "MOMENTS_DATA": str(folder),
            "MOMENTS_SECRET_PEPPER": PEPPER,
            "MOMENTS_ADMIN_TOKEN": "a-token-for-the-tests",
            **variables,
        }
    )


def start_ingestion(settings: Settings, clock: Clock | None = None) -> Ingestion:
    """A started process; the test closes it."""
    ingestion = create_ingestion(settings, clock=clock)
    ingestion.start()
    return ingestion


def configuration(version: int = 1, *, id: str = "c1", **more: Any) -> ConfigurationState:
    """A configuration with one enabled key of each type: `pk_1`, `ak_1`, `sk_1:secret`.

    `version`: 2 where trigger's rig tells of its own one on the same broker, which is the first.
    """
    values: dict[str, Any] = {
        "name": "Shop",
        "audience": AudienceState(id="a1", name="Customers", id_types=("email", "external")),
        "domains": ("shop.example.com",),
        "keys": (
            KeyState(id="pk_1", type="web", enabled=True),
            KeyState(id="ak_1", type="app", enabled=True),
            KeyState(id="sk_1", type="server", enabled=True, secret_hash=hash_secret(PEPPER.encode(), "secret")),
        ),
    }
    return ConfigurationState(id=id, version=version, **{**values, **more})


def configure(ingestion: Ingestion, *states: ConfigurationState) -> None:
    """Store states directly and take them over."""
    ingestion.store.keep(states)
    ingestion.keys.refresh()


def publish_state(ingestion: Ingestion, state: ConfigurationState) -> None:
    """Publish a state as config does, once ingestion listens (else it would come with the snapshot)."""
    message = Message(
        exchange=CONFIGURATION,
        routing_key=STATE_CONFIGURATION,
        body=encode(state),
        message_id=f"{state.id}:{state.version}",
    )

    def taken() -> bool:
        try:
            ingestion.publisher.publish(message).result(60)
        except Unroutable:
            return False
        return True

    wait_until(taken)


def signal(id: str = "s1", **data: Any) -> dict[str, Any]:
    """A valid signal, of the kind cart/add."""
    return {
        "id": id,
        "time": "2026-11-23T10:15:30.123Z",
        "data": {
            "signal": "cart/add",
            "site": "shop.example.com",
            "email": "ada@example.com",
            "items": [{"productId": "p1", "quantity": 1, "price": 9.99}],
            **data,
        },
    }


def send(
    ingestion: Ingestion,
    body: Any,
    path: str = "/v1/signals",
    *,
    key: str | None = "sk_1:secret",
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    """POST a body: bytes as they are, anything else as JSON."""
    given = {"Content-Type": "application/json", **({} if key is None else {"X-Api-Key": key}), **(headers or {})}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ingestion.app.test_client().post(path, data=data, headers=given)


def statuses(response: TestResponse) -> list[int]:
    """The status of each result."""
    document = response.get_json()
    assert isinstance(document, dict)
    return [result["status"] for result in document["results"]]


def signals_in(deliveries: Iterable[Delivery]) -> list[Signal]:
    """The signals among what lies in a partition; who anonymous customers are is told there, too."""
    signals = (each for each in deliveries if not each.message_id.startswith((IDENTIFIED_ID_PREFIX, JOINING_ID_PREFIX)))
    return [decode_signal(each.body) for each in signals]


def recorded(ingestion: Ingestion, count: int, partitions: int = 4) -> list[Signal]:
    """Wait for so many signals in the partitions; takes them and all that are there beside them."""
    found: list[Signal] = []

    def enough() -> bool:
        if not ingestion.publisher.ready:
            return False
        consumer = ingestion.broker.consumer([partition_queue(number) for number in range(partitions)])
        while arrived := consumer.receive(1000, 0.05):
            found.extend(signals_in(arrived))
            consumer.ack(arrived[-1])
        consumer.drop()
        return len(found) >= count

    wait_until(enough, 30)
    return found


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something observable, with a deadline."""
    processes.wait_until(condition, "what the test waits for", seconds)
