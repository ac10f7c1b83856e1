"""The broker on RabbitMQ, 3.10 and 4.x, by pika (ARCHITECTURE §3.5, §3.7).

pika's connections belong to one thread each. Here every publisher and every consumer runs a SelectConnection in a
daemon thread of its own, so that heartbeats go on while their callers are busy; callers talk to that thread through
deques and `add_callback_threadsafe` only.
"""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from typing import Any

import pika
import structlog
from pika import spec
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByBroker, StreamLostError

from contracts.topology import Binding, Exchange, Queue, Topology
from shared.broker.errors import (
    BrokerError,
    BrokerUnavailable,
    ConsumerLost,
    DeclarationRefused,
    Overloaded,
    UnknownQueue,
    Unroutable,
)
from shared.broker.frames import PublishEncoder, texts
from shared.broker.port import NO_HEADERS, Delivery, Message

_log = structlog.get_logger(__name__)

_GRACE = 1.5
_BLOCKED_GRACE = 3.0
_BACKOFF = (0.05, 5.0)
_LINGER = 0.020
_QUIET = 0.005
_FLUSH = 5.0
_WRITE = 100
_CONFIRM_WAIT = 8.0


def _parameters(url: str) -> pika.URLParameters:
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


def _declare(channel: Channel | BlockingChannel, topology: Topology) -> None:
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


def _settle(future: Future[None], error: BrokerError | None) -> None:
    try:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass  # the caller cancelled it


_Entry = tuple[Message, "Future[None]"]


