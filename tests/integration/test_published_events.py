"""What a bound queue really gets, of every kind: CloudEvents by the `cloudevents` package, true to the schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from contracts.description.messages import CLOUDEVENTS
from contracts.events import AUDIENCE_PROFILE
from contracts.journeys import decode_event
from contracts.moments import MomentState, SettingsVersion
from contracts.signals import CATALOGUE, KINDS
from contracts.templates import product_templates, validate_settings
from contracts.times import from_rfc3339, to_rfc3339
from contracts.topology import JOURNEYS, Binding, Queue
from services.ingestion.wiring import Ingestion
from shared.broker import Delivery
from tests.contract.test_published_schemas import holder
from tests.contract.test_signal_schemas import valid_signal
from tests.integration.trigger_rig import CONFIGURATION_ID, PARTITIONS, STACKS, Rig, running_rig, wait_until
from tests.support.ingestion import configuration, configure, settings_for, start_ingestion
from tests.support.ingestion import send as post
from tests.support.schemas import faults

EVERYTHING = "everything"
TEMPLATES = product_templates()


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        made.broker.declare_queue(Queue(EVERYTHING), [Binding(JOURNEYS, EVERYTHING, "#")])
        yield made


@pytest.fixture
def ingestion(rig: Rig, tmp_path: Path) -> Iterator[Ingestion]:
    """Ingestion on the same broker, with the keys of the test's configuration."""
    variables = {"MOMENTS_BROKER_URL": rig.settings.broker_url, "MOMENTS_PARTITIONS": str(PARTITIONS)}
    process = start_ingestion(settings_for(tmp_path / "ingestion", **variables))
    configure(process, configuration(2, id=CONFIGURATION_ID, domains=()))
    yield process
    process.close()


def send(rig: Rig, ingestion: Ingestion, kind: str, profile: str) -> None:
    """A full signal of a kind over HTTP, that has just happened."""
    signal = valid_signal(kind)
    signal["id"] = f"{kind} {profile} {rig.clock.now()}"
    signal["time"] = to_rfc3339(rig.clock.now())
    signal["data"]["email"] = profile
    answer = post(ingestion, signal, f"/v1/signals/{kind}")
    assert answer.status_code == 200, answer.get_data()


def run(rig: Rig, type_: str) -> None:
    """A moment of a template that raises a second after its signal."""
    length = "delay" if TEMPLATES[type_].rule == "instant" else "duration"
    settings, faults_ = validate_settings(TEMPLATES[type_], {length: "PT1S"})
    assert not faults_
    since = rig.clock.now() - 1_000_000
    rig.say(
        MomentState(
            id=type_,
            version=1,
            type=type_,
            name=TEMPLATES[type_].title,
            configuration_id=CONFIGURATION_ID,
            status="running",
            running_since=since,
            history=(SettingsVersion(version=1, since=since, settings=settings),),
        )
    )


def collect(rig: Rig, taken: list[Delivery], enough: Callable[[set[str]], bool]) -> None:
    """Take from the queue until the routing keys that have come are enough."""
    consumer = rig.broker.consumer([EVERYTHING])

    def there() -> bool:
        if arrived := consumer.receive(500, 0.2):
            taken.extend(arrived)
            consumer.ack(arrived[-1])
        return enough({each.routing_key for each in taken})

    try:
        wait_until(there, f"more than {sorted({each.routing_key for each in taken})}", 60)
    finally:
        consumer.drop()


def test_every_message_of_every_kind_is_a_cloud_event_and_true_to_its_schema(rig: Rig, ingestion: Ingestion) -> None:
    rig.moment("m1", duration="PT1S")
    for type_ in TEMPLATES:
        run(rig, type_)
    rig.started()
    wait_until(lambda: all(rig.knows(state) for state in rig.states.values()), "the moments to be known")
    taken: list[Delivery] = []

    for type_, template in TEMPLATES.items():
        send(rig, ingestion, template.opens[0], f"{type_}@example.com")
    collect(rig, taken, lambda keys: keys >= {f"moment.{type_}" for type_ in TEMPLATES})
    for type_, template in TEMPLATES.items():
        if template.completes:
            send(rig, ingestion, template.completes[0], f"{type_}@example.com")
    for kind in KINDS:
        send(rig, ingestion, kind.name, "ada@example.com")
    expected = {kind.routing_key for kind in KINDS} | {AUDIENCE_PROFILE}
    expected |= {f"moment.{type_}" for type_ in TEMPLATES}
    expected |= {f"moment.{type_}.recovered" for type_, template in TEMPLATES.items() if template.completes}
    collect(rig, taken, lambda keys: keys >= expected)

    assert {each.routing_key for each in taken} == expected
    for delivery in taken:
        check(delivery)
    identities = [(decode_event(each.body).identity, each.routing_key) for each in taken]
    assert len(set(identities)) == len(identities)


def check(delivery: Delivery) -> None:
    """One message, as a journey sees it."""
    document = json.loads(delivery.body)
    assert faults(document, holder(delivery.routing_key)) == []
    event = from_rabbitmq(RabbitMQMessage({}, CLOUDEVENTS, delivery.body), JSONFormat())

    assert isinstance(event, CloudEvent)
    assert event.get_id() == document["id"] == delivery.message_id
    assert event.get_type() == delivery.routing_key
    assert event.get_specversion() == "1.0"
    assert event.get_source()
    assert event.get_datacontenttype() == "application/json"
    assert event.get_dataschema() == document["dataschema"]
    time = event.get_time()
    assert isinstance(time, datetime)
    assert time.utcoffset() == UTC.utcoffset(None)
    assert time.timestamp() == pytest.approx(from_rfc3339(document["time"]) / 1e6, abs=1e-5)
    data: Any = event.get_data()
    assert data == document["data"]
    assert all(name.isascii() and name.isalnum() and name.islower() for name in event.get_attributes())
    if delivery.routing_key.startswith("signal."):
        assert CATALOGUE[data["signal"]].routing_key == delivery.routing_key


@pytest.mark.rabbitmq
def test_messages_are_persistent_and_say_what_they_are(rabbitmq_url: str, tmp_path: Path) -> None:
    """pika's own view of the AMQP properties: content type, delivery mode, message id; no hidden key in a header."""
    rig = Rig(tmp_path, rabbitmq_url)
    try:
        rig.broker.declare_queue(Queue(EVERYTHING), [Binding(JOURNEYS, EVERYTHING, "#")])
        rig.moment(duration="PT1S")
        rig.started()
        rig.add("ada@example.com")
        rig.listen_until(lambda: rig.events, "the moment")
        wait_until(lambda: rig.broker.depth(EVERYTHING) >= 4, "signal, moment and two profiles")

        with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
            channel = connection.channel()
            found = {}
            while (answer := channel.basic_get(EVERYTHING, auto_ack=True))[0] is not None:
                method, properties, body = answer
                found[method.routing_key] = (properties, json.loads(body))
    finally:
        rig.close()

    assert set(found) == {"signal.cart.add", "moment.cart_abandon", AUDIENCE_PROFILE}
    for properties, document in found.values():
        assert properties.content_type == "application/cloudevents+json"
        assert properties.delivery_mode == 2
        assert properties.message_id == document["id"]
        assert "partition" not in str(properties.headers)
