"""What the worker does with a batch of deliveries: signals, anonymous customers, tombstones, what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from contracts.erasures import Tombstone
from contracts.topology import partition_queue
from services.trigger.dead_letters import dead_letter
from services.trigger.erasing import Eraser
from services.trigger.faltering import put_off
from services.trigger.intake import Applied, Sorted, apply_batch
from services.trigger.registry import Registry
from services.trigger.stitching import Anonymous, Stitcher, in_parts
from services.trigger.store.cache import Cache
from services.trigger.store.erasures import find_erasure
from services.trigger.store.records import Fenced
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.broker import BrokerError, Delivery, Publisher
from shared.clock import Clock
from shared.outbox import Outbox
from shared.store import STORE_FAULTS

AWAY: tuple[type[Exception], ...] = (*STORE_FAULTS, BrokerError)
"""The database or the broker is away."""
FAULTS: tuple[type[Exception], ...] = (*AWAY, Fenced)
"""What ends a session of the worker; anything else is the fault of a message."""
_CONFIRM = 10.0

_log = structlog.get_logger("trigger.worker")


class Applier:
    """Applies what came, in transactions that hold the fence; used by the worker's thread.

    A message that fails by itself holds up no other: it goes to the dead letters, or is sent again later.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Rows]],
        outbox: Outbox,
        registry: Registry,
        cache: Cache,
        eraser: Eraser,
        stitcher: Stitcher,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._transaction = transaction
        self._outbox = outbox
        self._registry = registry
        self._cache = cache
        self._eraser = eraser
        self._stitcher = stitcher
        self._publisher = publisher
        self._clock = clock

    def apply(self, found: Sorted) -> Applied:
        """Apply the signals of a batch, and what anonymous customers sent and were told to be."""
        try:
            *before, last = in_parts(found.anonymous)
            for part in before:
                with self._transaction() as rows:
                    self._stitcher.take(rows, part, self._clock.now())
            with self._transaction() as rows:
                self._stitcher.take(rows, last, self._clock.now())
                return self._apply_in(rows, found.arrivals)
        except FAULTS:
            raise
        except Exception:
            _log.exception("worker.batch_failed", signals=len(found.arrivals) + len(found.anonymous))
            self._stitch_singly(found.anonymous)
            return self._apply_singly(found.arrivals)

    def erase(self, tombstone: Tombstone) -> Applied:
        """A tombstone that cannot be taken must not hold the partition up; it is sent again, later each time."""
        try:
            return self._erase_in(tombstone)
        except FAULTS:
            raise
        except Exception as error:
            _log.exception("worker.not_erased", erasure=tombstone.erasure)
            with self._transaction() as rows:
                erasure = find_erasure(rows, tombstone.erasure)
                if erasure is not None:
                    put_off(rows, erasure, error, self._clock.now())
            return Applied(0, 0, None)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Move what cannot be read to the dead letters, confirmed."""
        _log.error("worker.unreadable", queue=delivery.queue, reason=reason[:200])
        self._bury(delivery.body, int(delivery.queue.rpartition(".")[2]), reason)

    def _apply_in(self, rows: Rows, arrivals: Sequence[Arrival]) -> Applied:
        admitted = self._eraser.admit(rows, arrivals)
        return apply_batch(rows, self._outbox, admitted, self._registry, self._clock.now(), self._cache)

    def _erase_in(self, tombstone: Tombstone) -> Applied:
        """What came since the request stands in the log already, perhaps: it is applied anew, and counted once."""
        now = self._clock.now()
        with self._transaction() as rows:
            since = self._eraser.erase(rows, self._cache, tombstone.erasure, now)
            return apply_batch(rows, self._outbox, since, self._registry, now, self._cache, counted=True)

    def _apply_singly(self, arrivals: Sequence[Arrival]) -> Applied:
        """One signal to a transaction: what the engine cannot take goes to the dead letters, the rest goes on."""
        new = repeated = 0
        earliest: int | None = None
        for arrival in arrivals:
            try:
                with self._transaction() as rows:
                    applied = self._apply_in(rows, [arrival])
            except FAULTS:
                raise
            except Exception as error:
                _log.exception("worker.signal_failed")
                self._bury(arrival.body, arrival.partition, f"not applied: {type(error).__name__}")
                continue
            new, repeated = new + applied.new, repeated + applied.repeated
            if applied.earliest_due is not None:
                earliest = min(earliest or applied.earliest_due, applied.earliest_due)
        return Applied(new, repeated, earliest)

    def _stitch_singly(self, arrivals: Sequence[Anonymous]) -> None:
        """The same of anonymous customers."""
        for arrival in arrivals:
            try:
                with self._transaction() as rows:
                    self._stitcher.take(rows, [arrival], self._clock.now())
            except FAULTS:
                raise
            except Exception as error:
                _log.exception("worker.stitching_failed")
                self._bury(arrival.body, arrival.partition, f"not applied: {type(error).__name__}")

    def _bury(self, body: bytes, partition: int, reason: str) -> None:
        self._publisher.publish(dead_letter(body, partition_queue(partition), reason)).result(_CONFIRM)
