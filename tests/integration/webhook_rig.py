"""Webhooks on a real broker and database: REST, taking up and sending, driven by a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.topology import JOURNEYS, moments_topology
from services.trigger.housekeeping import DUTIES, House
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.webhooks.dispatch import Dispatcher
from services.trigger.webhooks.running import Webhooks, guard_of, rules_of, sender_of
from services.trigger.webhooks.store.deliveries import DeliveryRows, Taken
from services.trigger.webhooks.store.subscriptions import SubscriptionRows
from services.trigger.wiring import Trigger
from shared.broker import Message, connect_broker
from shared.clock import Clock, SystemClock
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database
from tests.support.processes import wait_until
from tests.support.publishing import ready_publisher

WEBHOOKS_PATH = "/api/v1/webhooks"
TOKEN = "a-token-for-the-tests"


class WebhookRig:
    """An installation of which only webhooks run. Times are those of `clock`."""

    def __init__(
        self, folder: Path, broker_url: str, database_url: str = "", clock: Clock | None = None, **environ: str
    ) -> None:
        self.environment = {
            "MOMENTS_DATA": str(folder / "data"),
            "MOMENTS_BROKER_URL": broker_url,
            "MOMENTS_TRIGGER_DATABASE_URL": database_url,
            "MOMENTS_PARTITIONS": "1",
            "MOMENTS_ADMIN_TOKEN": TOKEN,
            "MOMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "MOMENTS_WEBHOOK_PLAIN_HTTP": "yes",
            "MOMENTS_WEBHOOK_TIMEOUT": "5",
            **environ,
        }
        self.settings = Settings.from_environment(self.environment)
        self.clock = clock or SystemClock()
        self.broker = connect_broker(broker_url, self.clock)
        self.topology = moments_topology(1)
        self.broker.declare(self.topology)
        self.publisher = ready_publisher(self.broker, self.topology)
        self.database = open_database(self.settings.trigger_database_url, schema="moments_trigger")
        migrate(self.database, MIGRATIONS)
        self.rows = Rows(self.database)
        self.subscriptions, self.deliveries = SubscriptionRows(self.rows), DeliveryRows(self.rows)
        self.trigger = Trigger(self.settings, self.clock)
        self.trigger.start()
        self._client = self.trigger.app.test_client()
        self._running: Webhooks | None = None
        self._count = 0

    def close(self) -> None:
        """Give everything back."""
        self.stop()
        self.trigger.close()
        self.broker.close()
        close_database(self.database)

    def run(self) -> None:
        """Take up and send, in threads, until `stop`."""
        self._running = Webhooks(self.settings, self.clock, self.broker, self.publisher)
        self._running.start()

    def stop(self) -> None:
        """End the threads."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def dispatcher(self) -> Dispatcher:
        """A dispatcher that the test turns itself; every draw is 0.5, so that pauses are exact."""
        sender = sender_of(self.settings, guard_of(self.settings))
        rules = rules_of(self.settings)
        return Dispatcher(self.subscriptions, self.deliveries, sender, self.clock, rules, lambda: 0.5)

    def turn(self, dispatcher: Dispatcher) -> None:
        """Send what is due now, and record what comes back."""
        with connected(self.database):
            dispatcher.turn()
            while dispatcher.flying:
                dispatcher.wake.wait(0.05)
                dispatcher.record()

    # What journeys are told.

    def publish(self, routing_key: str, event_id: str = "", **members: Any) -> bytes:
        """Publish an event to journeys; its bytes."""
        self._count += 1
        event = {"id": event_id or f"e{self._count}", "type": routing_key, "specversion": "1.0", **members}
        body = msgspec.json.encode({"source": "tests", "data": {"text": "é"}, **event})
        self.publish_bytes(routing_key, body, event["id"])
        return body

    def publish_bytes(self, routing_key: str, body: bytes, message_id: str = "m") -> None:
        """Publish anything to journeys."""
        message = Message(exchange=JOURNEYS, routing_key=routing_key, body=body, message_id=message_id, optional=True)
        self.publisher.publish(message).result(60)

    def take(self, subscription_id: str, *event_ids: str, profile: bytes | None = None) -> None:
        """Make deliveries as if the events had been taken up."""
        with connected(self.database), self.database.atomic():
            self.deliveries.add([taken(subscription_id, each, profile) for each in event_ids], self.clock.now())

    # REST.

    def call(self, method: str, path: str = "", status: int = 200, *, etag: str = "", **fields: Any) -> Any:
        """A call below /api/v1/webhooks; `fields` are the body."""
        headers = {"Authorization": f"Bearer {TOKEN}", **({"If-Match": etag} if etag else {})}
        body = fields if fields or method == "PATCH" else None
        answer = self._client.open(f"{WEBHOOKS_PATH}{path}", method=method, headers=headers, json=body)
        assert answer.status_code == status, answer.get_data(as_text=True)
        document = answer.get_json(force=True) if answer.get_data() else None
        if isinstance(document, dict) and "version" in document:
            assert answer.headers["ETag"] == f'"{document["version"]}"'
        return document

    def subscribe(self, url: str, *patterns: str, **fields: Any) -> Any:
        """Make a webhook."""
        return self.call("POST", status=201, name="Journey", url=url, patterns=patterns or ["moment.#"], **fields)

    def bound(self) -> None:
        """Wait until what is subscribed is bound."""
        revision = self.read("SELECT revision FROM webhook_state")[0][0]
        bound = "SELECT bound_revision FROM webhook_state"
        wait_until(lambda: self.read(bound)[0][0] >= revision, "the bindings")

    def log(self, webhook: Any, state: str = "all") -> list[Any]:
        """The delivery log of a webhook."""
        return list(self.call("GET", f"/{webhook['id']}/deliveries?state={state}")["items"])

    def states(self, webhook: Any) -> dict[str, str]:
        """Event → state of its delivery."""
        return {each["eventId"]: each["state"] for each in self.log(webhook)}

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of trigger's database."""
        with connected(self.database):
            return self.rows.execute(sql, parameters)

    def forget(self, before: int) -> int:
        """A round of the worker's housekeeping for which a log that ended before an instant is too old."""
        now = before + self.settings.webhook_log
        house = House(self.rows, {0}, Cache(), Registry(self.settings.expiry), self.settings, now)
        (duty,) = [each for each in DUTIES if each.name == "webhooks"]
        gone, steps = 0, duty.forget(house)
        with connected(self.database):
            while True:
                with self.database.atomic():
                    found = next(steps, None)
                if found is None:
                    return gone
                gone += found

    def metrics(self) -> dict[str, float]:
        """Name with labels → value, of webhooks."""
        lines = self._client.get("/metrics").get_data(as_text=True).splitlines()
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("moments_webh")
        }


def taken(subscription_id: str, event_id: str, profile: bytes | None = None) -> Taken:
    """An event that was taken up."""
    body = msgspec.json.encode({"id": event_id, "source": "tests", "type": "moment.cart_abandon"})
    return Taken(
        subscription_id=subscription_id,
        source="tests",
        event_id=event_id,
        type="moment.cart_abandon",
        profile_key=profile,
        body=body,
    )


@contextmanager
def webhook_rig(
    request: pytest.FixtureRequest, folder: Path, stack: str, clock: Clock | None = None, **environ: str
) -> Iterator[WebhookRig]:
    """A rig on a stack: the embedded broker with SQLite, or RabbitMQ with PostgreSQL."""
    if stack == "embedded":
        rig = WebhookRig(folder, f"embedded://{folder}/broker.db", clock=clock, **environ)
    else:
        urls = request.getfixturevalue("rabbitmq_url"), request.getfixturevalue("postgres_url")
        rig = WebhookRig(folder, *urls, clock=clock, **environ)
    try:
        yield rig
    finally:
        rig.close()
