"""Store and forward in one process, on each broker: order, and what the machine's word is worth (decision 036)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from contracts.signals import Signal, decode_signal
from contracts.times import SECOND
from contracts.topology import PARTITIONS as PARTITIONS_EXCHANGE
from contracts.topology import moments_topology, partition_key, partition_queue
from contracts.wire import (
    MARKER_ID_PREFIX,
    SPOOL_ID_PREFIX,
    Marker,
    SpoolWord,
    decode_marker,
    decode_spool_word,
    encode,
)
from services.ingestion.spool.store import LEASE, Spool, look
from services.ingestion.wiring import Ingestion
from shared.broker import Message, connect_broker
from shared.clock import SystemClock
from tests.support.ingestion import configuration, configure, send, settings_for, signal, start_ingestion, wait_until
from tests.support.proxy import Cable
from tests.support.publishing import ready_publisher
from tests.support.rabbitmq import RabbitMQNode

PARTITIONS = 2
CLOCK = SystemClock()
Outage = Callable[[], AbstractContextManager[None]]


def started(folder: Path, broker_url: str, **variables: str) -> Ingestion:
    """A process with a spool."""
    given = {"MOMENTS_SPOOL": "64", "MOMENTS_BROKER_URL": broker_url, "MOMENTS_PARTITIONS": str(PARTITIONS)}
    ingestion = start_ingestion(settings_for(folder, **{**given, **variables}))
    configure(ingestion, configuration())
    return ingestion


def spool_of(ingestion: Ingestion) -> Spool:
    """Its spool."""
    assert ingestion.spool is not None
    return ingestion.spool


@contextmanager
def stuck(path: Path) -> Iterator[None]:
    """Nobody else can write the embedded broker's file."""
    blocker = sqlite3.connect(path, isolation_level=None, timeout=10)
    blocker.execute("begin immediate")
    yield
    blocker.execute("rollback")
    blocker.close()


@contextmanager
def cut_off(cable: Cable) -> Iterator[None]:
    """There is no way to the broker."""
    cable.cut()
    yield
    cable.mend()


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ingestion, Outage, str]]:
    """A process that has introduced itself, on each broker, and what makes its broker go away."""
    if request.param == "embedded":
        url = f"embedded://{tmp_path}/broker.db"
        ingestion = started(tmp_path, url)
        outage: Outage = partial(stuck, tmp_path / "broker.db")
        cable = None
    else:
        node: RabbitMQNode = request.getfixturevalue("rabbitmq_node")
        cable = Cable(node.port)
        url = str(request.getfixturevalue("rabbitmq_url"))
        ingestion = started(tmp_path, url.replace(f":{node.port}/", f":{cable.port}/"))
        outage = partial(cut_off, cable)
    wait_until(lambda: spool_of(ingestion).standing().known, 30)
    yield ingestion, outage, url
    ingestion.close()
    if cable is not None:
        cable.close()


class Markers:
    """Sends markers through every partition, as trigger does, all the time."""

    def __init__(self, url: str) -> None:
        self._broker = connect_broker(url, CLOCK)
        self._publisher = ready_publisher(self._broker, moments_topology(PARTITIONS))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._broker.close()

    def _send(self) -> None:
        while not self._ended.wait(0.02):
            for partition in range(PARTITIONS):
                marker = Marker(partition=partition, nonce="of-the-test", at=CLOCK.now())
                self._publisher.publish(
                    Message(
                        exchange=PARTITIONS_EXCHANGE,
                        routing_key=partition_key(partition),
                        body=encode(marker),
                        message_id=f"{MARKER_ID_PREFIX}{partition}",
                    )
                )


class Load:
    """Customers of whom each sends one signal after the other, and when each was acknowledged."""

    def __init__(self, ingestion: Ingestion, customers: int) -> None:
        self.acknowledged: dict[str, int] = {}
        self.refused: list[int] = []
        self._ingestion = ingestion
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(f"c{n}",)) for n in range(customers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, customer: str) -> None:
        count = 0
        while not self._ended.wait(0.004):
            count += 1
            id = f"{customer}-{count}"
            status = send(self._ingestion, signal(id, email=f"{customer}@example.com")).status_code
            if status == 200:
                self.acknowledged[id] = CLOCK.now()
            else:
                self.refused.append(status)


