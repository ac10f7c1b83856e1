"""What every broker promises, on each: order, redelivery, one active consumer, confirms, routing, bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from contracts.topology import (
    JOURNEYS,
    LOST,
    PARTITIONS,
    SIGNALS,
    UNROUTED,
    Binding,
    Exchange,
    Queue,
    Topology,
    moments_topology,
    partition_key,
    partition_queue,
)
from shared.broker import (
    MOST_BYTES,
    Broker,
    BrokerUnavailable,
    Consumer,
    ConsumerLost,
    DeclarationRefused,
    Delivery,
    Message,
    Overloaded,
    UnknownQueue,
    Unroutable,
    connect_broker,
)
from shared.clock import ManualClock
from tests.support import broker_programs
from tests.support.processes import wait_until
from tests.support.publishing import ready_publisher

QUEUE = "work"
SINGLE = Queue(QUEUE, single_active=True)


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    broker = connect_broker(broker_url, ManualClock(0))
    yield broker
    broker.close()


@contextmanager
def consuming(broker: Broker, *queues: str, prefetch: int = 1000) -> Iterator[Consumer]:
    consumer = broker.consumer(queues, prefetch=prefetch)
    try:
        yield consumer
    finally:
        consumer.drop()


def to_queue(number: int, queue: str = QUEUE) -> Message:
    return Message(exchange="", routing_key=queue, body=b"%d" % number, message_id=str(number))


def publish(broker: Broker, *messages: Message) -> None:
    for future in ready_publisher(broker).publish_all(messages):
        future.result(60)


def publish_numbers(broker: Broker, *numbers: int) -> None:
    publish(broker, *[to_queue(number) for number in numbers])


def take(consumer: Consumer, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, however many calls that needs."""
    taken: list[Delivery] = []

    def enough() -> bool:
        taken.extend(consumer.receive(count - len(taken), 1.0))
        return len(taken) == count

    wait_until(enough, f"{count} deliveries")
    return taken


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [int(delivery.message_id) for delivery in deliveries]


def drain(broker: Broker, queue: str) -> list[Delivery]:
    """All that lies in a queue now, acknowledged."""
    taken: list[Delivery] = []
    count = broker.depth(queue)
    with consuming(broker, queue) as consumer:
        while fresh := consumer.receive(1000, 60.0 if len(taken) < count else 0.1):
            taken += fresh
            consumer.ack(fresh[-1])
    return taken


def test_messages_of_one_publisher_arrive_in_order_with_rising_tags(broker: Broker) -> None:
    """300 publishes on one connection, one consumer with prefetch: deliveries 1…300, none of them redelivered."""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, *range(300))

    with consuming(broker, QUEUE) as consumer:
        taken = take(consumer, 300)

    assert numbers(taken) == list(range(300))
    assert [delivery.tag for delivery in taken] == list(range(1, 301))
    assert not any(delivery.redelivered for delivery in taken)


def test_a_message_arrives_as_it_was_sent(broker: Broker) -> None:
    """Header and body frames carry id, headers and any bytes, also none and more than one frame holds."""
    broker.declare_queue(SINGLE, [])
    bodies = [b"", b"\x00\xce\xff", b"x" * 300_000]

    publish(
        broker,
        *[
            Message(exchange="", routing_key=QUEUE, body=body, message_id="Ünïque", headers={"attempt": "3", "é": "ü"})
            for body in bodies
        ],
    )
    with consuming(broker, QUEUE) as consumer:
        taken = take(consumer, 3)

    assert [delivery.body for delivery in taken] == bodies
    assert {delivery.message_id for delivery in taken} == {"Ünïque"}
    assert {delivery.queue for delivery in taken} == {QUEUE}
    assert {delivery.routing_key for delivery in taken} == {QUEUE}
    assert [dict(delivery.headers) for delivery in taken] == [{"attempt": "3", "é": "ü"}] * 3


def test_receive_returns_nothing_after_its_wait_and_never_more_than_its_limit(broker: Broker) -> None:
    """An empty queue sends no frame; a full prefetch window stays in the consumer's buffer beyond the limit."""
    broker.declare_queue(SINGLE, [])

    with consuming(broker, QUEUE) as consumer:
        assert consumer.receive(10, 0.05) == []
        publish_numbers(broker, *range(25))

        assert [len(take(consumer, 10)), len(take(consumer, 10)), len(take(consumer, 5))] == [10, 10, 5]


