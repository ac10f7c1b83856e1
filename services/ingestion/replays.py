"""The duty that reads refused signals again when trigger asks for it, and tells what became of each."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from contracts.topology import REPLAYED, REPLAYS, Topology
from contracts.wire import (
    SIGNAL_REPLAYED,
    SignalReplay,
    SignalReplayed,
    UnreadableMessage,
    decode_signal_replay,
    encode,
)
from services.ingestion import meters
from services.ingestion.duties import bury
from services.ingestion.intake import Intake
from services.ingestion.keys import Keys
from services.ingestion.leadership import Leadership
from services.ingestion.queue_duty import QueueDuty
from services.ingestion.refusals import Refusal, encodable
from shared.broker import Broker, Delivery, Message, Publisher
from shared.clock import Clock

_AT_ONCE = 200
_CONFIRMED_WITHIN = 5.0
_MOST_FAULTS = 5
_log = structlog.get_logger(__name__)


def reread_refused(
    leadership: Leadership,
    broker: Broker,
    publisher: Publisher,
    topology: Topology,
    keys: Keys,
    intake: Intake,
    clock: Clock,
) -> QueueDuty:
    """The duty that reads again what comes. Without knowing keys and domains nothing is taken: all would be refused."""
    take = _Rereading(publisher, keys, intake, clock).take
    return QueueDuty(
        "reread-refused", leadership, broker, topology, REPLAYS, take, at_once=_AT_ONCE, ready=lambda: keys.known
    )


class _Rereading:
    """Takes replays. A signal is confirmed before its outcome is told, and that before the replay is settled.

    What is cut off between is done once more: the signal keeps its id, so that it counts once.
    """

    def __init__(self, publisher: Publisher, keys: Keys, intake: Intake, clock: Clock) -> None:
        self._publisher = publisher
        self._keys = keys
        self._intake = intake
        self._clock = clock

    def take(self, deliveries: Sequence[Delivery]) -> None:
        now = self._clock.now()
        signals: list[Message] = []
        answers: list[Message] = []
        for replay in self._readable(deliveries):
            outcome = self._intake.reread(replay, self._keys.directory, now)
            if isinstance(outcome, Message):
                signals.append(outcome)
            answers.append(_answer(replay, outcome, now))
            meters.REPLAYED.labels("accepted" if isinstance(outcome, Message) else outcome.code).inc()
        self._publish(signals)
        self._publish(answers)
        _log.info("refused_signals_reread", received=len(deliveries), accepted=len(signals))

    def _readable(self, deliveries: Sequence[Delivery]) -> list[SignalReplay]:
        found: list[SignalReplay] = []
        for delivery in deliveries:
            try:
                found.append(decode_signal_replay(delivery.body))
            except UnreadableMessage as error:
                bury(self._publisher, delivery, str(error))
        return found

    def _publish(self, messages: Sequence[Message]) -> None:
        for future in self._publisher.publish_all(messages):
            future.result(_CONFIRMED_WITHIN)


def _answer(replay: SignalReplay, outcome: Message | Refusal, now: int) -> Message:
    refusal = outcome if isinstance(outcome, Refusal) else None
    answer = SignalReplayed(
        replay=replay.replay,
        refusal=replay.refusal,
        at=now,
        status=200 if refusal is None else refusal.status,
        code="" if refusal is None else refusal.code,
        reason="" if refusal is None else encodable(refusal.reason),
        faults=()
        if refusal is None
        else tuple((each.pointer, encodable(each.reason)) for each in refusal.faults[:_MOST_FAULTS]),
    )
    return Message(
        exchange=REPLAYED,
        routing_key=SIGNAL_REPLAYED,
        body=encode(answer),
        message_id=f"{replay.replay}:{replay.refusal}",
        content_type="application/json",
    )
