"""What the RabbitMQ adapter does when the node dies, blocks or stays away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pika
import pytest

from contracts.topology import PARTITIONS, Queue, Topology, moments_topology, partition_key, partition_queue
from shared.broker import Broker, BrokerUnavailable, Consumer, ConsumerLost, Message, Publisher, connect_broker
from shared.broker.rabbitmq import consumer as consuming
from shared.broker.rabbitmq.declarations import queue_arguments
from shared.broker.rabbitmq.frames import PublishEncoder, properties
from shared.clock import ManualClock
from tests.support.processes import free_ports, stretched, wait_until
from tests.support.publishing import ready_publisher
from tests.support.rabbitmq import RabbitMQNode

pytestmark = [pytest.mark.rabbitmq, pytest.mark.slow]

QUEUE = Queue("work", single_active=True)


@pytest.fixture
def broker(rabbitmq_url: str) -> Iterator[Broker]:
    broker = connect_broker(rabbitmq_url, ManualClock(0))
    yield broker
    broker.close()


def to_queue(number: int) -> Message:
    return Message(exchange="", routing_key=QUEUE.name, body=b"%d" % number, message_id=str(number))


def publish_until(stop: threading.Event, publisher: Publisher, confirmed: list[int]) -> None:
    """Publish rising numbers in batches of 50; a batch that fails is published again, as a relay does."""
    number = 0
    while not stop.is_set():
        futures = publisher.publish_all([to_queue(each) for each in range(number, number + 50)])
        if all(future.exception(60) is None for future in futures):
            confirmed.extend(range(number, number + 50))
            number += 50
        else:
            stop.wait(0.05)


def is_lost(consumer: Consumer) -> bool:
    try:
        consumer.receive(1_000, 0.1)
    except ConsumerLost:
        return True
    return False


def test_a_killed_node_loses_nothing_that_it_confirmed(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    """SIGKILL of the node under load, restart on its folder.

    The publisher reconnects by itself, the consumer raises ConsumerLost and a new one goes on; every confirmed message
    is received, each number for the first time in order.
    """
    broker.declare_queue(QUEUE, [])
    rabbitmq_node.settle()
    publisher = broker.publisher()
    stop = threading.Event()
    confirmed: list[int] = []
    thread = threading.Thread(target=publish_until, args=(stop, publisher, confirmed), daemon=True)
    thread.start()
    try:
        consumer = broker.consumer([QUEUE.name])
        wait_until(lambda: len(confirmed) > 1_000, "publishing to get going")
        held = consumer.receive(100, 60.0)
        rabbitmq_node.kill()
        before = len(confirmed)
        wait_until(lambda: is_lost(consumer), "the consumer to notice")
        consumer.drop()
        rabbitmq_node.start()
        wait_until(lambda: len(confirmed) > before + 1_000, "the publisher to recover")
    finally:
        stop.set()
        thread.join()
    assert publisher.ready
    consumer = broker.consumer([QUEUE.name])
    received: list[int] = []

    def all_came() -> bool:
        if fresh := consumer.receive(1_000, 1.0):
            received.extend(int(delivery.message_id) for delivery in fresh)
            consumer.ack(fresh[-1])
        return not fresh and set(confirmed) <= set(received)

    wait_until(all_came, "all that was confirmed")
    consumer.drop()

    assert held[0].message_id == "0"
    assert received[:100] == list(range(100))
    assert set(confirmed) <= set(received)
    assert list(dict.fromkeys(received)) == sorted(set(received))


def test_while_the_node_is_away_a_publish_fails_within_two_seconds(rabbitmq_node: RabbitMQNode) -> None:
    """connection refused, again and again: the first publish waits for its grace, later ones fail at once."""
    broker = connect_broker(f"amqp://moments:moments@127.0.0.1:{free_ports(1)[0]}/", ManualClock(0))
    publisher = broker.publisher()

    started = time.monotonic()
    first = publisher.publish(to_queue(1)).exception(60)
    waited = time.monotonic() - started
    at_once = publisher.publish(to_queue(2))

    assert isinstance(first, BrokerUnavailable)
    assert waited < stretched(2)
    assert isinstance(at_once.exception(0), BrokerUnavailable)
    assert not publisher.ready
    with pytest.raises(BrokerUnavailable):
        broker.ping()
    with pytest.raises(ConsumerLost):
        broker.consumer(["work"]).receive(1, 5.0)
    broker.close()


def test_a_frozen_node_fails_publishes_within_ten_seconds(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    """SIGSTOP: the socket stays open and nothing answers; confirms missing for 8 s give the connection up."""
    broker.declare_queue(QUEUE, [])
    publisher = broker.publisher()
    publisher.publish(to_queue(0)).result(60)

    with rabbitmq_node.frozen():
        assert isinstance(publisher.publish(to_queue(1)).exception(stretched(12)), BrokerUnavailable)
        wait_until(lambda: publisher.publish(to_queue(2)).exception(60) is not None, "the second to fail")

    wait_until(lambda: publisher.ready, "the publisher to be back")
    publisher.publish(to_queue(3)).result(60)


def test_a_topology_that_the_broker_refuses_fails_every_publish(broker: Broker) -> None:
    """406 closes the channel, again on each new connection: futures end, none hangs."""
    broker.declare_queue(QUEUE, [])
    publisher = broker.publisher(Topology((), (Queue(QUEUE.name, max_length=3),), ()))

    errors = [publisher.publish(to_queue(number)).exception(60) for number in range(3)]

    assert {type(error) for error in errors} == {BrokerUnavailable}
    assert not publisher.ready


def test_what_was_underway_fails_when_the_connection_dies(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    """SIGKILL of the node between publish and confirm: every future ends, with BrokerUnavailable or confirmed."""
    broker.declare_queue(QUEUE, [])
    publisher = broker.publisher()
    publisher.publish(to_queue(0)).result(60)
    rabbitmq_node.settle()

    futures: list[Future[None]] = publisher.publish_all([to_queue(each) for each in range(1, 2_000)])
    with rabbitmq_node.frozen():
        futures += publisher.publish_all([to_queue(each) for each in range(2_000, 4_000)])
        rabbitmq_node.kill()
    errors = [future.exception(60) for future in futures]

    assert {type(error) for error in errors} <= {type(None), BrokerUnavailable}
    assert isinstance(errors[-1], BrokerUnavailable)
    rabbitmq_node.start()
    wait_until(lambda: publisher.ready, "the publisher to be back")


def test_a_node_in_memory_alarm_is_not_ready_and_refuses_at_once(broker: Broker, rabbitmq_node: RabbitMQNode) -> None:
    """connection.blocked: what is underway fails within seconds, the next publish at once; unblocked: all is well."""
    broker.declare_queue(QUEUE, [])
    publisher = broker.publisher()
    publisher.publish(to_queue(0)).result(60)

    rabbitmq_node.ctl("set_vm_memory_high_watermark", "0.000001")
    try:
        wait_until(lambda: publisher.publish(to_queue(1)).exception(60) is not None, "the alarm to be noticed")
        assert not publisher.ready
        assert isinstance(publisher.publish(to_queue(2)).exception(stretched(1)), BrokerUnavailable)
    finally:
        rabbitmq_node.ctl("set_vm_memory_high_watermark", "absolute", "2GB")

    wait_until(lambda: publisher.ready, "the alarm to end")
    publisher.publish(to_queue(3)).result(60)


def test_a_busy_caller_keeps_its_connection(rabbitmq_url: str) -> None:
    """heartbeat=1: the caller computes for 4 s between receive and ack; the consumer's thread answers meanwhile."""
    broker = connect_broker(f"{rabbitmq_url}?heartbeat=1", ManualClock(0))
    broker.declare_queue(QUEUE, [])
    ready_publisher(broker).publish(to_queue(1)).result(60)
    consumer = broker.consumer([QUEUE.name])
    (held,) = consumer.receive(1, 60.0)

    deadline = time.monotonic() + 4.0
    while time.monotonic() < deadline:
        sum(range(10_000))
    consumer.ack(held)
    consumer.drop()

    assert broker.depth(QUEUE.name) == 0
    broker.close()