def test_a_batch_of_large_messages_ends_before_they_fill_the_memory(broker: Broker) -> None:
    """18 MB in two queues: the batch ends with the message that brings it to its bound, the rest comes in the next."""
    other = "other"
    for name in (QUEUE, other):
        broker.declare_queue(Queue(name), [])
    body = b"x" * (MOST_BYTES // 16)
    publish(
        broker,
        *[
            Message(exchange="", routing_key=(QUEUE, other)[n % 2], body=body, message_id=str(n), headers={})
            for n in range(18)
        ],
    )
    sizes, taken = [], list[Delivery]()

    with consuming(broker, QUEUE, other, prefetch=4_000) as consumer:

        def all_came() -> bool:
            fresh = consumer.receive(2_000, 1.0)
            sizes.append(sum(len(each.body) for each in fresh))
            taken.extend(fresh)
            if fresh:
                consumer.ack(fresh[-1])
            return len(taken) == 18

        wait_until(all_came, "18 messages")

    assert max(sizes) <= MOST_BYTES
    assert sorted(numbers(taken)) == list(range(18))
    assert [delivery.tag for delivery in taken] == list(range(1, 19))
    for queue in (QUEUE, other):
        came = numbers([each for each in taken if each.queue == queue])
        assert came == sorted(came)


def test_it_is_told_which_queues_somebody_consumes(broker: Broker) -> None:
    """On RabbitMQ passive declarations count consumers; the embedded broker looks at its leases."""
    other = "other"
    for name in (QUEUE, other):
        broker.declare_queue(Queue(name, single_active=True), [])
    assert broker.consumed([QUEUE, other]) == set()

    with consuming(broker, QUEUE) as consumer:
        assert consumer.receive(1, 0.01) == []
        wait_until(lambda: broker.consumed([QUEUE, other]) == {QUEUE}, "the consumer to be seen")
        assert broker.consumed([other]) == set()
        publish_numbers(broker, 1)
        assert numbers(take(consumer, 1)) == [1]  # to be looked at takes nothing away

    wait_until(lambda: broker.consumed([QUEUE, other]) == set(), "the consumer to be gone")
    with pytest.raises(UnknownQueue):
        broker.consumed([QUEUE, "nowhere"])


def test_an_acknowledgement_settles_all_deliveries_up_to_it_in_every_queue(broker: Broker) -> None:
    """basic.ack with multiple=true in the middle of two queues; the socket drops; the rest comes again."""
    others = [Queue("a", single_active=True), Queue("b", single_active=True)]
    for queue in others:
        broker.declare_queue(queue, [])
    publish(broker, *[to_queue(number, queue.name) for number in range(20) for queue in others])

    with consuming(broker, "a", "b") as consumer:
        taken = take(consumer, 40)
        consumer.ack(taken[24])
    with consuming(broker, "a", "b") as consumer:
        again = take(consumer, 15)

    expected = {queue: [d.message_id for d in taken[25:] if d.queue == queue] for queue in ("a", "b")}
    assert {queue: [d.message_id for d in again if d.queue == queue] for queue in ("a", "b")} == expected
    assert all(delivery.redelivered for delivery in again)


def test_unacknowledged_messages_come_first_and_in_order_after_a_drop(broker: Broker) -> None:
    """The consumer acknowledges 40 of 100 and drops its socket; more is published; the next gets 40, 41, …"""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, *range(100))
    with consuming(broker, QUEUE) as consumer:
        consumer.ack(take(consumer, 100)[39])

    publish_numbers(broker, *range(100, 150))
    with consuming(broker, QUEUE) as consumer:
        taken = take(consumer, 110)

    assert numbers(taken) == list(range(40, 150))
    assert all(delivery.redelivered for delivery in taken[:60])