Came = list[Signal | SpoolWord | Marker]


def read_partitions(ingestion: Ingestion, until: int) -> list[Came]:
    """What came through each partition, in order, up to a word for an instant.

    A word may be for a lease later than it was said: what is acknowledged in between comes behind it.
    """
    return [_read(ingestion, partition_queue(partition), until) for partition in range(PARTITIONS)]


def _read(ingestion: Ingestion, queue: str, until: int) -> Came:
    """All of a queue up to a word for an instant, or one that leaves."""
    came: Came = []
    consumer = ingestion.broker.consumer([queue])

    def enough() -> bool:
        arrived = consumer.receive(1000, 0.3)
        for each in arrived:
            if each.message_id.startswith(SPOOL_ID_PREFIX):
                came.append(decode_spool_word(each.body))
            elif each.message_id.startswith(MARKER_ID_PREFIX):
                came.append(decode_marker(each.body))
            else:
                came.append(decode_signal(each.body))
        if arrived:
            consumer.ack(arrived[-1])
        return any(isinstance(each, SpoolWord) and (each.at > until or each.leaving) for each in came)

    wait_until(enough, 30)
    consumer.drop()
    return came


def early_markers(came: Came, acknowledged: Mapping[str, int]) -> list[tuple[Marker, str]]:
    """Markers that count up to an instant before which a signal was acknowledged that comes only after them."""
    ahead = {each.id for each in came if isinstance(each, Signal)}
    found, said = [], 0
    for each in came:
        if isinstance(each, Signal):
            ahead.discard(each.id)
        elif isinstance(each, SpoolWord):
            said = each.at
        else:
            until = min(each.at, said)
            found += [(each, id) for id in ahead if acknowledged.get(id, until) < until]
    return found


def in_order(came: Came) -> bool:
    """Whether what each customer sent one after the other came so, repeats aside."""
    counts: dict[str, list[int]] = {}
    for id in dict.fromkeys(each.id for each in came if isinstance(each, Signal)):
        customer, _, count = id.partition("-")
        counts.setdefault(customer, []).append(int(count))
    return all(each == sorted(each) for each in counts.values())


def test_all_is_forwarded_in_order_and_no_marker_counts_beyond_what_was_acknowledged(
    machine: tuple[Ingestion, Outage, str],
) -> None:
    ingestion, outage, url = machine
    spool = spool_of(ingestion)

    with Markers(url), Load(ingestion, 4) as load:
        for goal in (50, 150):
            wait_until(lambda goal=goal: len(load.acknowledged) > goal, 60)  # type: ignore[misc]
            with outage():
                wait_until(lambda: spool.standing().signals > 50, 60)
            wait_until(lambda: not spool.filled, 60)
    partitions = read_partitions(ingestion, CLOCK.now() + int(LEASE * SECOND))

    assert {each.id for came in partitions for each in came if isinstance(each, Signal)} >= load.acknowledged.keys()
    assert load.refused == []
    assert all(in_order(came) for came in partitions)
    assert [early for came in partitions for early in early_markers(came, load.acknowledged)] == []


def test_one_that_is_switched_off_is_drained_and_signs_off(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/broker.db"
    ingestion = started(tmp_path, url)
    wait_until(lambda: spool_of(ingestion).standing().known, 30)
    with stuck(tmp_path / "broker.db"):
        assert send(ingestion, signal("s1")).status_code == 200
        ingestion.close()
    kept = look(tmp_path)
    assert kept is not None
    assert (kept.signals, kept.known) == (1, True), "one that keeps something back does not sign off"

    ingestion = started(tmp_path, url, MOMENTS_SPOOL="0")
    wait_until(lambda: not spool_of(ingestion).standing().known, 30)
    came = [
        each for partition in range(PARTITIONS) for each in _read(ingestion, partition_queue(partition), CLOCK.now())
    ]
    ingestion.close()

    assert [each.id for each in came if isinstance(each, Signal)] == ["s1"]
    assert [each.leaving for each in came if isinstance(each, SpoolWord)].count(True) == PARTITIONS
