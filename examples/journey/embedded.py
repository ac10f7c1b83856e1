"""The loop of a journey on the embedded broker of `./moments up`, by the repository's own port."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

from contracts.journeys import Journey, Stopped, dead_queue, journey_queue
from contracts.topology import JOURNEYS, Binding, moments_topology
from shared.broker import Broker, Delivery, Message, connect_broker
from shared.broker.subscription import Subscription
from shared.clock import SystemClock


def run(url: str, journey: Journey, queue: str, keys: Sequence[str], stopping: threading.Event) -> None:
    """Take events until told to stop. What was not acknowledged is delivered again."""
    clock = SystemClock()
    broker = connect_broker(url, clock)
    subscription = Subscription(
        broker=broker,
        topology=moments_topology(0),
        queues=(journey_queue(queue, single=True, dead=True), dead_queue(queue)),
        bindings=tuple(Binding(JOURNEYS, queue, key) for key in keys),
        clock=clock,
        pause=stopping.wait,
        warn=lambda text: sys.stderr.write(f"journey: {text}\n"),
    )

    def pause(seconds: float) -> None:
        if stopping.wait(seconds):
            raise Stopped

    try:
        for consumer, batch in subscription.deliveries(None):
            for delivery in batch:
                _settle(broker, journey, queue, delivery, pause)
                consumer.ack(delivery)
                if stopping.is_set():
                    return
            if stopping.is_set():
                return
    except Stopped:
        return
    finally:
        broker.close()


def _settle(broker: Broker, journey: Journey, queue: str, delivery: Delivery, pause: Callable[[float], object]) -> None:
    outcome = journey.take(delivery.body, pause)
    if not outcome.dead:
        return
    sys.stderr.write(f"journey: {delivery.routing_key} went to the dead letters: {outcome.reason}\n")
    dead = Message(
        exchange="",
        routing_key=dead_queue(queue).name,
        body=delivery.body,
        message_id=delivery.message_id,
        headers={**delivery.headers, "reason": outcome.reason, "queue": queue},
    )
    publisher = broker.publisher()
    try:
        publisher.publish(dead).result(30)
    finally:
        publisher.close()
