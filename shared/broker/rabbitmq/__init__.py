"""The broker on RabbitMQ, 3.10 and 4.x, by pika (ARCHITECTURE §3.5, §3.7).

pika's connections belong to one thread each. Here every publisher and every consumer runs a SelectConnection in a
daemon thread of its own, so that heartbeats go on while their callers are busy; callers talk to that thread through
deques and `add_callback_threadsafe` only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from contracts.topology import Binding, Queue, Topology
from shared.broker.errors import BrokerUnavailable, DeclarationRefused, UnknownQueue
from shared.broker.rabbitmq.consumer import RabbitMQConsumer
from shared.broker.rabbitmq.declarations import declare, parameters
from shared.broker.rabbitmq.publisher import RabbitMQPublisher


class RabbitMQBroker:
    """The broker at an AMQP URL; see `Broker`. Safe from any thread: each call has a short connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._publishers: list[RabbitMQPublisher] = []
        # pika reports every failed attempt several times over; the adapter has one line for each outcome.
        logging.getLogger("pika").setLevel(logging.CRITICAL)

    def declare(self, topology: Topology) -> None:
        """See `Broker.declare`."""
        with self._channel() as channel:
            declare(channel, topology)

    def publisher(self, topology: Topology | None = None) -> RabbitMQPublisher:
        """See `Broker.publisher`."""
        publisher = RabbitMQPublisher(self._url, topology)
        self._publishers.append(publisher)
        return publisher

    def consumer(self, queues: Sequence[str], *, prefetch: int = 1000) -> RabbitMQConsumer:
        """See `Broker.consumer`."""
        return RabbitMQConsumer(self._url, queues, prefetch)

    def declare_queue(self, queue: Queue, bindings: Sequence[Binding]) -> None:
        """See `Broker.declare_queue`."""
        self.declare(Topology((), (queue,), tuple(bindings)))

    def unbind(self, bindings: Sequence[Binding]) -> None:
        """See `Broker.unbind`."""
        with self._channel() as channel:
            for binding in bindings:
                channel.queue_unbind(binding.destination, binding.source, binding.key)

    def delete_queue(self, name: str) -> None:
        """See `Broker.delete_queue`."""
        with self._channel() as channel:
            channel.queue_delete(name)

    def depth(self, queue: str) -> int:
        """See `Broker.depth`."""
        with self._channel(queue) as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def consumed(self, queues: Sequence[str]) -> set[str]:
        """See `Broker.consumed`."""
        with self._channel(", ".join(queues)) as channel:
            return {each for each in queues if channel.queue_declare(each, passive=True).method.consumer_count}

    def bound(self, exchange: str) -> None:
        """See `Broker.bound`: passive declarations tell of queues that one knows, and of no bindings."""

    def ping(self) -> None:
        """See `Broker.ping`."""
        with self._channel():
            pass

    def fold(self) -> bool:
        """See `Broker.fold`: RabbitMQ recycles its own."""
        return True

    def close(self) -> None:
        """See `Broker.close`."""
        for publisher in self._publishers:
            publisher.close()

    @contextmanager
    def _channel(self, queue: str = "") -> Iterator[BlockingChannel]:
        try:
            connection = pika.BlockingConnection(parameters(self._url))
            try:
                yield connection.channel()
            finally:
                if connection.is_open:
                    connection.close()
        except ChannelClosedByBroker as error:
            if error.reply_code == 404 and queue:
                raise UnknownQueue(queue) from error
            raise DeclarationRefused(error.reply_text) from error
        except (AMQPError, OSError) as error:
            raise BrokerUnavailable(str(error) or repr(error)) from error
