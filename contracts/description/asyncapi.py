"""The AsyncAPI 3.0 document: exchanges, routing keys, queues and messages of an installation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from contracts.description.messages import CLOUDEVENTS, Described, all_messages
from contracts.description.schemas import definitions_for
from contracts.joining import INQUIRY, JOINING, REPLY
from contracts.signals import KINDS
from contracts.stitching import IDENTIFIED, STITCHED
from contracts.topology import (
    CONFIGURATION,
    ERASURES,
    ERASURES_DONE,
    JOURNEYS,
    JOURNEYS_UNROUTED,
    KEY_USES,
    PARTITIONS,
    REFUSALS,
    REPLAYED,
    REPLAYS,
    SIGNALS,
    UNROUTED,
    Exchange,
    moments_topology,
)
from contracts.wire import SPOOL_WORD

VERSION = "0.1.0"
_BINDING = "0.3.0"
_SERVICES = (CONFIGURATION, REFUSALS, REPLAYS, REPLAYED, KEY_USES, ERASURES, ERASURES_DONE)
"""Exchanges between services, whose messages have channels of their own."""
_PERSISTENT = 2
_ABOUT = """Moments takes signals of known customers over HTTP and publishes, at least once, moments, signals and
profiles of audiences to the topic exchange `moments.journeys`, as structured-mode CloudEvents in persistent messages.

A journey declares a queue of its own, binds it to `moments.journeys` by patterns of these routing keys (`*` is one
word, `#` any number), and deduplicates by the event's id. A queue that is bounded drops its head or is a stream, never
`reject-publish`, which would stop the publishers. The order of events is not promised. The id is also the AMQP
`message_id`; the content type is `application/cloudevents+json`. A moment for which no queue is bound is kept in
`moments.unrouted`; unbound signals and profiles are dropped.

Channels whose messages have the tag `services` are between the services of an installation: not for journeys."""


_OWN = ["marker", "tombstone", SPOOL_WORD, IDENTIFIED, STITCHED, JOINING, INQUIRY, REPLY]
"""What goes through partitions beside signals."""


def asyncapi_document() -> dict[str, Any]:
    """The whole document. Every schema is inside, so that it can be read as one file."""
    messages = all_messages()
    journeys, services = _journey_channels(messages), _service_channels(messages)
    channels = {**journeys, **services}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:moments",
        "info": {
            "title": "Moments: messages",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [
                {"name": "journeys", "description": "For whatever consumes moments, signals and profiles."},
                {"name": "services", "description": "Between the services of an installation."},
            ],
        },
        "defaultContentType": CLOUDEVENTS,
        "servers": {
            "rabbitmq": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ 3.10 or newer, as MOMENTS_BROKER_URL says; any virtual host.",
            }
        },
        "channels": channels,
        "operations": {**_journey_operations(journeys), **_service_operations(services)},
        "components": {
            "messages": {message.name: _message(message) for message in messages},
            "schemas": _schemas(messages),
        },
    }


def _journey_channels(messages: Iterable[Described]) -> dict[str, Any]:
    own = [message for message in messages if message.readers == "journeys" and not message.general]
    channels = {message.name: _channel(message.name, message.summary, JOURNEYS, [message.name]) for message in own}
    kept = [message.name for message in own if message.name.startswith("moment.")]
    channels[UNROUTED] = {
        "address": UNROUTED,
        "title": "Moments without a journey",
        "description": f"A queue behind the exchange {JOURNEYS_UNROUTED}: the latest moments for which none was bound.",
        "messages": _message_refs(kept),
        "bindings": {"amqp": {"is": "queue", "queue": _queue(UNROUTED), "bindingVersion": _BINDING}},
    }
    return channels


def _service_channels(messages: Iterable[Described]) -> dict[str, Any]:
    signals = [kind.routing_key for kind in KINDS]
    channels = {
        SIGNALS: _channel(
            "signal.{class}.{verb}",
            "Where ingestion publishes an accepted signal, once: by its own key for journeys, and by a hidden key "
            "`partition.NN` (BCC) for trigger.",
            SIGNALS,
            signals,
        )
        | {
            "parameters": {
                "class": {"enum": list(dict.fromkeys(kind.group for kind in KINDS)), "description": "As `cart`."},
                "verb": {"enum": list(dict.fromkeys(kind.verb for kind in KINDS)), "description": "As `add`."},
            }
        },
        PARTITIONS: _channel(
            "partition.{partition}",
            "One queue for each partition of the customers, `moments.partition.NN`, read by one trigger process.",
            PARTITIONS,
            [*signals, *_OWN],
        )
        | {
            "parameters": {
                "partition": {
                    "description": "Two digits: crc32 of the compact JSON array [configuration id, idType, "
                    "profile id], modulo the number fixed at install.",
                    "examples": ["07"],
                }
            }
        },
    }
    for message in messages:
        if message.exchange in _SERVICES:
            channels[message.name] = _channel(message.name, message.summary, message.exchange, [message.name])
    return channels


def _channel(address: str, description: str, exchange: str, messages: list[str]) -> dict[str, Any]:
    declared = next(each for each in moments_topology(1).exchanges if each.name == exchange)
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/rabbitmq"}],
        "messages": _message_refs(messages),
        "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(declared), "bindingVersion": _BINDING}},
    }


def _message_refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {"name": exchange.name, "type": exchange.kind, "durable": True, "autoDelete": False}


def _queue(name: str) -> dict[str, Any]:
    return {"name": name, "durable": True, "exclusive": False, "autoDelete": False}


def _journey_operations(channels: dict[str, Any]) -> dict[str, Any]:
    return {
        f"send.{name}": _operation("send", name, channel, "journeys")
        for name, channel in channels.items()
        if name != UNROUTED
    }


def _service_operations(channels: dict[str, Any]) -> dict[str, Any]:
    """Every channel has a sender and a reader; what ingestion sends is read by partition."""
    operations: dict[str, Any] = {}
    for name, channel in channels.items():
        sent = _OWN if name == PARTITIONS else None
        operations[f"send.{name}"] = _operation("send", name, channel, "services", sent)
        if name != SIGNALS:
            operations[f"receive.{name}"] = _operation("receive", name, channel, "services")
    return operations


def _operation(
    action: str, name: str, channel: dict[str, Any], readers: str, messages: list[str] | None = None
) -> dict[str, Any]:
    binding: dict[str, Any] = {"bindingVersion": _BINDING}
    if action == "send":
        binding |= {"deliveryMode": _PERSISTENT} | ({"bcc": ["partition.NN"]} if name == SIGNALS else {})
    else:
        binding |= {"ack": True}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel["description"],
        "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in messages or channel["messages"]],
        "tags": [{"name": readers}],
        "bindings": {"amqp": binding},
    }


def _message(message: Described) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.title,
        "summary": message.summary,
        "contentType": message.content_type,
        "payload": {"$ref": f"#/components/schemas/{message.name}"},
        "tags": [{"name": message.readers}],
        "examples": [{"name": "example", "payload": message.example_document()}],
    }


def _schemas(messages: Iterable[Described]) -> dict[str, Any]:
    """Every message's schema, with the definitions beside them instead of inside."""
    schemas: dict[str, Any] = {}
    for message in messages:
        schemas[message.name] = _moved(message.described_schema())
        schemas |= {name: _moved(shared) for name, shared in definitions_for(message.schema).items()}
    return schemas


def _moved(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace('"#/$defs/', '"#/components/schemas/'))