class RabbitMQPublisher:
    """One connection with confirms, which reconnects by itself.

    `_waiting` is filled by callers and emptied by the loop's thread; all else below `_start` belongs to that thread,
    callers only read `_refusal`.
    """

    def __init__(self, url: str, topology: Topology | None, limit: int = 5_000) -> None:
        self._url = url
        self._topology = topology
        self._limit = limit
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: IOLoop | None = None
        self._waiting: deque[_Entry] = deque()
        self._pending: dict[int, _Entry] = {}
        self._written: deque[tuple[int, float]] = deque()
        self._woken = False
        self._refusal: str | None = None
        self._closing = False
        self._opened = threading.Event()
        self._connection: Any = None
        self._channel: Channel | None = None
        self._encoder = PublishEncoder(1, 4096)
        self._blocked = False
        self._tag = 0
        self._lowest = 1
        self._backoff = _BACKOFF[0]
        self._down_since = 0.0

    def publish(self, message: Message) -> Future[None]:
        """See `Publisher.publish`."""
        return self.publish_all((message,))[0]

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """See `Publisher.publish_all`."""
        self._start()
        entries: list[_Entry] = [(message, Future()) for message in messages]
        refusal = self._refusal
        room = 0 if refusal else max(0, self._limit - len(self._waiting) - len(self._pending))
        if room:
            self._waiting.extend(entries[:room])
            self._wake()
        for _, future in entries[room:]:
            future.set_exception(BrokerUnavailable(refusal) if refusal else Overloaded(f"{self._limit} wait here"))
        return [future for _, future in entries]

    @property
    def ready(self) -> bool:
        """See `Publisher.ready`."""
        self._start()
        if not self._opened.is_set() and self._refusal is None:
            self._opened.wait(_GRACE)
        return self._opened.is_set() and self._refusal is None

    def close(self) -> None:
        """See `Publisher.close`."""
        with self._lock:
            self._refusal = "this publisher is closed"
            thread, loop = self._thread, self._loop
            self._closing = True
        if thread is not None and loop is not None and thread.is_alive():
            loop.add_callback_threadsafe(functools.partial(self._finish, time.monotonic() + _FLUSH))
            thread.join(timeout=_FLUSH + 2)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._closing:
                self._loop = IOLoop()
                self._loop.add_callback_threadsafe(self._connect)
                self._down_since = time.monotonic()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="rabbitmq-publisher", daemon=True
                )
                self._thread.start()

    def _wake(self) -> None:
        """Once for however many messages: the loop's thread lowers the flag before it empties the deque."""
        if not self._woken:
            self._woken = True
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._flush)

    # What follows runs in the loop's thread.

    def _run(self, loop: IOLoop) -> None:
        while True:
            try:
                loop.start()
                break
            except Exception as error:
                _log.exception("publisher_failed")
                self._lost(repr(error))
        self._fail_everything("this publisher is closed")
        loop.close()

    def _connect(self) -> None:
        if self._closing and not self._waiting:
            self._stop()
            return
        self._connection = SelectConnection(
            _parameters(self._url),
            on_open_callback=self._on_open,
            on_open_error_callback=lambda _, error: self._lost(str(error) or repr(error)),
            on_close_callback=lambda _, error: self._lost(str(error) or repr(error)),
            custom_ioloop=self._loop,
        )

    def _on_open(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        if self._topology is not None:
            _declare(channel, self._topology)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Channel) -> None:
        self._channel = channel
        self._encoder = PublishEncoder(channel.channel_number, self._connection.params.frame_max)
        self._tag, self._lowest = 0, 1
        self._written.clear()
        self._backoff = _BACKOFF[0]
        self._down_since = 0.0
        if not self._closing:
            self._refusal = None
        self._opened.set()
        _log.info("broker_connected", role="publisher")
        self._watch(channel)
        self._flush()

    def _watch(self, channel: Channel) -> None:
        """Give up a connection on which a confirm does not come.

        A quorum queue that has no leader yet, as just after the start of a node, may lose a publish silently.
        """
        if channel is not self._channel or self._loop is None:
            return
        oldest = next(iter(self._pending), self._tag + 1)
        while self._written and self._written[0][0] < oldest:
            self._written.popleft()
        if self._written and time.monotonic() > self._written[0][1] + _CONFIRM_WAIT:
            self._connection._terminate_stream(StreamLostError(f"no confirm in {_CONFIRM_WAIT:.0f} s"))
        else:
            self._loop.call_later(1.0, lambda: self._watch(channel))

    def _flush(self) -> None:
        self._woken = False
        waiting, pending = self._waiting, self._pending
        if self._channel is None:
            self._expire()
            return
        while waiting:
            parts: list[bytes] = []
            while waiting and len(parts) < _WRITE:
                entry = waiting.popleft()
                try:
                    parts.append(self._encoder.encode(entry[0]))
                except Exception as error:  # whatever is wrong with it, its future must end and its neighbours go on
                    entry[1].set_exception(ValueError(f"not a message: {error}"))
                    continue
                self._tag += 1
                pending[self._tag] = entry
            if parts:
                self._connection._adapter_emit_data(b"".join(parts))
                self._written.append((self._tag, time.monotonic()))

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        error = None if isinstance(method, spec.Basic.Ack) else Overloaded("the broker refused it: a queue is full")
        tag = method.delivery_tag
        if method.multiple:
            for each in range(self._lowest, tag + 1):
                self._confirm(each, error)
            self._lowest = tag + 1
        else:
            self._confirm(tag, error)

    def _confirm(self, tag: int, error: BrokerError | None) -> None:
        entry = self._pending.pop(tag, None)
        if entry is not None:
            _settle(entry[1], error)

    def _on_return(
        self, _channel: Channel, method: spec.Basic.Return, properties: spec.BasicProperties, _body: bytes
    ) -> None:
        """Returns come in the order of publishing, each before its confirm: it is the first that looks like it."""
        for tag, (message, future) in self._pending.items():
            if (
                message.message_id == properties.message_id
                and message.routing_key == method.routing_key
                and message.exchange == method.exchange
            ):
                del self._pending[tag]
                _settle(future, Unroutable(f"{message.exchange} {message.routing_key}"))
                return

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        reason = f"it blocks publishers: {frame.method.reason}"
        self._blocked = True
        if not self._closing:
            self._refusal = reason
        _log.warning("broker_blocked", reason=frame.method.reason)
        if self._loop is not None:
            self._loop.call_later(_BLOCKED_GRACE, self._expire_blocked)

    def _expire_blocked(self) -> None:
        if self._blocked:
            self._fail_everything("it blocks publishers")

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self._blocked = False
        if not self._closing and self._channel is not None:
            self._refusal = None
        _log.info("broker_unblocked")

    def _on_channel_closed(self, channel: Channel, error: Exception) -> None:
        """The broker closes a channel for a refused declaration or an unknown exchange: start afresh."""
        if channel.connection.is_open and not self._closing:
            if isinstance(error, ChannelClosedByBroker) and error.reply_code == 404:
                for tag, (message, future) in list(self._pending.items()):
                    if f"'{message.exchange}'" in error.reply_text:
                        del self._pending[tag]
                        _settle(future, Unroutable(error.reply_text))
            channel.connection.close()
            self._channel = None

    def _lost(self, reason: str) -> None:
        self._channel = None
        self._connection = None
        self._blocked = False
        self._opened.clear()
        self._fail_pending(reason)
        if self._closing or self._loop is None:
            self._stop()
            return
        now = time.monotonic()
        if not self._down_since:
            self._down_since = now
            self._refusal = None
        _log.warning("broker_unavailable", role="publisher", reason=reason)
        self._loop.call_later(self._backoff * random.uniform(0.5, 1.0), self._connect)
        self._backoff = min(self._backoff * 2, _BACKOFF[1])
        self._expire()
        self._loop.call_later(max(0.0, self._down_since + _GRACE - now) + 0.001, self._expire)

    def _expire(self) -> None:
        """Disconnected for longer than the grace: what waits fails, and what comes is refused at once."""
        if self._channel is None and self._down_since and time.monotonic() >= self._down_since + _GRACE:
            if not self._closing:
                self._refusal = "no connection"
            self._fail_everything("no connection")

    def _fail_pending(self, reason: str) -> None:
        pending, self._pending = self._pending, {}
        for _, future in pending.values():
            _settle(future, BrokerUnavailable(reason))

    def _fail_everything(self, reason: str) -> None:
        self._fail_pending(reason)
        while self._waiting:
            _settle(self._waiting.popleft()[1], BrokerUnavailable(reason))

    def _finish(self, deadline: float) -> None:
        if (self._waiting or self._pending) and time.monotonic() < deadline:
            if self._loop is not None:
                self._loop.call_later(0.01, lambda: self._finish(deadline))
        elif self._connection is None:
            self._stop()
        elif not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.stop()