def test_an_acknowledgement_just_before_a_drop_is_kept(broker: Broker) -> None:
    """drop flushes: basic.ack, a round trip on the channel, then the end of the stream. Ten times nothing returns."""
    broker.declare_queue(SINGLE, [])

    for turn in range(10):
        publish_numbers(broker, *range(turn * 50, turn * 50 + 50))
        with consuming(broker, QUEUE) as consumer:
            taken = take(consumer, 50)
            consumer.ack(taken[-1])

        assert numbers(taken) == list(range(turn * 50, turn * 50 + 50))

    assert drain(broker, QUEUE) == []


def test_a_killed_consumer_loses_nothing_and_keeps_the_order(broker: Broker, broker_url: str) -> None:
    """SIGKILL of the process that holds 200 deliveries: the kernel ends its socket or lock, all 200 come again."""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, *range(200))
    process = broker_programs.start("hold", broker_url, QUEUE)
    assert process.stdout is not None
    held = [int(process.stdout.readline()) for _ in range(200)]

    process.kill()
    process.communicate()
    with consuming(broker, QUEUE) as consumer:
        taken = take(consumer, 200)

    assert held == list(range(200))
    assert numbers(taken) == list(range(200))
    assert all(delivery.redelivered for delivery in taken)


def test_one_consumer_is_active_and_the_next_starts_with_what_it_left(broker: Broker) -> None:
    """Two consumers on a single-active queue: the second waits; after the first one's drop it gets 10, 11, …"""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, *range(50))

    with consuming(broker, QUEUE) as first:
        held = take(first, 50)
        with consuming(broker, QUEUE) as second:
            assert second.receive(10, 0.3) == []
            first.ack(held[9])
            publish_numbers(broker, *range(50, 60))
            assert second.receive(10, 0.3) == []

            first.drop()
            taken = take(second, 50)

    assert numbers(taken) == list(range(10, 60))


def test_order_survives_takeovers_under_load(broker: Broker) -> None:
    """Five consumers one after the other, each dropped with a window unacknowledged while publishing goes on."""
    broker.declare_queue(SINGLE, [])
    settled: list[int] = []
    publisher = ready_publisher(broker)

    for turn in range(5):
        futures = publisher.publish_all([to_queue(number) for number in range(turn * 200, turn * 200 + 200)])
        with consuming(broker, QUEUE, prefetch=100) as consumer:
            taken = take(consumer, 100)
            consumer.ack(taken[59])
            settled += numbers(taken[:60])
        for future in futures:
            future.result(60)

    assert settled == list(range(300))
    assert numbers(drain(broker, QUEUE)) == list(range(300, 1000))


def test_what_was_confirmed_to_a_killed_publisher_is_in_the_queue(broker: Broker, broker_url: str) -> None:
    """SIGKILL in the midst of confirmed publishing: confirmed ⊆ received, in order, nothing twice."""
    broker.declare_queue(SINGLE, [])
    process = broker_programs.start("publish", broker_url, QUEUE)
    assert process.stdout is not None
    confirmed = [int(process.stdout.readline()) for _ in range(500)]

    process.kill()
    confirmed += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
    received = numbers(drain(broker, QUEUE))

    assert confirmed == list(range(len(confirmed)))
    assert received == list(range(len(received)))
    assert len(received) >= len(confirmed)


def test_a_publisher_made_before_a_fork_works_in_parent_and_child(broker: Broker, broker_url: str) -> None:
    """The connection and its thread come to be at the first publish, so each process has its own."""
    broker.declare_queue(SINGLE, [])
    process = broker_programs.start("fork", broker_url, QUEUE)

    assert process.communicate(timeout=120)[0] == "done\n"
    assert {delivery.message_id for delivery in drain(broker, QUEUE)} == {"parent", "child"}


def test_a_message_without_a_queue_is_unroutable_unless_optional(broker: Broker) -> None:
    """mandatory: basic.return comes before the confirm. Not mandatory: only the confirm."""
    broker.declare(Topology((Exchange("e", "topic"),), (SINGLE,), (Binding("e", QUEUE, "a.*"),)))
    publisher = ready_publisher(broker)

    def message(key: str, *, optional: bool = False) -> Message:
        return Message(exchange="e", routing_key=key, body=b"", message_id=key, optional=optional)

    futures = publisher.publish_all([message("a.b"), message("b"), message("c", optional=True), message("b")])

    assert [type(future.exception(60)) for future in futures] == [type(None), Unroutable, type(None), Unroutable]
    assert [delivery.message_id for delivery in drain(broker, QUEUE)] == ["a.b"]


