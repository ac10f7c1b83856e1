"""How exchanges, queues and connections are asked for, on RabbitMQ 3.10 and 4.x alike."""

from __future__ import annotations

from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel

from contracts.topology import Exchange, Queue, Topology


def parameters(url: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    if "heartbeat=" not in url:
        parameters.heartbeat = 20
    parameters.socket_timeout = 2.0
    parameters.stack_timeout = 4.0
    parameters.connection_attempts = 1
    return parameters


def queue_arguments(queue: Queue) -> dict[str, Any]:
    """The arguments of a quorum queue, valid on RabbitMQ 3.10 and 4.x.

    At-least-once dead lettering needs `reject-publish`, which without a maximum length has no other effect.
    """
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": queue.delivery_limit}
    if queue.single_active:
        arguments["x-single-active-consumer"] = True
    overflow = queue.overflow
    if queue.max_length is not None:
        arguments["x-max-length"] = queue.max_length
    elif queue.dead_letter is not None:
        overflow = "reject-publish"
    if queue.max_length is not None or queue.dead_letter is not None:
        arguments["x-overflow"] = overflow
    if queue.dead_letter is not None:
        arguments["x-dead-letter-exchange"] = ""
        arguments["x-dead-letter-routing-key"] = queue.dead_letter
        strategy = "at-least-once" if overflow == "reject-publish" else "at-most-once"
        arguments["x-dead-letter-strategy"] = strategy
    return arguments


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
