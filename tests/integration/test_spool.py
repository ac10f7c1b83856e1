"""Store and forward: signals accepted while the broker is away, on the real servers (docs/decisions/036-spool.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.signals import Signal, decode_signal
from contracts.topology import partition_queue
from contracts.wire import SPOOL_ID_PREFIX, SpoolWord, decode_spool_word
from services.ingestion.spool.store import Spool
from services.ingestion.wiring import Ingestion
from shared.broker import BrokerError
from tests.support.ingestion import (
    configuration,
    configure,
    send,
    settings_for,
    signal,
    start_ingestion,
    wait_until,
)
from tests.support.rabbitmq import RabbitMQNode

PARTITIONS = 2


def started(folder: Path, broker_url: str, **variables: str) -> Ingestion:
    """A process with a spool."""
    given = {"MOMENTS_SPOOL": "64", "MOMENTS_BROKER_URL": broker_url, "MOMENTS_PARTITIONS": str(PARTITIONS)}
    ingestion = start_ingestion(settings_for(folder, **{**given, **variables}))
    configure(ingestion, configuration())
    return ingestion


@pytest.fixture
def ingestion(broker_url: str, tmp_path: Path) -> Iterator[Ingestion]:
    """A process that trigger was told of, on each broker."""
    made = started(tmp_path, broker_url)
    wait_until(lambda: spool_of(made).standing().known)
    yield made
    made.close()


def spool_of(ingestion: Ingestion) -> Spool:
    """Its spool."""
    assert ingestion.spool is not None
    return ingestion.spool


class Partitions:
    """All that came through the partitions: signals and words, in the order of each partition."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.words: list[SpoolWord] = []

    def read(self, ingestion: Ingestion) -> None:
        """Take what is there."""
        try:
            consumer = ingestion.broker.consumer([partition_queue(number) for number in range(PARTITIONS)])
            while arrived := consumer.receive(1000, 0.1):
                for each in arrived:
                    if each.message_id.startswith(SPOOL_ID_PREFIX):
                        self.words.append(decode_spool_word(each.body))
                    else:
                        self.signals.append(decode_signal(each.body))
                consumer.ack(arrived[-1])
            consumer.drop()
        except BrokerError:
            return


def test_signals_sent_in_a_load_while_the_broker_is_killed_are_all_recorded(
    rabbitmq_node: RabbitMQNode, rabbitmq_url: str, tmp_path: Path
) -> None:
    ingestion = started(tmp_path, rabbitmq_url)
    wait_until(lambda: spool_of(ingestion).standing().known)
    acknowledged: list[str] = []
    refused: list[int] = []
    ended = threading.Event()

    def load(name: str) -> None:
        count = 0
        while not ended.is_set():
            count += 1
            id = f"{name}-{count}"
            status = send(ingestion, signal(id, email=f"{name}@example.com")).status_code
            (acknowledged.append(id) if status == 200 else refused.append(status))
            ended.wait(0.003)

    threads = [threading.Thread(target=load, args=(f"t{n}",)) for n in range(3)]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 50, 30)
        rabbitmq_node.kill()
        wait_until(lambda: spool_of(ingestion).standing().signals > 50, 30)
        ready = ingestion.app.test_client().get("/readyz")
        rabbitmq_node.start()
        wait_until(lambda: not spool_of(ingestion).filled, 60)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    found = Partitions()
    found.read(ingestion)
    ingestion.close()

    assert ready.status_code == 200
    assert "signals go to the spool" in ready.get_json()["checks"]["broker"]
    assert {each.id for each in found.signals} >= set(acknowledged)
    assert refused == []
