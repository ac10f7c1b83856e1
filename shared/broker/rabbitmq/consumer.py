"""Consuming over one connection that lives in a thread of its own (ARCHITECTURE §3.6)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import StreamLostError

from shared.broker.errors import ConsumerLost
from shared.broker.port import MOST_BYTES, Delivery
from shared.broker.rabbitmq.connection import ReadConnection
from shared.broker.rabbitmq.declarations import parameters
from shared.broker.rabbitmq.frames import Arrival, DeliveryReader

_log = structlog.get_logger(__name__)

_LINGER = 0.020
_QUIET = 0.005
_FLUSH = 5.0
_MOST_AHEAD = 4 * MOST_BYTES
"""Bytes that may lie here before they are asked for; what more there is waits in the socket and in the broker."""
_LONGEST_HOLD = 5.0
"""Seconds without reading, a quarter of the heartbeat's at most; RabbitMQ gives up a reader after fifteen."""


class RabbitMQConsumer:
    """One connection and channel for all its queues; gone for good when either is lost.

    Every queue has a prefetch of its own: its share of `prefetch`, at least 250 (or `prefetch`, if that is less). The
    broker counts messages only; when large ones come faster than they are taken, the socket is not read for a while.
    """

    def __init__(self, url: str, queues: Sequence[str], prefetch: int) -> None:
        self._queues = list(dict.fromkeys(queues))
        self._prefetch = min(65_535, max(prefetch // max(1, len(self._queues)), min(prefetch, 250)))
        self._arrived: deque[Arrival] = deque()
        self._signal = threading.Event()
        self._came = self._went = 0
        self._holding = self._dropping = False
        self._room = threading.Event()
        self._ended = threading.Event()
        self._lost: str | None = None
        self._ack_tag = 0
        self._acked = 0
        self._channel: Channel | None = None
        self._gate = threading.Lock()
        self._running = True
        self._loop = IOLoop()
        self._connection = ReadConnection(
            parameters(url),
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
        size = counted = 0
        deadline = time.monotonic() + wait
        patience = wait
        while True:
            self._signal.clear()
            if self._lost is not None:
                raise ConsumerLost(self._lost)
            before = len(taken)
            while arrived and len(taken) < limit and size < MOST_BYTES:
                taken.append(_delivery(arrived.popleft()))
                size += len(taken[-1].body)
            self._make_room(size - counted)
            counted = size
            now = time.monotonic()
            if taken and not before:
                deadline = now + _LINGER
                patience = _QUIET
            elif len(taken) == before and (taken or now >= deadline):
                return taken
            if len(taken) >= limit or size >= MOST_BYTES or now >= deadline:
                return taken
            self._signal.wait(min(patience, deadline - now))

    def ack(self, last: Delivery) -> None:
        """See `Consumer.ack`."""
        if self._lost is not None:
            raise ConsumerLost(self._lost)
        self._ack_tag = max(self._ack_tag, last.tag)
        self._call(self._send_ack)

    def drop(self) -> None:
        """See `Consumer.drop`.

        A `basic.cancel` or `channel.close` would let later messages overtake the unacknowledged ones. So: one
        round trip on the channel, after which the broker has taken every acknowledgement, then the end of the
        TCP stream, as if the process had died.
        """
        self._dropping = True
        self._room.set()
        if self._lost is None:
            self._call(self._flush_and_drop)
            if not self._ended.wait(_FLUSH):
                self._call(self._end_stream)
                self._ended.wait(1.0)
        self._thread.join(timeout=1.0)

    def _make_room(self, size: int) -> None:
        """So many bytes have left for the caller."""
        self._went += size
        if self._holding:
            self._room.set()

    def _call(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread run it, unless that has ended."""
        with self._gate:
            if self._running:
                self._loop.add_callback_threadsafe(callback)

    # What follows runs in the loop's thread.

    def _run(self) -> None:
        try:
            self._loop.start()
        except Exception as error:
            _log.exception("consumer_failed")
            self._mark_lost(repr(error))
        with self._gate:
            self._running = False
            self._loop.close()
        self._ended.set()

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _, error: self._on_channel_closed(error))
        channel.add_on_cancel_callback(self._on_cancelled)
        channel.basic_qos(prefetch_count=self._prefetch, callback=self._consume)

    def _consume(self, _frame: Any) -> None:
        self._connection.reader = DeliveryReader(self._on_arrival, self._connection.process)
        if self._channel is not None:
            for queue in self._queues:
                self._channel.basic_consume(queue, _never, consumer_tag=queue)

    def _on_arrival(self, arrival: Arrival) -> None:
        self._arrived.append(arrival)
        self._came += len(arrival[-1])
        if not self._signal.is_set():
            self._signal.set()
        if self._came - self._went > _MOST_AHEAD and not self._holding:
            self._holding = True
            self._loop.add_callback_threadsafe(self._hold)

    @property
    def _is_full(self) -> bool:
        return self._came - self._went > _MOST_AHEAD and self._lost is None and not self._dropping

    def _hold(self) -> None:
        """Keep this thread from reading until there is room, or for so long that some must be read all the same."""
        self._room.clear()
        if self._is_full:
            heartbeat = self._connection.params.heartbeat or 4 * _LONGEST_HOLD
            self._room.wait(min(_LONGEST_HOLD, heartbeat / 4))
        self._holding = self._is_full
        if self._holding:
            self._loop.add_callback_threadsafe(self._hold)

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


def _never(*_arguments: object) -> None:
    """What pika would call for a delivery, if the reader left it any."""
    raise AssertionError("a delivery went past the reader")


def _delivery(arrival: Arrival) -> Delivery:
    queue, tag, redelivered, routing_key, message_id, headers, body = arrival
    return Delivery(
        queue=queue,
        tag=tag,
        routing_key=routing_key,
        body=body,
        message_id=message_id,
        headers=headers,
        redelivered=redelivered,
    )
