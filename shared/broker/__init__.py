"""The message broker behind one port: RabbitMQ, or a durable one in a SQLite file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from shared.broker.errors import (
    BrokerError,
    BrokerUnavailable,
    ConsumerLost,
    DeclarationRefused,
    Overloaded,
    UnknownQueue,
    Unroutable,
)
from shared.broker.port import MOST_BYTES, NO_HEADERS, Broker, Consumer, Delivery, Message, Publisher, Together
from shared.broker.settling import Confirms

if TYPE_CHECKING:
    from shared.clock import Clock

__all__ = [
    "MOST_BYTES",
    "NO_HEADERS",
    "Broker",
    "BrokerError",
    "BrokerUnavailable",
    "Confirms",
    "Consumer",
    "ConsumerLost",
    "DeclarationRefused",
    "Delivery",
    "Message",
    "Overloaded",
    "Publisher",
    "Together",
    "UnknownQueue",
    "Unroutable",
    "connect_broker",
]


def connect_broker(url: str, clock: Clock) -> Broker:
    """The broker of a URL: `amqp://…`, `amqps://…` or `embedded:///path/to/broker.db`. Connects at first use.

    `clock` dates dead letters of the embedded broker. Anything else raises ValueError.
    """
    parts = urlsplit(url)
    if parts.scheme in ("amqp", "amqps"):
        from shared.broker.rabbitmq import RabbitMQBroker

        return RabbitMQBroker(url)
    if parts.scheme == "embedded" and parts.path:
        from shared.broker.embedded import EmbeddedBroker

        return EmbeddedBroker(Path(unquote(parts.path)), clock)
    raise ValueError("a broker URL is amqp://… or embedded:///path/to/broker.db")
