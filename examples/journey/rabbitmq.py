"""The loop of a journey on RabbitMQ, with pika: connect, declare, act, acknowledge, and begin anew after a loss."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import pika
from pika.exceptions import AMQPError

from contracts.journeys import Journey, Stopped, declare, settle

_RECONNECT_AFTER = 1.0
_WAIT = 0.5


def run(url: str, journey: Journey, queue: str, keys: Sequence[str], stopping: threading.Event) -> None:
    """Take events until told to stop. What was not acknowledged is delivered again, here or elsewhere."""
    while not stopping.is_set():
        try:
            connection = pika.BlockingConnection(pika.URLParameters(url))
        except (AMQPError, OSError) as error:
            _lost(error, stopping)
            continue
        try:
            _take(connection, journey, queue, keys, stopping)
        except AMQPError as error:
            _lost(error, stopping)
        except Stopped:
            return
        finally:
            with suppress(AMQPError, OSError):
                connection.close()


def _lost(error: Exception, stopping: threading.Event) -> None:
    sys.stderr.write(f"journey: the broker was lost, trying again: {error!r}\n")
    stopping.wait(_RECONNECT_AFTER)


def _take(
    connection: pika.BlockingConnection,
    journey: Journey,
    queue: str,
    keys: Sequence[str],
    stopping: threading.Event,
) -> None:
    def pause(seconds: float) -> None:
        """Wait and keep the connection alive meanwhile."""
        end = time.monotonic() + seconds
        while not stopping.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return
            connection.sleep(min(left, _WAIT))
        raise Stopped

    channel = connection.channel()
    declare(channel, queue, keys)
    for method, properties, body in channel.consume(queue, inactivity_timeout=_WAIT):
        if method is not None:
            outcome = settle(channel, journey, queue, (method, properties, body), pause)
            if outcome.dead:
                sys.stderr.write(f"journey: {method.routing_key} went to the dead letters: {outcome.reason}\n")
        if stopping.is_set():
            return