def test_what_is_handed_over_together_is_told_of_in_its_order(broker: Broker) -> None:
    """Confirms may come in any order and several in one; each message's outcome stands at its own place."""
    broker.declare(Topology((Exchange("e", "topic"),), (SINGLE,), (Binding("e", QUEUE, "a.*"),)))
    keys = ["a.b" if number % 7 else "b" for number in range(300)]
    messages = [Message(exchange="e", routing_key=key, body=b"", message_id=str(n)) for n, key in enumerate(keys)]

    outcomes = ready_publisher(broker).publish_together(messages).wait(30)

    assert [type(outcome) for outcome in outcomes] == [type(None) if key == "a.b" else Unroutable for key in keys]
    routed = [str(number) for number, key in enumerate(keys) if key == "a.b"]
    assert [delivery.message_id for delivery in drain(broker, QUEUE)] == routed
    assert ready_publisher(broker).publish_together([]).wait(0) == []


def test_hidden_copies_count_as_routes_for_mandatory(broker: Broker) -> None:
    """A queue for any of the keys is enough; none at all is a basic.return, also with a BCC header."""
    broker.declare(Topology((Exchange("e", "direct"),), (SINGLE,), (Binding("e", QUEUE, "bound"),)))

    def outcome(key: str, hidden: str) -> BaseException | None:
        message = Message(exchange="e", routing_key=key, body=b"", message_id="1", hidden_copies=(hidden,))
        return ready_publisher(broker).publish(message).exception(60)

    assert outcome("bound", "free") is None
    assert outcome("free", "bound") is None
    assert isinstance(outcome("free", "free"), Unroutable)
    assert broker.depth(QUEUE) == 2


def test_an_unknown_exchange_is_unroutable_and_the_publisher_goes_on(broker: Broker) -> None:
    """RabbitMQ closes the channel with 404; the publisher comes back with a new connection."""
    broker.declare_queue(SINGLE, [])
    publisher = ready_publisher(broker)

    error = publisher.publish(Message(exchange="nowhere", routing_key="", body=b"", message_id="1")).exception(60)

    assert isinstance(error, Unroutable)
    wait_until(lambda: publisher.publish(to_queue(1)).exception(60) is None, "the publisher to be back")


def test_hidden_copies_reach_their_queue_and_nobody_sees_them(broker: Broker) -> None:
    """One publish with a BCC header: the partition and a journey get it, each with the open routing key only."""
    broker.declare(moments_topology(4))
    broker.declare_queue(Queue("journey"), [Binding(JOURNEYS, "journey", "signal.cart.#")])

    publish(
        broker,
        Message(
            exchange=SIGNALS,
            routing_key="signal.cart.add",
            body=b"{}",
            message_id="1",
            hidden_copies=(partition_key(2),),
        ),
    )

    for queue in (partition_queue(2), "journey"):
        (delivery,) = drain(broker, queue)
        assert (delivery.routing_key, dict(delivery.headers)) == ("signal.cart.add", {})
    assert [broker.depth(partition_queue(n)) for n in (0, 1, 3)] == [0, 0, 0]


def test_a_queue_gets_a_message_once_however_many_bindings_match(broker: Broker) -> None:
    """Two keys, two bindings and two ways through exchanges to one queue: one delivery."""
    broker.declare(
        Topology(
            (Exchange("in", "topic"), Exchange("side", "fanout"), Exchange("back", "direct")),
            (SINGLE,),
            (
                Binding("in", QUEUE, "#"),
                Binding("in", QUEUE, "a.*"),
                Binding("in", "side", "a.b", to_exchange=True),
                Binding("side", "back", "", to_exchange=True),
                Binding("back", QUEUE, "hidden"),
                Binding("back", "in", "hidden", to_exchange=True),
            ),
        )
    )

    publish(broker, Message(exchange="in", routing_key="a.b", body=b"", message_id="1", hidden_copies=("hidden",)))

    assert len(drain(broker, QUEUE)) == 1


