"""Whose signals are refused: told by config, or by an erasure, and heeded by ingestion; on both stacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.erasures import PROFILE_ERASED, ProfileErased, decode_erasure_done
from contracts.topology import ERASURES, ERASURES_DONE, REFUSALS, moments_topology
from contracts.wire import decode_signal_refused, encode
from services.ingestion.wiring import Ingestion
from shared.broker import Broker, Message, connect_broker
from shared.clock import SystemClock
from tests.integration.trigger_rig import STACKS
from tests.support.configuring import CONFIGURATIONS, Client, running_config
from tests.support.ingestion import ORIGIN, PEPPER, send, settings_for, signal, start_ingestion, wait_until

LIST = "/api/v1/suppressions"
ADA, BOB = "ada@example.com", "bob@example.com"


class Installation:
    """Config and ingestion on one broker, with a web key that is switched on."""

    def __init__(self, config: Client, ingestion: Ingestion, broker: Broker) -> None:
        self.config, self.ingestion, self.broker = config, ingestion, broker
        made = config.make_configuration(domains=["shop.example.com"])
        self.configuration = made["id"]
        self.key = next(key["id"] for key in made["keys"] if key["type"] == "web")
        switched = config.call("PATCH", f"{CONFIGURATIONS}/{self.configuration}/keys/web", {"enabled": True})
        assert switched.status == 200, switched.document
        wait_until(lambda: self.status(BOB) == 200, 20)

    def status(self, profile: str) -> int:
        """What the sender of a signal of a customer is answered."""
        sent = signal(email=profile)
        answer = send(self.ingestion, sent, "/v1/signals/cart/add", key=self.key, headers={"Origin": ORIGIN})
        return answer.status_code

    def told_of(self) -> set[str]:
        """The codes of all refusals that trigger is told of until now: that of a last one comes with them."""
        send(self.ingestion, {"data": {}}, "/v1/signals/cart/add", key=self.key, headers={"Origin": ORIGIN})
        codes: set[str] = set()
        consumer = self.broker.consumer([REFUSALS])

        def came() -> bool:
            codes.update(decode_signal_refused(each.body).code for each in consumer.receive(100, 0.2))
            return "invalid" in codes

        wait_until(came)
        consumer.drop()
        return codes


@pytest.fixture(params=STACKS)
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    servers = request.param == "servers"
    broker_url = request.getfixturevalue("rabbitmq_url") if servers else f"embedded://{tmp_path}/broker.db"
    database_url = request.getfixturevalue("postgres_url") if servers else ""
    broker = connect_broker(broker_url, SystemClock())
    broker.declare(moments_topology(2))
    with running_config(tmp_path, database_url, broker_url, MOMENTS_SECRET_PEPPER=PEPPER) as config:
        settings = settings_for(
            tmp_path / "ingestion",
            MOMENTS_BROKER_URL=broker_url,
            MOMENTS_PARTITIONS="2",
            MOMENTS_INGESTION_DATABASE_URL=database_url,
        )
        ingestion = start_ingestion(settings)
        try:
            yield Installation(config, ingestion, broker)
        finally:
            ingestion.close()
            broker.close()


def test_a_customer_on_the_list_is_refused_by_every_door_and_not_told_of_until_taken_off(
    installation: Installation,
) -> None:
    config = installation.config
    whom = {"configuration": installation.configuration, "profile": " Ada@Example.com "}

    added = config.call("POST", LIST, whom)
    wait_until(lambda: installation.status(ADA) == 403)
    again = config.call("POST", LIST, whom)
    batch = send(
        installation.ingestion,
        [signal("1", email=ADA), signal("2", email=BOB)],
        key=installation.key,
        headers={"Origin": ORIGIN},
    )

    assert (added.status, again.document["id"]) == (200, added.document["id"])
    results = batch.get_json()["results"]
    assert [(each["status"], each.get("code")) for each in results] == [(403, "suppressed"), (200, None)]
    assert "suppressed" not in installation.told_of()
    listed = config.get(f"{LIST}?configurationId={installation.configuration}")
    assert [each["id"] for each in listed["items"]] == [added.document["id"]]
    assert "ada" not in str(listed).lower()
    assert "ada@" not in str(config.get("/api/v1/audit")).lower()

    assert config.call("DELETE", f"{LIST}/{added.document['id']}").status == 204
    wait_until(lambda: installation.status(ADA) == 200)
    assert config.call("DELETE", f"{LIST}/{added.document['id']}").status == 404
    assert config.get(LIST)["total"] == 0
    assert config.call("POST", LIST, {**whom, "profile": "nobody"}).status == 422
    assert config.call("POST", LIST, {**whom, "configuration": "unknown"}).status == 404


def test_an_erasure_that_says_so_puts_the_customer_on_the_list_and_both_services_answer(
    installation: Installation,
) -> None:
    told = ProfileErased(
        erasure="e1",
        at=SystemClock().now(),
        configuration=installation.configuration,
        id_type="email",
        profile=ADA,
        suppress=True,
    )
    message = Message(exchange=ERASURES, routing_key=PROFILE_ERASED, body=encode(told), message_id="e1")
    for _ in range(2):  # it may come more than once
        installation.ingestion.publisher.publish(message).result(60)

    wait_until(lambda: installation.status(ADA) == 403)
    wait_until(lambda: installation.broker.depth(ERASURES_DONE) == 4)
    consumer = installation.broker.consumer([ERASURES_DONE])
    answers = consumer.receive(10, 60.0)
    consumer.drop()

    assert sorted(decode_erasure_done(each.body).reader for each in answers) == ["config"] * 2 + ["ingestion"] * 2
    assert installation.status(BOB) == 200
    assert [each["createdBy"] for each in installation.config.get(LIST)["items"]] == ["an erasure"]

    listed = installation.config.get(LIST)["items"][0]["id"]
    assert installation.config.call("DELETE", f"{LIST}/{listed}").status == 204
    installation.ingestion.publisher.publish(message).result(60)
    wait_until(lambda: installation.broker.depth(ERASURES_DONE) == 2 + 4)
    assert installation.config.get(LIST)["total"] == 0, "told once more, it undid that"
