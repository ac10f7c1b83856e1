"""The AsyncAPI document: whole in itself, of the structure that AsyncAPI 3.0 asks for, and true of the topology.

It was also read by the reference parser (`@asyncapi/parser`, no error, no warning), which the tests do not need.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.erasures import ERASURE_DONE, PROFILE_ERASED
from contracts.events import AUDIENCE_PROFILE
from contracts.signals import KINDS
from contracts.templates import product_templates
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    ERASURES,
    ERASURES_DONE,
    JOURNEYS,
    JOURNEYS_UNROUTED,
    KEY_USES,
    LOST,
    PARTITIONS,
    REFUSALS,
    REPLAYED,
    REPLAYS,
    SIGNALS,
    SNAPSHOT_REQUEST,
    STATE_CONFIGURATION,
    STATE_MOMENT,
    STATE_SUPPRESSION,
    STATE_TOKEN,
    UNROUTED,
    moments_topology,
    partition_key,
)
from contracts.wire import KEY_USED, SIGNAL_REFUSED, SIGNAL_REPLAY, SIGNAL_REPLAYED
from services.cli.documents import SCHEMAS
from services.cli.options import ROOT
from shared.broker.routing import Routes
from tests.support.schemas import resolved, validator

DOCUMENT: dict[str, Any] = json.loads((ROOT / SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
TOPOLOGY = moments_topology(16)

MEMBERS = {
    "document": (
        {"asyncapi", "info"},
        {"id", "servers", "defaultContentType", "channels", "operations", "components"},
    ),
    "info": ({"title", "version"}, {"termsOfService", "description", "contact", "license", "tags", "externalDocs"}),
    "server": ({"host", "protocol"}, {"protocolVersion", "pathname", "description", "title", "summary", "variables"}),
    "channel": (
        {"address", "messages", "description", "bindings"},
        {"title", "summary", "servers", "parameters", "tags", "externalDocs"},
    ),
    "operation": ({"action", "channel", "messages"}, {"title", "summary", "description", "tags", "bindings"}),
    "message": (
        {"name", "title", "summary", "contentType", "payload", "examples"},
        {"headers", "correlationId", "description", "tags", "bindings", "traits"},
    ),
    "channel binding": ({"is", "bindingVersion"}, {"exchange", "queue"}),
    "operation binding": (
        {"bindingVersion"},
        {"expiration", "userId", "cc", "bcc", "priority", "deliveryMode", "mandatory", "timestamp", "ack"},
    ),
    "exchange": ({"name", "type", "durable", "autoDelete"}, {"vhost"}),
    "queue": ({"name", "durable", "exclusive", "autoDelete"}, {"vhost"}),
}
"""Of each kind of object of the specification: the members that must stand here, and those that may."""


def check_members(kind: str, value: dict[str, Any]) -> None:
    """The members are those of the specification."""
    needed, allowed = MEMBERS[kind]
    assert needed <= value.keys() <= needed | allowed, (kind, value.keys())


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in the document."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere_inside_the_document() -> None:
    found = set(references(DOCUMENT))

    assert len(found) > 150
    for reference in found:
        assert reference.startswith("#/")
        assert resolved({"$ref": reference}, DOCUMENT), reference


def test_every_object_has_the_members_of_the_specification() -> None:
    check_members("document", DOCUMENT)
    check_members("info", DOCUMENT["info"])
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for server in DOCUMENT["servers"].values():
        check_members("server", server)
    for name, channel in CHANNELS.items():
        check_members("channel", channel)
        check_members("channel binding", channel["bindings"]["amqp"])
        parameters = set(re.findall(r"{(\w+)}", channel["address"]))
        assert parameters == set(channel.get("parameters", {})), name
        assert ("exchange" in channel["bindings"]["amqp"]) == (channel["bindings"]["amqp"]["is"] == "routingKey")
    for operation in OPERATIONS.values():
        check_members("operation", operation)
        check_members("operation binding", operation["bindings"]["amqp"])
        assert operation["action"] in ("send", "receive")
    for message in MESSAGES.values():
        check_members("message", message)


def test_every_operation_uses_messages_of_its_own_channel() -> None:
    for name, operation in OPERATIONS.items():
        channel = operation["channel"]["$ref"].removeprefix("#/channels/")
        assert channel in CHANNELS, name
        assert operation["messages"]
        for message in operation["messages"]:
            head, _, tail = message["$ref"].partition(f"#/channels/{channel}/messages/")
            assert head == "", name
            assert tail in CHANNELS[channel]["messages"], name


def test_every_published_routing_key_has_a_channel_on_the_right_exchange() -> None:
    templates = product_templates().values()
    expected = {kind.routing_key: JOURNEYS for kind in KINDS} | {AUDIENCE_PROFILE: JOURNEYS}
    expected |= {f"moment.{template.type}": JOURNEYS for template in templates}
    expected |= {f"moment.{template.type}.recovered": JOURNEYS for template in templates if template.completes}
    expected |= dict.fromkeys(
        (STATE_MOMENT, STATE_CONFIGURATION, STATE_SUPPRESSION, STATE_TOKEN, SNAPSHOT_REQUEST), CONFIGURATION
    )
    expected |= {SIGNAL_REFUSED: REFUSALS, SIGNAL_REPLAY: REPLAYS, SIGNAL_REPLAYED: REPLAYED, KEY_USED: KEY_USES}
    expected |= {PROFILE_ERASED: ERASURES, ERASURE_DONE: ERASURES_DONE}

    found = {
        channel["address"]: channel["bindings"]["amqp"]["exchange"]["name"]
        for channel in CHANNELS.values()
        if channel["bindings"]["amqp"]["is"] == "routingKey" and not channel.get("parameters")
    }

    assert found == expected
    assert {CHANNELS[name]["address"] for name in (SIGNALS, PARTITIONS)} == {
        "signal.{class}.{verb}",
        "partition.{partition}",
    }
    assert set(CHANNELS) == {*expected, SIGNALS, PARTITIONS, UNROUTED}
    for address in expected:
        assert f"send.{address}" in OPERATIONS


def test_exchanges_and_queues_are_those_of_the_topology() -> None:
    exchanges = {exchange.name: exchange for exchange in TOPOLOGY.exchanges}
    queues = {queue.name for queue in TOPOLOGY.queues}
    for channel in CHANNELS.values():
        binding = channel["bindings"]["amqp"]
        if binding["is"] == "queue":
            check_members("queue", binding["queue"])
            assert binding["queue"]["name"] == channel["address"]
            assert binding["queue"]["name"] in queues
            continue
        check_members("exchange", binding["exchange"])
        exchange = exchanges[binding["exchange"]["name"]]
        assert binding["exchange"]["type"] == exchange.kind
        assert binding["exchange"]["durable"] is True


def test_every_exchange_that_is_published_to_has_a_channel() -> None:
    without = {JOURNEYS_UNROUTED, LOST, DEAD_LETTERS}

    bound = {each["bindings"]["amqp"]["exchange"]["name"] for each in CHANNELS.values() if each["address"] != UNROUTED}

    assert bound == {exchange.name for exchange in TOPOLOGY.exchanges} - without


def test_a_message_published_as_described_reaches_a_journey_and_its_partition() -> None:
    journey = "a.journey"
    bindings = [binding for binding in TOPOLOGY.bindings if binding.destination != journey]
    queues = [queue.name for queue in TOPOLOGY.queues]
    for kind in KINDS:
        bound = [*bindings, type(bindings[0])(JOURNEYS, journey, kind.routing_key)]
        routes = Routes(TOPOLOGY.exchanges, [*queues, journey], bound)
        assert set(routes.route(SIGNALS, kind.routing_key, (partition_key(7),))) == {journey, "moments.partition.07"}
    unbound = Routes(TOPOLOGY.exchanges, queues, bindings)
    for message in CHANNELS[UNROUTED]["messages"]:
        assert unbound.route(JOURNEYS, message, ()) == (UNROUTED,)
    others = set(MESSAGES) - set(CHANNELS[UNROUTED]["messages"])
    assert not any(name.startswith("moment.") and name != "moment.recovered" for name in others)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_has_an_example_that_its_payload_takes(name: str) -> None:
    message = MESSAGES[name]

    holds = validator({**DOCUMENT, "$ref": message["payload"]["$ref"]})

    assert message["examples"]
    for example in message["examples"]:
        assert [error.message for error in holds.iter_errors(example["payload"])] == []
    assert not holds.is_valid({})


def test_every_message_is_on_a_channel_and_says_for_whom_it_is() -> None:
    used = {name for channel in CHANNELS.values() for name in channel["messages"]}
    general = {"signal", "moment", "moment.recovered"}

    assert used | general == set(MESSAGES)
    tags = {tag["name"] for tag in DOCUMENT["info"]["tags"]}
    for message in MESSAGES.values():
        assert {tag["name"] for tag in message["tags"]} <= tags
