"""The broker as services see it: messages, deliveries, publisher, consumer (ARCHITECTURE §3.5, §3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import Protocol

import msgspec

from contracts.topology import Binding, Queue, Topology

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

MOST_BYTES = 16_000_000
"""Of the bodies of one batch: with the message that reaches it, it ends. What they become takes many times as much."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is published. It is always persistent.

    `hidden_copies` are further routing keys that no reader sees (the BCC header); with them the broker's word
    "routed" says nothing about a single key. `optional`: it is fine when no queue is bound.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    content_type: str = "application/cloudevents+json"
    headers: Mapping[str, str] = NO_HEADERS
    hidden_copies: tuple[str, ...] = ()
    optional: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a consumer gets.

    `tag` rises by one with each delivery of a consumer, whatever the queue. `redelivered=False` means that no
    consumer was given this message before; `True` that one may have been.
    """

    queue: str
    tag: int
    routing_key: str
    body: bytes
    message_id: str
    headers: Mapping[str, str]
    redelivered: bool


class Together(Protocol):
    """Messages that were handed over together."""

    def wait(self, seconds: float) -> Sequence[Exception | None]:
        """For each in turn None once it is durable, else why it is not: as a future would raise it, or TimeoutError.

        Ends with the last of them, or after so many seconds.
        """
        ...


class Publisher(Protocol):
    """Publishes with confirms from any thread; it has a connection and thread of its own, made at first use.

    Messages reach a queue in the order in which one thread handed them over. No call blocks and none raises: a
    Future ends with None once the message is durable in every queue bound for it, or with `BrokerUnavailable`,
    `Unroutable` or `Overloaded`. Use it only after the process has forked.
    """

    def publish(self, message: Message) -> Future[None]:
        """Hand over one message."""
        ...

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """Hand over many, at less cost for each; those over the bound end as `Overloaded`."""
        ...

    def publish_together(self, messages: Sequence[Message]) -> Together:
        """The same for one who waits for all of them, at less cost still."""
        ...

    @property
    def ready(self) -> bool:
        """Whether a message would be taken now. Asking starts the connection; the first answer may be no."""
        ...

    def close(self) -> None:
        """Wait a few seconds for what is underway, fail the rest, end the thread."""
        ...


class Consumer(Protocol):
    """Takes deliveries from queues, in order within each; used by one thread.

    After a loss or `drop` the messages not acknowledged come first, in their order, to the next consumer. A queue
    declared `single_active` feeds one consumer at a time, the others wait.
    """

    def receive(self, limit: int, wait: float) -> list[Delivery]:
        """Up to `limit` deliveries, or `MOST_BYTES`. Waits at most `wait` seconds for the first, then 20 ms for more.

        Raises `ConsumerLost`: then this consumer is done, and holds nothing.
        """
        ...

    def ack(self, last: Delivery) -> None:
        """Settle everything delivered up to and including `last`, in all queues. May raise `ConsumerLost`."""
        ...

    def drop(self) -> None:
        """Flush acknowledgements and give up all queues; the next consumer gets the rest in order. Idempotent."""
        ...


class Broker(Protocol):
    """A broker of one installation."""

    def declare(self, topology: Topology) -> None:
        """Make what is missing. Idempotent; raises `DeclarationRefused` on a contradiction."""
        ...

    def publisher(self, topology: Topology | None = None) -> Publisher:
        """A publisher that declares `topology` before the first publish on each of its connections."""
        ...

    def consumer(self, queues: Sequence[str], *, prefetch: int = 1000) -> Consumer:
        """A consumer of `queues`, which must exist; about `prefetch` messages are held unacknowledged.

        However large they are, only some 64 MB of them lie in this process.
        """
        ...

    def declare_queue(self, queue: Queue, bindings: Sequence[Binding]) -> None:
        """Make one durable queue and bind it."""
        ...

    def unbind(self, bindings: Sequence[Binding]) -> None:
        """Take bindings away from queues; those that are not there are no error."""
        ...

    def delete_queue(self, name: str) -> None:
        """Delete a queue and what is in it; nothing happens when there is none."""
        ...

    def depth(self, queue: str) -> int:
        """Messages in the queue: on RabbitMQ those not held by a consumer, embedded all not acknowledged."""
        ...

    def consumed(self, queues: Sequence[str]) -> set[str]:
        """Those of the queues that somebody consumes now, or waits to; raises `UnknownQueue`."""
        ...

    def bound(self, exchange: str) -> Sequence[Binding] | None:
        """The queues bound to an exchange; None where the broker cannot tell, as AMQP has no such question."""
        ...

    def ping(self) -> None:
        """Raises `BrokerUnavailable` unless the broker answers."""
        ...

    def fold(self) -> bool:
        """Have the broker's own log keep nothing of what is gone, where it has one here; whether it does not."""
        ...

    def close(self) -> None:
        """Close the publishers made here."""
        ...