def test_large_messages_that_nobody_takes_stay_in_the_socket_and_the_broker(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """prefetch counts messages; where they are large the socket is not read on, until some were taken or the drop."""
    monkeypatch.setattr(consuming, "MOST_BYTES", 100_000)
    monkeypatch.setattr(consuming, "_MOST_AHEAD", 400_000)
    broker.declare_queue(QUEUE, [])
    messages = [
        Message(exchange="", routing_key=QUEUE.name, body=b"x" * 10_000, message_id=str(number))
        for number in range(300)
    ]
    for future in ready_publisher(broker).publish_all(messages):
        future.result(20)
    batches: list[list[str]] = []

    for drained in (False, True):
        consumer = broker.consumer([QUEUE.name])
        assert isinstance(consumer, consuming.RabbitMQConsumer)
        wait_until(lambda: consumer._holding, "the reading to be held")  # noqa: B023
        assert consumer._came < 1_500_000
        while drained and sum(map(len, batches)) < 300:
            batches.append([each.message_id for each in consumer.receive(2_000, 5.0)])
        consumer.drop()
        assert not consumer._thread.is_alive()

    assert [int(each) for batch in batches for each in batch] == list(range(300))
    assert max(map(len, batches)) == 10


def test_a_confirm_may_settle_many_publishes(broker: Broker) -> None:
    """16 partition queues answer at their own pace, so confirms come singly, with multiple=true and out of order."""
    topology = moments_topology(16)
    publisher = broker.publisher(topology)

    futures = publisher.publish_all(
        [
            Message(exchange=PARTITIONS, routing_key=partition_key(number % 16), body=b"", message_id=str(number))
            for number in range(4_800)
        ]
    )

    assert {future.exception(60) for future in futures} == {None}
    assert [broker.depth(partition_queue(n)) for n in range(16)] == [300] * 16


def test_arguments_are_the_portable_set() -> None:
    """At-least-once dead lettering needs reject-publish, which without a maximum length has no other effect."""
    assert queue_arguments(Queue("q", single_active=True, dead_letter="dead")) == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-single-active-consumer": True,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    assert queue_arguments(Queue("q", max_length=10, dead_letter="dead"))["x-dead-letter-strategy"] == "at-most-once"
    assert queue_arguments(Queue("q", max_length=10))["x-overflow"] == "drop-head"
    assert "x-overflow" not in queue_arguments(Queue("q"))


@pytest.mark.parametrize(
    "message",
    [
        Message(exchange="e", routing_key="k", body=b"x" * 500, message_id="é", hidden_copies=("partition.01",)),
        Message(exchange="", routing_key="", body=b"", message_id="", optional=True),
        Message(exchange="e", routing_key="k", body=b"y" * 10_000, message_id="1", headers={"a": "b"}),
        Message(exchange="e", routing_key="k", body=b"z" * 4_088, message_id="1", content_type="text/plain"),
    ],
)
def test_encoded_frames_equal_those_of_pika(message: Message) -> None:
    """Method, header and body frames byte for byte, the body in pieces of frame_max − 8; twice, for the memory."""
    publish = pika.spec.Basic.Publish(
        exchange=message.exchange, routing_key=message.routing_key, mandatory=not message.optional
    )
    expected = pika.frame.Method(7, publish).marshal()
    expected += pika.frame.Header(7, len(message.body), properties(message)).marshal()
    for at in range(0, len(message.body), 4_088):
        expected += pika.frame.Body(7, message.body[at : at + 4_088]).marshal()
    encoder = PublishEncoder(7, 4_096)

    assert encoder.encode(message) == expected
    assert encoder.encode(message) == expected


def test_a_message_that_cannot_be_encoded_fails_alone(broker: Broker) -> None:
    """A routing key over 255 bytes cannot go on the wire; its neighbours do."""
    broker.declare_queue(QUEUE, [])

    good, bad, other = ready_publisher(broker).publish_all(
        [to_queue(1), Message(exchange="", routing_key="k" * 300, body=b"", message_id="2"), to_queue(3)]
    )

    assert isinstance(bad.exception(60), ValueError)
    assert good.exception(60) is None
    assert other.exception(60) is None


def test_a_stopped_node_leaves_no_process(tmp_path: Path, rabbitmq_node: RabbitMQNode) -> None:
    """Server, shell, port mapper and helpers of a private node end with it."""
    node = RabbitMQNode(tmp_path / "node")
    node.start()
    marker = str(tmp_path / "node").encode()

    node.stop()

    assert _processes_with(marker) == []


def _processes_with(marker: bytes) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found
