"""Background duties of an ingestion process: one small object each, run step by step by a loop of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import structlog

from contracts.configurations import ConfigurationState
from contracts.joining import JOINING_ID_PREFIX, decode_joining
from contracts.signals import UnreadableSignal, decode_signal
from contracts.stitching import (
    ANONYMOUS,
    IDENTIFIED_ID_PREFIX,
    STITCHED_ID_PREFIX,
    UnreadableStitch,
    decode_identified,
    decode_stitched,
)
from contracts.suppressions import SuppressionState
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    LOST,
    PARTITIONS,
    SNAPSHOT_REQUEST,
    SNAPSHOT_REQUESTS,
    STATE_CONFIGURATION,
    STATE_SUPPRESSION,
    Binding,
    Queue,
    Topology,
    partition_key,
    partition_of,
    state_queue,
)
from contracts.wire import (
    SnapshotRequest,
    UnreadableMessage,
    decode_configuration_state,
    decode_suppression_state,
    encode,
)
from services.ingestion.key_uses import KeyUses
from services.ingestion.keys import Keys
from services.ingestion.leadership import Leadership
from services.ingestion.refusal_log import RefusalLog
from services.ingestion.refusal_reports import RefusalReports
from services.ingestion.store import IngestionStore
from shared.broker import Broker, BrokerError, Consumer, Delivery, Message, Publisher, UnknownQueue
from shared.store import STORE_FAULTS

_log = structlog.get_logger(__name__)

READER = "ingestion"
_CONFIRMED_WITHIN = 5.0
_BACKOFF = 1.0
_QUIET_STEPS = 4
_UNREADABLE = (UnreadableSignal, UnreadableStitch, UnreadableMessage)

PASSING_FAULTS: tuple[type[Exception], ...] = (BrokerError, TimeoutError, *STORE_FAULTS)
"""What goes away by itself when the broker or the database comes back."""


class Duty(Protocol):
    """Something done again and again."""

    name: str

    def step(self) -> float:
        """Do a little; returns after how many seconds to come again."""
        ...

    def stop(self) -> None:
        """Give up what is held. Called by the duty's own thread after the last step."""
        ...


class Loop:
    """A thread that runs one duty until told to end; a fault is logged and the duty tried again."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ingestion-{duty.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; only after the process has forked."""
        self._thread.start()

    def end(self) -> None:
        """Tell the thread to end after its present step."""
        self._end.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join(timeout=_CONFIRMED_WITHIN + 1)

    def _run(self) -> None:
        pause = 0.0
        while not self._end.wait(pause):
            try:
                pause = self._duty.step()
            except PASSING_FAULTS as error:
                pause = _BACKOFF
                _log.warning("duty_interrupted", duty=self._duty.name, reason=str(error))
            except Exception:
                pause = _BACKOFF
                _log.exception("duty_failed", duty=self._duty.name)
        try:
            self._duty.stop()
        except PASSING_FAULTS as error:
            _log.warning("duty_not_stopped", duty=self._duty.name, reason=str(error))
        except Exception:
            _log.exception("duty_not_stopped", duty=self._duty.name)


class RefreshKeys:
    """Takes over changed keys from the read model, well within the 2 s of DOMAIN §3."""

    name = "refresh-keys"

    def __init__(self, keys: Keys, every: float = 0.1) -> None:
        self._keys = keys
        self._every = every

    def step(self) -> float:
        """Compare the revision."""
        self._keys.refresh()
        return self._every

    def stop(self) -> None:
        """Nothing is held."""


class FlushRefusals:
    """Writes the refusals counted in memory to the log."""

    name = "flush-refusals"

    def __init__(self, log: RefusalLog) -> None:
        self._log = log

    def step(self) -> float:
        """Write what came since the last step."""
        self._log.flush()
        return 1.0

    def stop(self) -> None:
        """Write the last ones."""
        try:
            self._log.flush()
        except STORE_FAULTS as error:
            _log.warning("refusals_not_written", reason=str(error))


class ReportRefusals:
    """Hands what is known of refused signals to the broker, for trigger."""

    name = "report-refusals"

    def __init__(self, reports: RefusalReports) -> None:
        self._reports = reports

    def step(self) -> float:
        """Hand over what came since the last step."""
        self._reports.flush()
        return 0.25

    def stop(self) -> None:
        """Hand over the last ones."""
        self._reports.flush()


class TellKeyUses:
    """Tells config when keys were last used."""

    name = "tell-key-uses"

    def __init__(self, uses: KeyUses) -> None:
        self._uses = uses

    def step(self) -> float:
        """Tell of the keys that it is time to tell of."""
        self._uses.flush()
        return 0.5

    def stop(self) -> None:
        """Tell of all the rest."""
        self._uses.flush(everything=True)