def test_a_message_for_no_partition_lands_in_moments_lost(broker: Broker) -> None:
    """moments.partitions routes nowhere, its alternate exchange does; the publisher sees a confirm."""
    broker.declare(moments_topology(2))

    publish(broker, Message(exchange=PARTITIONS, routing_key=partition_key(7), body=b"", message_id="astray"))

    assert [delivery.message_id for delivery in drain(broker, LOST)] == ["astray"]


def test_an_unbound_moment_is_kept_and_an_unbound_signal_is_not(broker: Broker) -> None:
    """The alternate exchange of moments.journeys is a topic exchange; its queue is bound for moment.# only."""
    broker.declare(moments_topology(2))

    publish(
        broker,
        Message(exchange=JOURNEYS, routing_key="moment.cart_abandon", body=b"", message_id="moment"),
        Message(
            exchange=SIGNALS,
            routing_key="signal.cart.add",
            body=b"",
            message_id="signal",
            hidden_copies=(partition_key(1),),
        ),
    )

    assert [delivery.message_id for delivery in drain(broker, UNROUTED)] == ["moment"]
    assert [delivery.message_id for delivery in drain(broker, partition_queue(1))] == ["signal"]


def test_a_bounded_queue_drops_its_oldest_messages(broker: Broker) -> None:
    """x-max-length 10 with drop-head: of 25 the last 10 stay."""
    broker.declare_queue(Queue(QUEUE, max_length=10, overflow="drop-head"), [])

    for number in range(25):
        publish_numbers(broker, number)

    assert broker.depth(QUEUE) == 10
    assert numbers(drain(broker, QUEUE)) == list(range(15, 25))


def test_a_bounded_queue_has_room_again_after_acknowledgements(broker: Broker) -> None:
    """The bound counts what lies there now, not what ever did."""
    broker.declare_queue(Queue(QUEUE, max_length=10, overflow="drop-head"), [])
    publish_numbers(broker, *range(10))
    assert len(drain(broker, QUEUE)) == 10

    publish_numbers(broker, *range(10, 20))

    assert numbers(drain(broker, QUEUE)) == list(range(10, 20))


def test_a_full_queue_may_refuse_instead(broker: Broker) -> None:
    """x-overflow reject-publish: basic.nack, which the caller sees as Overloaded (one or two more may fit)."""
    broker.declare_queue(Queue(QUEUE, max_length=5, overflow="reject-publish"), [])
    publisher = ready_publisher(broker)

    outcomes = [publisher.publish(to_queue(number)).exception(60) for number in range(10)]

    accepted = [number for number, error in enumerate(outcomes) if error is None]
    assert 5 <= len(accepted) <= 7
    assert {type(error) for error in outcomes} == {type(None), Overloaded}
    assert numbers(drain(broker, QUEUE)) == accepted


def test_a_message_pushed_out_of_a_bounded_queue_goes_to_its_dead_letters(broker: Broker) -> None:
    """drop-head with a dead-letter queue: the oldest arrives there with reason maxlen."""
    broker.declare_queue(Queue("dead"), [])
    broker.declare_queue(Queue(QUEUE, max_length=2, overflow="drop-head", dead_letter="dead"), [])

    publish_numbers(broker, 1)
    publish_numbers(broker, 2)
    publish_numbers(broker, 3)

    wait_until(lambda: broker.depth("dead") == 1, "the dead letter")
    (dead,) = drain(broker, "dead")
    assert (dead.message_id, dead.body, dead.routing_key) == ("1", b"1", "dead")
    assert dead.headers["x-first-death-reason"] == "maxlen"
    assert dead.headers["x-first-death-queue"] == QUEUE


def test_a_message_that_kills_its_consumers_ends_among_the_dead_letters(broker: Broker) -> None:
    """Delivery limit 2: after the third consumer dropped with it, the broker moves it, and the next comes."""
    broker.declare_queue(Queue("dead"), [])
    broker.declare_queue(Queue(QUEUE, single_active=True, dead_letter="dead", delivery_limit=2), [])
    publish_numbers(broker, 1)

    for _ in range(3):
        with consuming(broker, QUEUE, prefetch=1) as consumer:
            assert numbers(take(consumer, 1)) == [1]
    publish_numbers(broker, 2)
    with consuming(broker, QUEUE) as consumer:
        assert numbers(take(consumer, 1)) == [2]

    wait_until(lambda: broker.depth("dead") == 1, "the dead letter")
    (dead,) = drain(broker, "dead")
    assert dead.message_id == "1"
    assert dead.headers["x-first-death-reason"] == "delivery_limit"
    assert dead.headers["x-first-death-queue"] == QUEUE


