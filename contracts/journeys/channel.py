"""The same on an AMQP channel that the caller brings (pika's, or one with the same methods)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from contracts.journeys.queues import dead_queue, journey_queue
from contracts.journeys.taking import Journey, Outcome
from contracts.topology import JOURNEYS, moments_topology, queue_arguments

_LONGEST_REASON = 500


class Channel(Protocol):
    """What is used of pika's BlockingChannel."""

    def confirm_delivery(self) -> Any: ...
    def exchange_declare(self, exchange: str, exchange_type: str, **options: Any) -> Any: ...
    def queue_declare(self, queue: str, **options: Any) -> Any: ...
    def queue_bind(self, queue: str, exchange: str, routing_key: str) -> Any: ...
    def basic_qos(self, prefetch_count: int) -> Any: ...
    def basic_publish(self, exchange: str, routing_key: str, body: bytes, properties: Any, mandatory: bool) -> Any: ...
    def basic_ack(self, delivery_tag: int) -> Any: ...


def declare(channel: Channel, queue: str, keys: Sequence[str], *, prefetch: int = 20) -> None:
    """Make the exchange, the journey's two queues and the bindings; all may stand already, as they are here.

    Keys that an earlier version of the journey bound stay bound: unbind them where they are no longer wanted.
    """
    exchange = next(each for each in moments_topology(1).exchanges if each.name == JOURNEYS)
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=prefetch)
    channel.exchange_declare(
        exchange.name, exchange.kind, durable=True, arguments={"alternate-exchange": exchange.alternate}
    )
    for each in (dead_queue(queue), journey_queue(queue, single=True, dead=True)):
        channel.queue_declare(each.name, durable=True, arguments=queue_arguments(each))
    for key in keys:
        channel.queue_bind(queue, JOURNEYS, key)


def settle(
    channel: Channel, journey: Journey, queue: str, delivery: tuple[Any, Any, bytes], pause: Callable[[float], object]
) -> Outcome:
    """Act on a delivery and acknowledge it afterwards; a dead one is first published to the dead-letter queue.

    `delivery`: method, properties and body, as pika gives them; headers of a dead one say why. `pause`: see
    `Journey.take`. Raises what that and the channel raise: then nothing is acknowledged, and the broker delivers again.
    """
    method, properties, body = delivery
    outcome = journey.take(body, pause)
    if outcome.dead:
        properties.headers = {**(properties.headers or {}), "reason": outcome.reason[:_LONGEST_REASON], "queue": queue}
        channel.basic_publish("", dead_queue(queue).name, body, properties, True)
    channel.basic_ack(method.delivery_tag)
    return outcome