_Arrival = tuple[spec.Basic.Deliver, spec.BasicProperties, bytes]


class RabbitMQConsumer:
    """One connection and channel for all its queues; gone for good when either is lost.

    Every queue has a prefetch of its own: its share of `prefetch`, at least 250 (or `prefetch`, if that is less).
    """

    def __init__(self, url: str, queues: Sequence[str], prefetch: int) -> None:
        self._queues = list(dict.fromkeys(queues))
        self._prefetch = min(65_535, max(prefetch // max(1, len(self._queues)), min(prefetch, 250)))
        self._arrived: deque[_Arrival] = deque()
        self._signal = threading.Event()
        self._ended = threading.Event()
        self._lost: str | None = None
        self._ack_tag = 0
        self._acked = 0
        self._channel: Channel | None = None
        self._loop = IOLoop()
        self._connection = SelectConnection(
            _parameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda _, error: self._gone(error),
            on_close_callback=lambda _, error: self._gone(error),
            custom_ioloop=self._loop,
        )
        self._thread = threading.Thread(target=self._run, name="rabbitmq-consumer", daemon=True)
        self._thread.start()

    def receive(self, limit: int, wait: float) -> list[Delivery]:
        """See `Consumer.receive`."""
        arrived = self._arrived
        taken: list[Delivery] = []
        deadline = time.monotonic() + wait
        patience = wait
        while True:
            self._signal.clear()
            if self._lost is not None:
                raise ConsumerLost(self._lost)
            before = len(taken)
            while arrived and len(taken) < limit:
                taken.append(_delivery(*arrived.popleft()))
            now = time.monotonic()
            if taken and not before:
                deadline = now + _LINGER
                patience = _QUIET
            elif len(taken) == before and (taken or now >= deadline):
                return taken
            if len(taken) >= limit or now >= deadline:
                return taken
            self._signal.wait(min(patience, deadline - now))

    def ack(self, last: Delivery) -> None:
        """See `Consumer.ack`."""
        if self._lost is not None:
            raise ConsumerLost(self._lost)
        self._ack_tag = max(self._ack_tag, last.tag)
        self._loop.add_callback_threadsafe(self._send_ack)

    def drop(self) -> None:
        """See `Consumer.drop`.

        A `basic.cancel` or `channel.close` would let later messages overtake the unacknowledged ones. So: one
        round trip on the channel, after which the broker has taken every acknowledgement, then the end of the
        TCP stream, as if the process had died.
        """
        if self._lost is None:
            self._loop.add_callback_threadsafe(self._flush_and_drop)
            if not self._ended.wait(_FLUSH):
                self._loop.add_callback_threadsafe(self._end_stream)
                self._ended.wait(1.0)
        self._thread.join(timeout=1.0)

    # What follows runs in the loop's thread.

    def _run(self) -> None:
        try:
            self._loop.start()
        except Exception as error:
            _log.exception("consumer_failed")
            self._mark_lost(repr(error))
        self._ended.set()
        self._loop.close()

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _, error: self._on_channel_closed(error))
        channel.add_on_cancel_callback(self._on_cancelled)
        channel.basic_qos(prefetch_count=self._prefetch, callback=self._consume)

    def _consume(self, _frame: Any) -> None:
        if self._channel is not None:
            for queue in self._queues:
                self._channel.basic_consume(queue, self._on_message, consumer_tag=queue)

    def _on_message(
        self, _channel: Channel, method: spec.Basic.Deliver, properties: spec.BasicProperties, body: bytes
    ) -> None:
        self._arrived.append((method, properties, body))
        if not self._signal.is_set():
            self._signal.set()

    def _send_ack(self) -> None:
        if self._channel is not None and self._channel.is_open and self._ack_tag > self._acked:
            self._acked = self._ack_tag
            self._channel.basic_ack(self._acked, multiple=True)

    def _flush_and_drop(self) -> None:
        self._send_ack()
        if self._channel is None or not self._channel.is_open:
            self._end_stream()
            return
        self._channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: self._end_stream())

    def _end_stream(self) -> None:
        """Drops the TCP stream; pika has no public word for that. `_gone` follows."""
        self._mark_lost("it was dropped")
        if self._connection.is_open:
            self._connection._terminate_stream(StreamLostError("it was dropped"))
        elif not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _on_channel_closed(self, error: Exception) -> None:
        self._mark_lost(str(error))
        if self._connection.is_open:
            self._connection.close()

    def _on_cancelled(self, frame: Any) -> None:
        """The queue was deleted or moved away: settle nothing more, and leave the rest as a crash would."""
        self._mark_lost(f"the broker cancelled {frame.method.consumer_tag}")
        self._end_stream()

    def _gone(self, error: BaseException) -> None:
        self._mark_lost(str(error) or repr(error))
        self._loop.stop()

    def _mark_lost(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
        self._arrived.clear()
        self._signal.set()


def _delivery(method: spec.Basic.Deliver, properties: spec.BasicProperties, body: bytes) -> Delivery:
    return Delivery(
        queue=method.consumer_tag,
        tag=method.delivery_tag,
        routing_key=method.routing_key,
        body=body,
        message_id=properties.message_id or "",
        headers=texts(properties.headers) if properties.headers else NO_HEADERS,
        redelivered=method.redelivered,
    )


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
            _declare(channel, topology)

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

    def delete_queue(self, name: str) -> None:
        """See `Broker.delete_queue`."""
        with self._channel() as channel:
            channel.queue_delete(name)

    def depth(self, queue: str) -> int:
        """See `Broker.depth`."""
        with self._channel(queue) as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def ping(self) -> None:
        """See `Broker.ping`."""
        with self._channel():
            pass

    def close(self) -> None:
        """See `Broker.close`."""
        for publisher in self._publishers:
            publisher.close()

    @contextmanager
    def _channel(self, queue: str = "") -> Iterator[BlockingChannel]:
        try:
            connection = pika.BlockingConnection(_parameters(self._url))
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