class FollowConfigurations:
    """Keeps the read model current: consumes configuration states, and asks for all of them at its start."""

    name = "follow-configurations"

    def __init__(
        self, leadership: Leadership, broker: Broker, publisher: Publisher, topology: Topology, store: IngestionStore
    ) -> None:
        self._leadership = leadership
        self._broker = broker
        self._publisher = publisher
        self._topology = topology
        self._store = store
        self._consumer: Consumer | None = None
        self._quiet_steps = 0

    def step(self) -> float:
        """Take what has come, store it, acknowledge it."""
        if not self._leadership.held():
            return 0.5
        if self._consumer is None:
            self._consumer = self._connect()
        try:
            deliveries = self._consumer.receive(500, 0.5)
            if deliveries:
                self._take(deliveries)
                self._consumer.ack(deliveries[-1])
            elif self._quiet_steps < _QUIET_STEPS:
                self._notice_an_empty_answer()
        except Exception:
            self.stop()
            raise
        return 0.0

    def stop(self) -> None:
        """Give the queue back."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.drop()

    def _connect(self) -> Consumer:
        queue = state_queue(READER)
        self._broker.declare(self._topology)
        self._broker.declare_queue(
            Queue(queue, dead_letter=DEAD_LETTERS),
            [Binding(CONFIGURATION, queue, key) for key in (STATE_CONFIGURATION, STATE_SUPPRESSION)],
        )
        request = Message(
            exchange=CONFIGURATION,
            routing_key=SNAPSHOT_REQUEST,
            body=encode(SnapshotRequest(READER)),
            message_id=f"snapshot-request:{READER}",
            content_type="application/json",
        )
        self._publisher.publish(request).result(_CONFIRMED_WITHIN)
        return self._broker.consumer([queue])

    def _notice_an_empty_answer(self) -> None:
        """Config has taken the request and sends nothing: a fresh installation without configurations."""
        if self._broker.depth(SNAPSHOT_REQUESTS):
            return
        self._quiet_steps += 1
        if self._quiet_steps == _QUIET_STEPS:
            self._store.mark_answered()

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        states: list[ConfigurationState] = []
        suppressions: list[SuppressionState] = []
        for delivery in deliveries:
            try:
                if delivery.routing_key == STATE_SUPPRESSION:
                    suppressions.append(decode_suppression_state(delivery.body))
                else:
                    states.append(decode_configuration_state(delivery.body))
            except UnreadableMessage as error:
                bury(self._publisher, delivery, str(error))
        changed = self._store.keep(states) + self._store.keep_suppressions(suppressions)
        _log.info("configurations_received", received=len(states), changed=changed)


class ReplayLost:
    """Puts signals that found no partition queue (`moments.lost`) where they belong."""

    name = "replay-lost"

    def __init__(
        self, leadership: Leadership, broker: Broker, publisher: Publisher, topology: Topology, partitions: int
    ) -> None:
        self._leadership = leadership
        self._broker = broker
        self._publisher = publisher
        self._topology = topology
        self._partitions = partitions

    def step(self) -> float:
        """Republish all that lies there, each confirmed before it is acknowledged."""
        if self._leadership.held() and self._waiting():
            self._broker.declare(self._topology)
            consumer = self._broker.consumer([LOST])
            try:
                self._replay(consumer)
            finally:
                consumer.drop()
        return 1.0

    def stop(self) -> None:
        """Nothing is held."""

    def _waiting(self) -> int:
        try:
            return self._broker.depth(LOST)
        except UnknownQueue:
            return 0

    def _replay(self, consumer: Consumer) -> None:
        while deliveries := consumer.receive(500, 0.5):
            readable: list[Message] = []
            for delivery in deliveries:
                try:
                    readable.append(self._redirected(delivery))
                except _UNREADABLE as error:
                    bury(self._publisher, delivery, str(error))
            for future in self._publisher.publish_all(readable):
                future.result(_CONFIRMED_WITHIN)
            consumer.ack(deliveries[-1])
            _log.warning("lost_signals_replayed", count=len(readable))

    def _redirected(self, delivery: Delivery) -> Message:
        partition = partition_of(*_customer_of(delivery), self._partitions)
        return Message(
            exchange=PARTITIONS,
            routing_key=partition_key(partition),
            body=delivery.body,
            message_id=delivery.message_id,
        )


def _customer_of(delivery: Delivery) -> tuple[str, str, str]:
    """Whose partition a message is for; raises one of _UNREADABLE."""
    if delivery.message_id.startswith(JOINING_ID_PREFIX):
        joining = decode_joining(delivery.body)
        return joining.configuration, joining.id_type, joining.profile
    if delivery.message_id.startswith(IDENTIFIED_ID_PREFIX):
        identified = decode_identified(delivery.body)
        return identified.configuration, ANONYMOUS, identified.anonymous
    if delivery.message_id.startswith(STITCHED_ID_PREFIX):
        data = decode_stitched(delivery.body).data
        return data.audience_configuration.id, data.profile.id_type, data.profile.id
    signal = decode_signal(delivery.body)
    return signal.configuration, signal.id_type, signal.profile


def bury(publisher: Publisher, delivery: Delivery, reason: str) -> None:
    """Move a message that cannot be read to the dead letters, confirmed."""
    _log.error("message_unreadable", queue=delivery.queue, message_id=delivery.message_id, reason=reason)
    letter = Message(
        exchange="",
        routing_key=DEAD_LETTERS,
        body=delivery.body,
        message_id=delivery.message_id,
        content_type="application/octet-stream",
        headers={"reason": reason[:500], "queue": delivery.queue, "service": READER},
    )
    publisher.publish(letter).result(_CONFIRMED_WITHIN)
