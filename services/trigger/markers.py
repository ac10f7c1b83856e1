"""Markers: proof that a partition's queue has been read up to an instant (ARCHITECTURE §3.6)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Container, Iterable
from concurrent.futures import Future
from functools import partial

from contracts.topology import PARTITIONS, partition_key
from contracts.wire import MARKER_ID_PREFIX, MARKER_TYPE, Marker, encode
from shared.broker import Message, Publisher
from shared.clock import Clock, stopwatch

RESEND_AFTER = 30.0
"""Seconds after which a marker that did not come back is sent again."""

RESEND_UNOWNED_AFTER = 1.0
"""The same for a partition that another process may have: that one takes the marker and drops it."""


class Markers:
    """Sends markers and recognises one's own. At most one is underway per partition that is owned.

    `renew` begins a new session of the consumer: markers of the session before no longer count.
    """

    def __init__(self, publisher: Publisher, clock: Clock):
        self._publisher = publisher
        self._clock = clock
        self._lock = threading.Lock()
        self._nonce = uuid.uuid4().hex
        self._underway: dict[int, float] = {}
        self._void: dict[int, int] = {}

    def renew(self) -> None:
        """Forget what is underway."""
        with self._lock:
            self._nonce = uuid.uuid4().hex
            self._underway.clear()
            self._void.clear()

    def forget(self, partitions: Iterable[int], *, void: bool = False) -> None:
        """These partitions were taken just now: who had them before took the markers that are underway.

        `void`: those that come nevertheless do not count.
        """
        with self._lock:
            for partition in partitions:
                self._underway.pop(partition, None)
                if void:
                    self._void[partition] = self._void.get(partition, 0) + 1

    def send(self, partitions: Iterable[int], owned: Container[int]) -> int:
        """Send a marker into each partition that has none underway; returns how many were sent."""
        messages = []
        with self._lock:
            for partition in partitions:
                sent = self._underway.get(partition)
                patience = RESEND_AFTER if partition in owned else RESEND_UNOWNED_AFTER
                if sent is None or stopwatch() - sent > patience:
                    self._underway[partition] = stopwatch()
                    messages.append((partition, self._message(partition)))
        for (partition, _), future in zip(
            messages, self._publisher.publish_all([message for _, message in messages]), strict=True
        ):
            future.add_done_callback(partial(self._confirmed, partition))
        return len(messages)

    def take(self, marker: Marker) -> bool:
        """Whether a marker that came is one's own; then another may be sent."""
        with self._lock:
            if marker.nonce != self._nonce_of(marker.partition):
                return False
            self._underway.pop(marker.partition, None)
            return True

    def _nonce_of(self, partition: int) -> str:
        void = self._void.get(partition)
        return f"{self._nonce}.{void}" if void else self._nonce

    def _confirmed(self, partition: int, future: Future[None]) -> None:
        if future.exception() is not None:
            with self._lock:
                self._underway.pop(partition, None)

    def _message(self, partition: int) -> Message:
        nonce = self._nonce_of(partition)
        marker = Marker(partition=partition, nonce=nonce, at=self._clock.now())
        return Message(
            exchange=PARTITIONS,
            routing_key=partition_key(partition),
            body=encode(marker),
            message_id=f"{MARKER_ID_PREFIX}{partition}:{nonce}",
            content_type=MARKER_TYPE,
        )
