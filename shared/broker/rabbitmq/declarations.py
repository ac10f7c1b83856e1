"""How exchanges, queues and connections are asked for, on RabbitMQ 3.10 and 4.x alike."""

from __future__ import annotations

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel

from contracts.topology import Exchange, Topology, queue_arguments


def parameters(url: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    if "heartbeat=" not in url:
        parameters.heartbeat = 20
    parameters.socket_timeout = 2.0
    parameters.stack_timeout = 4.0
    parameters.connection_attempts = 1
    return parameters


def declare(channel: Channel | BlockingChannel, topology: Topology) -> None:
    """On a `Channel` these go out without waiting; a refusal closes the channel."""
    for exchange in topology.exchanges:
        channel.exchange_declare(exchange.name, exchange.kind, durable=True, arguments=_exchange_arguments(exchange))
    for queue in topology.queues:
        channel.queue_declare(queue.name, durable=True, arguments=queue_arguments(queue))
    for binding in topology.bindings:
        if binding.to_exchange:
            channel.exchange_bind(binding.destination, binding.source, binding.key)
        else:
            channel.queue_bind(binding.destination, binding.source, binding.key)


def _exchange_arguments(exchange: Exchange) -> dict[str, Any] | None:
    return None if exchange.alternate is None else {"alternate-exchange": exchange.alternate}