def test_a_publisher_serves_many_threads_and_keeps_the_order_of_each(broker: Broker) -> None:
    """8 threads × 300 messages, singly and in batches, over one connection: all there, each thread's in order."""
    broker.declare_queue(SINGLE, [])
    publisher = ready_publisher(broker)
    failures: list[BaseException] = []

    def run(thread: int) -> None:
        messages = [
            Message(exchange="", routing_key=QUEUE, body=b"", message_id=f"{thread}:{number}") for number in range(300)
        ]
        futures = [publisher.publish(message) for message in messages[:50]]
        futures += publisher.publish_all(messages[50:])
        failures.extend(error for future in futures if (error := future.exception(60)))

    threads = [threading.Thread(target=run, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    received = [delivery.message_id.split(":") for delivery in drain(broker, QUEUE)]

    assert failures == []
    for thread in range(8):
        assert [int(number) for owner, number in received if owner == str(thread)] == list(range(300))


def test_a_publisher_takes_a_bounded_number_of_messages(broker: Broker) -> None:
    """Beyond 5,000 not yet confirmed the future fails at once; those taken are all confirmed, and in order."""
    broker.declare_queue(SINGLE, [])

    futures = ready_publisher(broker).publish_all([to_queue(number) for number in range(6_000)])

    errors = [future.exception(60) for future in futures]
    assert {type(error) for error in errors[:5_000]} == {type(None)}
    assert {type(error) for error in errors[5_000:]} == {Overloaded}
    assert numbers(drain(broker, QUEUE)) == list(range(5_000))


def test_of_what_is_handed_over_together_only_what_goes_beyond_the_bound_fails(broker: Broker) -> None:
    """The outcome of each is told at its place; the last of those taken ends the wait."""
    broker.declare_queue(SINGLE, [])

    outcomes = ready_publisher(broker).publish_together([to_queue(number) for number in range(6_000)]).wait(30)

    assert {type(outcome) for outcome in outcomes[:5_000]} == {type(None)}
    assert {type(outcome) for outcome in outcomes[5_000:]} == {Overloaded}


def test_a_closed_publisher_has_confirmed_what_it_took_and_takes_no_more(broker: Broker) -> None:
    """close waits for the confirms underway, then ends connection and thread."""
    broker.declare_queue(SINGLE, [])
    publisher = ready_publisher(broker)
    futures = publisher.publish_all([to_queue(number) for number in range(1_000)])

    publisher.close()

    assert all(future.done() and future.exception() is None for future in futures)
    assert not publisher.ready
    assert isinstance(publisher.publish(to_queue(1)).exception(60), BrokerUnavailable)
    assert [type(outcome) for outcome in publisher.publish_together([to_queue(1)]).wait(60)] == [BrokerUnavailable]


def test_a_publisher_declares_its_topology_before_it_publishes(broker: Broker) -> None:
    """On a broker that knows nothing the first publish finds exchanges, queues and bindings in place."""
    publisher = ready_publisher(broker, moments_topology(2))

    assert publisher.ready
    publisher.publish(Message(exchange=PARTITIONS, routing_key=partition_key(1), body=b"", message_id="1")).result(60)

    assert broker.depth(partition_queue(1)) == 1


def test_a_publisher_sees_a_queue_that_was_bound_later(broker: Broker) -> None:
    """A journey comes, then goes: routing follows what another connection declared or deleted."""
    broker.declare(Topology((Exchange("e", "topic"),), (), ()))
    publisher = ready_publisher(broker)
    message = Message(exchange="e", routing_key="a", body=b"", message_id="1")

    assert isinstance(publisher.publish(message).exception(60), Unroutable)
    broker.declare_queue(SINGLE, [Binding("e", QUEUE, "a")])
    assert publisher.publish(message).exception(60) is None
    broker.delete_queue(QUEUE)
    assert isinstance(publisher.publish(message).exception(60), Unroutable)


def test_a_topology_may_be_declared_again_but_not_contradicted(broker: Broker) -> None:
    """The same declarations twice change nothing; another property under the same name is refused."""
    broker.declare(moments_topology(3))
    publish(broker, Message(exchange=PARTITIONS, routing_key=partition_key(1), body=b"", message_id="1"))

    broker.declare(moments_topology(3))

    assert broker.depth(partition_queue(1)) == 1
    with pytest.raises(DeclarationRefused):
        broker.declare_queue(Queue(partition_queue(1), max_length=5), [])
    with pytest.raises(DeclarationRefused):
        broker.declare(Topology((Exchange(SIGNALS, "fanout"),), (), ()))


def test_queues_come_and_go(broker: Broker) -> None:
    """Deleting what is not there is fine; asking for its depth is not."""
    broker.ping()
    broker.declare_queue(SINGLE, [])
    assert broker.depth(QUEUE) == 0

    broker.delete_queue(QUEUE)
    broker.delete_queue(QUEUE)

    with pytest.raises(UnknownQueue):
        broker.depth(QUEUE)


def test_a_queue_that_was_unbound_gets_nothing_more_by_that_key(broker: Broker) -> None:
    """queue.unbind; taking away what is not bound is fine, and the publisher sees the change."""
    broker.declare(Topology((Exchange("topics", "topic"),), (), ()))
    bindings = [Binding("topics", QUEUE, key) for key in ("a.*", "b.#")]
    broker.declare_queue(Queue(QUEUE), bindings)
    publisher = ready_publisher(broker)

    def tell(key: str) -> None:
        message = Message(exchange="topics", routing_key=key, body=b"", message_id=key, optional=True)
        publisher.publish(message).result(60)

    for key in ("a.1", "b.1"):
        tell(key)
    for _ in range(2):
        broker.unbind(bindings[:1])
    for key in ("a.2", "b.2"):
        tell(key)

    assert [delivery.message_id for delivery in drain(broker, QUEUE)] == ["a.1", "b.1", "b.2"]


def test_what_is_bound_is_told_in_full_or_not_at_all(broker: Broker) -> None:
    broker.declare(Topology((Exchange("events", "topic"), Exchange("others", "topic")), (Queue(QUEUE),), ()))
    bindings = [Binding("events", QUEUE, "a.*"), Binding("events", QUEUE, "b.#")]
    broker.declare_queue(Queue(QUEUE), [*bindings, Binding("others", QUEUE, "c")])

    told = broker.bound("events")

    assert told is None or sorted(told, key=lambda each: each.key) == bindings
    assert not broker.bound("nowhere")


def test_a_consumer_is_lost_when_its_queue_goes(broker: Broker) -> None:
    """basic.cancel from the broker: receive and ack raise, and go on raising."""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, 1)
    consumer = broker.consumer([QUEUE])
    (held,) = take(consumer, 1)

    broker.delete_queue(QUEUE)

    with pytest.raises(ConsumerLost):
        take(consumer, 1)
    with pytest.raises(ConsumerLost):
        consumer.ack(held)
    consumer.drop()


def test_a_consumer_of_a_queue_that_is_not_there_is_lost(broker: Broker) -> None:
    """basic.consume is answered by a channel error."""
    with consuming(broker, "nowhere") as consumer, pytest.raises(ConsumerLost):
        consumer.receive(1, 60.0)


def test_a_dropped_consumer_is_done(broker: Broker) -> None:
    """After drop, which may be repeated, receive raises."""
    broker.declare_queue(SINGLE, [])
    consumer = broker.consumer([QUEUE])
    consumer.receive(1, 0.1)

    consumer.drop()
    consumer.drop()

    with pytest.raises(ConsumerLost):
        consumer.receive(1, 0.1)


def test_a_consumer_holds_no_more_than_its_prefetch(broker: Broker) -> None:
    """basic.qos 10: ten deliveries, then none until an acknowledgement."""
    broker.declare_queue(SINGLE, [])
    publish_numbers(broker, *range(30))

    with consuming(broker, QUEUE, prefetch=10) as consumer:
        taken = take(consumer, 10)
        assert consumer.receive(10, 0.2) == []
        consumer.ack(taken[4])
        assert numbers(take(consumer, 5)) == list(range(10, 15))
