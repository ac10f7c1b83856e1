"""The worker's part in replays of refused signals: sends what was asked for to ingestion, and keeps its answers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import structlog

from contracts.times import MINUTE
from contracts.topology import REPLAYED, REPLAYS
from contracts.wire import (
    SIGNAL_REPLAY,
    SignalReplay,
    SignalReplayed,
    UnreadableMessage,
    decode_signal_replayed,
    encode,
)
from services.trigger.refusals import refusal_reader
from services.trigger.store.replays import ask_again, next_to_send, note_answers, note_sent
from services.trigger.store.rows import Rows
from shared.broker import Broker, BrokerError, Delivery, Message, Publisher
from shared.broker.reading import QueueReader
from shared.clock import Clock
from shared.ending import end_each
from shared.outbox import RelayThread
from shared.settings import Settings
from shared.store import STORE_FAULTS, connected

MOST_UNDERWAY = 1_000
"""Replays that lie at the broker at a time: what people ask for while ingestion is down waits in the database."""
PATIENCE = 10 * MINUTE
"""After that long without an answer, and with none waiting at the broker, a replay counts as lost and goes again."""

_AT_ONCE = 200
_CONFIRM_WITHIN = 10.0
_log = structlog.get_logger("trigger.replays")


class ReplayRelay:
    """Publishes replays that were asked for; several workers may, since the same one twice changes nothing."""

    def __init__(self, rows: Rows, broker: Broker, publisher: Publisher, clock: Clock) -> None:
        self._rows = rows
        self._broker = broker
        self._publisher = publisher
        self._clock = clock

    def run_once(self) -> int:
        """Publish some and mark them as underway; how many."""
        with connected(self._rows.database):
            found = next_to_send(self._rows, self._clock.now(), _AT_ONCE, MOST_UNDERWAY)
            if not found:
                self._look_for_lost()
                return 0
            futures = self._publisher.publish_all([_message(each) for each in found])
            sent = [each for each, future in zip(found, futures, strict=True) if _confirmed(future)]
            with self._rows.database.atomic():
                note_sent(self._rows, sent, self._clock.now())
        return len(sent)

    def _look_for_lost(self) -> None:
        before = self._clock.now() - PATIENCE
        lost = self._rows.execute("SELECT 1 FROM refused WHERE state = 'underway' AND sent_at < ? LIMIT 1", (before,))
        if lost and not self._broker.depth(REPLAYS):
            with self._rows.database.atomic():
                _log.warning("replays.sent_again", count=ask_again(self._rows, before))


class Refusals:
    """The threads of a worker for what ingestion refused: keeps it, asks for replays, keeps their outcome."""

    def __init__(self, settings: Settings, rows: Rows, broker: Broker, publisher: Publisher, clock: Clock) -> None:
        self._refused = refusal_reader(broker, rows, settings.secret_pepper, settings.refusals_size)
        self._replayed = answer_reader(broker, rows)
        self._relay = RelayThread(ReplayRelay(rows, broker, publisher, clock), name="replays")

    def start(self) -> None:
        """Begin."""
        for thread in (self._refused, self._replayed, self._relay):
            thread.start()

    def stop(self) -> None:
        """End after what is in hand."""
        end_each(*(thread.stop for thread in (self._refused, self._replayed, self._relay)))


def answer_reader(broker: Broker, rows: Rows) -> QueueReader:
    """The thread that keeps what became of replays, whose shape must be declared; several workers share the queue."""

    def keep(deliveries: list[Delivery]) -> None:
        with connected(rows.database), rows.database.atomic():
            news = note_answers(rows, _readable(deliveries))
        _log.info("replays.answered", count=len(deliveries), news=news)

    return QueueReader(broker, REPLAYED, keep, passing=STORE_FAULTS)


def _readable(deliveries: Sequence[Delivery]) -> list[SignalReplayed]:
    found: list[SignalReplayed] = []
    for delivery in deliveries:
        try:
            found.append(decode_signal_replayed(delivery.body))
        except UnreadableMessage as error:
            _log.error("replays.unreadable", message=delivery.message_id, reason=str(error)[:200])
    return found


def _message(replay: SignalReplay) -> Message:
    return Message(
        exchange=REPLAYS,
        routing_key=SIGNAL_REPLAY,
        body=encode(replay),
        message_id=f"{replay.replay}:{replay.refusal}",
        content_type="application/json",
    )


def _confirmed(future: Future[None]) -> bool:
    try:
        future.result(_CONFIRM_WITHIN)
    except (BrokerError, TimeoutError):
        return False
    return True
