"""When a key was last used reaches config: from every ingestion process, seldom, and as no change of anything."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.configurations import KeyState
from contracts.times import SECOND, to_rfc3339
from contracts.topology import KEY_USES, moments_topology
from contracts.wire import KEY_USED, KeyUsed, decode_key_used, encode
from services.config.store.migrations import MIGRATIONS
from services.ingestion.key_uses import KeyUses
from services.ingestion.wiring import Ingestion
from shared.broker import BrokerError, Message, connect_broker
from shared.clock import SystemClock
from shared.store import close_database, connected, migrate, open_database
from tests.integration.trigger_rig import STACKS
from tests.support.configuring import CONFIGURATIONS, Client, running_config
from tests.support.ingestion import (
    ORIGIN,
    configuration,
    configure,
    send,
    settings_for,
    signal,
    start_ingestion,
    wait_until,
)

WEB = {"Origin": ORIGIN}


class Listening:
    """A publisher that keeps what it is given; `fails`: it confirms nothing."""

    def __init__(self) -> None:
        self.told: list[KeyUsed] = []
        self.ready = True
        self.fails = False

    def publish(self, message: Message) -> Future[None]:
        """Take one."""
        future: Future[None] = Future()
        if self.fails:
            future.set_exception(BrokerError("away"))
        else:
            self.told.append(decode_key_used(message.body))
            future.set_result(None)
        return future


@pytest.fixture
def listening() -> Listening:
    return Listening()


@contextmanager
def process(folder: Path, broker: str, key: str) -> Iterator[Ingestion]:
    """An ingestion process that knows one web key."""
    started = start_ingestion(settings_for(folder, MOMENTS_BROKER_URL=broker, MOMENTS_PARTITIONS="2"))
    try:
        configure(started, configuration(keys=(KeyState(id=key, type="web", enabled=True),)))
        wait_until(lambda: started.publisher.ready)
        yield started
    finally:
        started.close()


def use(process: Ingestion, key: str) -> int:
    """Send a signal with a web key; an instant at or before that."""
    before = SystemClock().now()
    assert send(process, signal(), "/v1/signals/cart/add", key=key, headers=WEB).status_code == 200
    return before


def tell(broker_url: str, *bodies: bytes) -> None:
    """Put messages into the queue that config reads."""
    broker = connect_broker(broker_url, SystemClock())
    publisher = broker.publisher(moments_topology(2))
    for body in bodies:
        publisher.publish(Message(exchange=KEY_USES, routing_key=KEY_USED, body=body, message_id="k")).result(60)
    publisher.close()
    broker.close()


def used(key: str, at: int) -> bytes:
    """The message of a use."""
    return encode(KeyUsed(key=key, at=at))


def keys_of(config: Client, configuration_id: str) -> dict[str, dict[str, Any]]:
    """Type → key."""
    return {key["type"]: key for key in config.get(f"{CONFIGURATIONS}/{configuration_id}")["keys"]}


@pytest.mark.parametrize("stack", STACKS)
def test_two_processes_tell_and_the_latest_use_stands(
    stack: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    servers = stack == "servers"
    broker = request.getfixturevalue("rabbitmq_url") if servers else f"embedded://{tmp_path}/broker.db"
    database = request.getfixturevalue("postgres_url") if servers else f"sqlite:///{tmp_path}/config.db"
    with running_config(tmp_path, database, broker) as config:
        shop = config.make_configuration()
        key = shop["keys"][0]["id"]
        config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}/keys/web", {"enabled": True})
        assert [each["neverUsed"] for each in keys_of(config, shop["id"]).values()] == [True] * 3

        with process(tmp_path / "one", broker, key) as one, process(tmp_path / "two", broker, key) as two:
            for each in (one, two):
                before = to_rfc3339(use(each, key))
                wait_until(lambda: (keys_of(config, shop["id"])["web"]["lastUsedAt"] or "") >= before)  # noqa: B023

        now = config.get(f"{CONFIGURATIONS}/{shop['id']}")
        assert (now["version"], config.get("/api/v1/audit")["total"]) == (2, 2)
        assert [(each["type"], each["neverUsed"]) for each in now["keys"]] == [
            ("web", False),
            ("app", True),
            ("server", True),
        ]


def test_an_earlier_use_a_deleted_key_and_what_cannot_be_read_change_nothing(
    tmp_path: Path, database_url: str, broker_url: str
) -> None:
    with running_config(tmp_path, database_url, broker_url) as config:
        shop = config.make_configuration()
        web, app = (keys_of(config, shop["id"])[name]["id"] for name in ("web", "app"))
        tell(broker_url, used(web, 20 * SECOND), used(web, 10 * SECOND), used("pk_gone", 5), b"{", used("\0", 7))
        tell(broker_url, used(app, 30 * SECOND))

        wait_until(lambda: keys_of(config, shop["id"])["app"]["lastUsedAt"])
        tell(broker_url, used(web, 15 * SECOND), used(app, 40 * SECOND))
        wait_until(lambda: keys_of(config, shop["id"])["app"]["lastUsedAt"] == to_rfc3339(40 * SECOND))

        assert keys_of(config, shop["id"])["web"]["lastUsedAt"] == to_rfc3339(20 * SECOND)


def test_a_use_outlives_a_change_of_the_configuration_and_ends_with_the_key(
    tmp_path: Path, database_url: str, broker_url: str
) -> None:
    with running_config(tmp_path, database_url, broker_url) as config:
        configurations = config.service.program.configurations
        shop = config.make_configuration()
        path = f"{CONFIGURATIONS}/{shop['id']}"
        web = shop["keys"][0]["id"]
        stale = configurations.get(shop["id"])
        assert configurations.note_key_uses({web: SECOND}) == 1

        with config.service.store.transaction():
            assert config.service.store.change_configuration(replace(stale, name="Shop", version=2), 1)
        assert keys_of(config, shop["id"])["web"]["lastUsedAt"] == to_rfc3339(SECOND)

        config.call("POST", f"{path}/keys/web/regenerate", {"overlapSeconds": 0})
        assert configurations.note_key_uses({web: 2 * SECOND}) == 0
        fresh = keys_of(config, shop["id"])["web"]
        assert (fresh["lastUsedAt"], fresh["neverUsed"], fresh["id"] != web) == (None, True, True)


def test_of_a_key_older_than_the_noting_it_is_not_known_whether_it_was_used(tmp_path: Path, database_url: str) -> None:
    database = open_database(database_url, schema="moments_config")
    migrate(database, [step for step in MIGRATIONS if step.version < 10])
    with connected(database), database.atomic():
        database.execute_sql(
            "INSERT INTO configurations (id, name, name_key, search_key, description, audience, domains, version,"
            " created_at, updated_at) VALUES ('5f0c0a9b-6e4b-4e8f-8a2c-1d0e9f8a7b00', 'n', 'n', 'n', '',"
            ' \'{"id":"a","name":"A","idTypes":["email"]}\', \'[]\', 1, 1, 1)'
        )
        database.execute_sql(
            "INSERT INTO keys (id, configuration_id, type, enabled, created_at)"
            " VALUES ('pk_old', '5f0c0a9b-6e4b-4e8f-8a2c-1d0e9f8a7b00', 'web', TRUE, 1)"
        )
    close_database(database)

    with running_config(tmp_path, database_url, start=False) as config:
        before = keys_of(config, "5f0c0a9b-6e4b-4e8f-8a2c-1d0e9f8a7b00")["web"]
        config.service.program.configurations.note_key_uses({"pk_old": SECOND})
        after = keys_of(config, "5f0c0a9b-6e4b-4e8f-8a2c-1d0e9f8a7b00")["web"]

    assert (before["lastUsedAt"], before["neverUsed"]) == (None, None)
    assert (before["kinds"], before["signed"]) == (None, False), "it may send every kind and need not sign, as before"
    assert (after["lastUsedAt"], after["neverUsed"]) == (to_rfc3339(SECOND), False)


def test_a_key_is_told_of_at_once_and_then_once_a_minute_with_its_latest_use(listening: Listening) -> None:
    uses = KeyUses(listening, every=0.2)  # type: ignore[arg-type]

    for at in (1, 3, 2):
        uses.note("pk_1", at)
    assert uses.flush() == 1
    uses.note("pk_1", 9)
    uses.note("pk_2", 5)
    assert uses.flush() == 1
    wait_until(lambda: uses.flush() == 1)

    assert [(each.key, each.at) for each in listening.told] == [("pk_1", 3), ("pk_2", 5), ("pk_1", 9)]
    assert uses.flush() == 0


def test_what_the_broker_did_not_take_is_told_again_and_the_rest_is_told_at_the_end(listening: Listening) -> None:
    uses = KeyUses(listening)  # type: ignore[arg-type]
    uses.note("pk_1", 1)
    listening.ready = False
    assert uses.flush() == 0

    listening.ready, listening.fails = True, True
    assert uses.flush() == 1
    listening.fails = False
    assert uses.flush() == 1
    uses.note("pk_1", 2)
    assert uses.flush() == 0
    assert uses.flush(everything=True) == 1

    assert [each.at for each in listening.told] == [1, 2]


def test_a_refused_key_is_not_used_and_a_refused_signal_of_an_admitted_key_is(tmp_path: Path) -> None:
    broker = f"embedded://{tmp_path}/broker.db"
    with process(tmp_path, broker, "pk_1") as ingestion:
        send(ingestion, signal(), "/v1/signals/cart/add", key="pk_1", headers={"Origin": "https://x.example"})
        send(ingestion, signal(), "/v1/signals/cart/add", key="pk_unknown", headers=WEB)
        consumer = ingestion.broker.consumer([KEY_USES])
        assert consumer.receive(10, 1.0) == []

        send(ingestion, signal(items=[]), "/v1/signals/cart/add", key="pk_1", headers=WEB)
        wait_until(lambda: ingestion.broker.depth(KEY_USES))
        (delivery,) = consumer.receive(10, 60.0)
        consumer.drop()
    assert decode_key_used(delivery.body).key == "pk_1"
