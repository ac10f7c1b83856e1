"""Publishing with confirms over one connection, from any thread (ARCHITECTURE §3.7)."""

from __future__ import annotations

import functools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pika import spec
from pika.adapters.select_connection import IOLoop
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, StreamLostError

from contracts.topology import Topology
from shared.broker.errors import BrokerError, BrokerUnavailable, Overloaded, Unroutable
from shared.broker.rabbitmq.connection import ReadConnection
from shared.broker.rabbitmq.declarations import declare, parameters
from shared.broker.rabbitmq.frames import ConfirmReader, PublishEncoder
from shared.broker.settling import Entry, HandingOver

_log = structlog.get_logger(__name__)

_GRACE = 1.5
_BLOCKED_GRACE = 3.0
_BACKOFF = (0.05, 5.0)
_FLUSH = 5.0
_WRITE = 100
_CONFIRM_WAIT = 8.0
_DECLARE_WAIT = 8.0
_JITTER = random.Random()
"""Of its own: a thread in the background changes nobody's seeded numbers."""


class RabbitMQPublisher(HandingOver):
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
        self._running = False
        self._waiting: deque[Entry] = deque()
        self._pending: dict[int, Entry] = {}
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
        self._give_up_at = 0.0
        self._declared = False

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        self._start()
        refusal = self._refusal
        room = 0 if refusal else max(0, self._limit - len(self._waiting) - len(self._pending))
        for _, told, place in entries[room:]:
            told.settle(place, BrokerUnavailable(refusal) if refusal else Overloaded(f"{self._limit} wait here"))
        if room:
            self._waiting.extend(entries[:room])
            self._wake()

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
            self._closing = True
        self._call(functools.partial(self._finish, time.monotonic() + _FLUSH))
        if self._thread is not None:
            self._thread.join(timeout=_FLUSH + 2)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._closing:
                self._loop = IOLoop()
                self._running = True
                self._loop.add_callback_threadsafe(self._begin)
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="rabbitmq-publisher", daemon=True
                )
                self._thread.start()

    def _wake(self) -> None:
        """Once for however many messages: the loop's thread lowers the flag before it empties the deque."""
        if not self._woken:
            self._woken = True
            self._call(self._flush)

    def _call(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread run it, unless that has ended."""
        with self._lock:
            if self._loop is not None and self._running:
                self._loop.add_callback_threadsafe(callback)

    # What follows runs in the loop's thread.

    def _run(self, loop: IOLoop) -> None:
        while True:
            try:
                loop.start()
                break
            except Exception as error:
                _log.exception("publisher_failed")
                self._abandon(repr(error))
        with self._lock:
            self._running = False
            loop.close()
        self._fail_everything("this publisher is closed")

    def _begin(self) -> None:
        self._allow(_GRACE)
        self._connect()

    def _connect(self) -> None:
        if self._closing and not self._waiting:
            self._stop()
            return
        self._connection = ReadConnection(
            parameters(self._url),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_gone,
            on_close_callback=self._on_gone,
            custom_ioloop=self._loop,
        )

    def _on_open(self, connection: ReadConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)
        if self._give_up_at and not self._declared:
            self._declared = True
            self._allow(_DECLARE_WAIT)
        if self._loop is not None:
            self._loop.call_later(_DECLARE_WAIT, lambda: self._check(connection))

    def _check(self, connection: ReadConnection) -> None:
        """A connection on which the declarations are still not answered is of no use."""
        if connection is self._connection and self._channel is None:
            self._abandon("it does not answer")

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        if self._topology is not None:
            declare(channel, self._topology)
        channel.confirm_delivery(self._on_refusal, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Channel) -> None:
        self._channel = channel
        self._connection.reader = ConfirmReader(self._on_confirm, self._connection.process)
        self._encoder = PublishEncoder(channel.channel_number, self._connection.params.frame_max)
        self._tag, self._lowest = 0, 1
        self._written.clear()
        self._backoff = _BACKOFF[0]
        self._give_up_at, self._declared = 0.0, False
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
            self._abandon(f"no confirm in {_CONFIRM_WAIT:.0f} s")
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
                except Exception as error:  # whatever is wrong with it, it must end and its neighbours go on
                    entry[1].settle(entry[2], ValueError(f"not a message: {error}"))
                    continue
                self._tag += 1
                pending[self._tag] = entry
            if parts:
                self._connection._adapter_emit_data(b"".join(parts))
                self._written.append((self._tag, time.monotonic()))

    def _on_refusal(self, frame: Any) -> None:
        method = frame.method
        if isinstance(method, spec.Basic.Nack):
            full = Overloaded("the broker refused it: a queue is full")
            self._on_confirm(method.delivery_tag, method.multiple, full)

    def _on_confirm(self, tag: int, multiple: bool, error: BrokerError | None = None) -> None:
        if multiple:
            for each in range(self._lowest, tag + 1):
                self._confirm(each, error)
            self._lowest = tag + 1
        else:
            self._confirm(tag, error)

    def _confirm(self, tag: int, error: BrokerError | None) -> None:
        entry = self._pending.pop(tag, None)
        if entry is not None:
            entry[1].settle(entry[2], error)

    def _on_return(
        self, _channel: Channel, method: spec.Basic.Return, properties: spec.BasicProperties, _body: bytes
    ) -> None:
        """Returns come in the order of publishing, each before its confirm: it is the first that looks like it."""
        for tag, (message, told, place) in self._pending.items():
            if (
                message.message_id == properties.message_id
                and message.routing_key == method.routing_key
                and message.exchange == method.exchange
            ):
                del self._pending[tag]
                told.settle(place, Unroutable(f"{message.exchange} {message.routing_key}"))
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
            _log.warning("broker_refused", reason=str(error))
            if isinstance(error, ChannelClosedByBroker) and error.reply_code == 404:
                for tag, (message, told, place) in list(self._pending.items()):
                    if f"'{message.exchange}'" in error.reply_text:
                        del self._pending[tag]
                        told.settle(place, Unroutable(error.reply_text))
            channel.connection.close()
            self._channel = None

    def _on_gone(self, connection: ReadConnection, error: BaseException) -> None:
        if connection is self._connection:
            self._lost(str(error) or repr(error))

    def _abandon(self, reason: str) -> None:
        """Give up a connection that is of no use, without waiting for its end."""
        connection = self._connection
        self._lost(reason)
        if connection is not None and not (connection.is_closing or connection.is_closed):
            connection._terminate_stream(StreamLostError(reason))

    def _lost(self, reason: str) -> None:
        was_ready = self._channel is not None
        self._channel = None
        self._connection = None
        self._blocked = False
        self._opened.clear()
        self._fail_pending(reason)
        if self._closing or self._loop is None:
            self._stop()
            return
        _log.warning("broker_unavailable", role="publisher", reason=reason)
        self._loop.call_later(self._backoff * _JITTER.uniform(0.5, 1.0), self._connect)
        self._backoff = min(self._backoff * 2, _BACKOFF[1])
        if was_ready:
            self._refusal = None
            self._allow(_GRACE)

    def _allow(self, seconds: float) -> None:
        """Messages may wait so long for a connection: from its loss, and once more when it takes declarations."""
        self._give_up_at = time.monotonic() + seconds
        if self._loop is not None:
            self._loop.call_later(seconds + 0.001, self._expire)

    def _expire(self) -> None:
        """Time is up: what waits fails, and what comes is refused at once."""
        if not self._give_up_at or time.monotonic() < self._give_up_at:
            return
        if not self._closing:
            self._refusal = "no connection"
        self._fail_everything("no connection")

    def _fail_pending(self, reason: str) -> None:
        pending, self._pending = self._pending, {}
        for _, told, place in pending.values():
            told.settle(place, BrokerUnavailable(reason))

    def _fail_everything(self, reason: str) -> None:
        self._fail_pending(reason)
        while self._waiting:
            _, told, place = self._waiting.popleft()
            told.settle(place, BrokerUnavailable(reason))

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
