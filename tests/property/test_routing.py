"""Routing of the embedded broker against slow oracles, and against RabbitMQ itself."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from contracts.topology import Binding, Exchange, Queue, Topology, topic_matches
from shared.broker import Message, connect_broker
from shared.broker.routing import Routes, UnknownExchange
from shared.clock import ManualClock

words = st.sampled_from(["a", "b", ""])
keys = st.lists(words, max_size=4).map(".".join)
patterns = st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=4).map(".".join)


def split(text: str) -> list[str]:
    return text.split(".") if text else []


def slow_match(pattern: list[str], key: list[str]) -> bool:
    """By the words of the specification, one case each."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(slow_match(pattern[1:], key[skip:]) for skip in range(len(key) + 1))
    if not key:
        return False
    return (pattern[0] == "*" or pattern[0] == key[0]) and slow_match(pattern[1:], key[1:])


@given(patterns, keys)
def test_topic_patterns_match_as_the_specification_says(pattern: str, key: str) -> None:
    expected = slow_match(split(pattern), split(key))

    event(f"matches: {expected}")
    assert topic_matches(pattern, key) == expected


EXCHANGES = ("x0", "x1", "x2")
QUEUES = ("q0", "q1", "q2")

short_keys = st.sampled_from(["a", "b", "a.b"])
bindings = st.builds(
    Binding,
    st.sampled_from(EXCHANGES),
    st.sampled_from(QUEUES),
    st.sampled_from(["a", "b", "#", "*.b"]),
) | st.builds(
    Binding,
    st.sampled_from(EXCHANGES),
    st.sampled_from(EXCHANGES),
    st.sampled_from(["a", "b", "#", "*.b"]),
    st.just(True),
)
topologies = st.builds(
    lambda kinds, alternates, bound: Topology(
        tuple(Exchange(*row) for row in zip(EXCHANGES, kinds, alternates, strict=True)),
        tuple(Queue(name) for name in QUEUES),
        tuple(dict.fromkeys(bound)),
    ),
    st.tuples(*[st.sampled_from(["topic", "direct", "fanout"])] * 3),
    st.tuples(*[st.sampled_from([None, *EXCHANGES])] * 3),
    st.lists(bindings, max_size=8),
)


def slow_route(topology: Topology, start: str, all_keys: tuple[str, ...]) -> set[str]:
    """A fixed point: the set of exchanges reached grows until nothing changes."""
    kinds = {exchange.name: exchange for exchange in topology.exchanges}

    def takes(binding: Binding) -> bool:
        kind = kinds[binding.source].kind
        if kind == "fanout":
            return True
        if kind == "direct":
            return any(binding.key == key for key in all_keys)
        return any(slow_match(split(binding.key), split(key)) for key in all_keys)

    reached = {start}
    while True:
        live = [binding for binding in topology.bindings if binding.source in reached and takes(binding)]
        sources = {binding.source for binding in live}
        fresh = reached | {binding.destination for binding in live if binding.to_exchange}
        fresh |= {alternate for name in reached - sources if (alternate := kinds[name].alternate) is not None}
        if fresh == reached:
            return {binding.destination for binding in live if not binding.to_exchange}
        reached = fresh


@settings(max_examples=600)
@given(topologies, st.sampled_from(EXCHANGES), short_keys, st.lists(short_keys, max_size=2).map(tuple))
def test_queues_found_are_those_of_a_slow_walk(
    topology: Topology, start: str, key: str, hidden: tuple[str, ...]
) -> None:
    routes = Routes(topology.exchanges, [queue.name for queue in topology.queues], topology.bindings)

    found = routes.route(start, key, hidden)

    event(f"queues: {len(found)}")
    assert set(found) == slow_route(topology, start, (key, *hidden))
    assert len(found) == len(set(found))
    assert routes.route(start, key, hidden) == found


def test_an_exchange_that_is_not_declared_is_told_apart() -> None:
    with pytest.raises(UnknownExchange):
        Routes((), (), ()).route("nowhere", "a", ())


@pytest.mark.rabbitmq
@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topology=topologies)
def test_routing_equals_that_of_rabbitmq(topology: Topology, rabbitmq_url: str) -> None:
    """Every key, alone and with a hidden copy, from every exchange: the queues that RabbitMQ really fills."""
    prefix = f"{next(_runs)}."
    broker = connect_broker(rabbitmq_url, ManualClock(0))
    broker.declare(_renamed(topology, prefix))
    routes = Routes(topology.exchanges, QUEUES, topology.bindings)
    expected: dict[str, list[str]] = {queue: [] for queue in QUEUES}
    messages = []
    for start, key, hidden in itertools.product(EXCHANGES, ["a", "b", "a.b"], [(), ("b",)]):
        identity = f"{start} {key} {hidden}"
        for queue in routes.route(start, key, hidden):
            expected[queue].append(identity)
        messages.append(
            Message(
                exchange=prefix + start,
                routing_key=key,
                body=b"",
                message_id=identity,
                hidden_copies=hidden,
                optional=True,
            )
        )

    publisher = broker.publisher()
    for future in publisher.publish_all(messages):
        future.result(60)
    received: dict[str, list[str]] = {queue: [] for queue in QUEUES}
    consumer = broker.consumer([prefix + queue for queue in QUEUES])
    while any(len(received[queue]) < len(expected[queue]) for queue in QUEUES):
        fresh = consumer.receive(1000, 60.0)
        assert fresh
        for delivery in fresh:
            received[delivery.queue.removeprefix(prefix)].append(delivery.message_id)
    consumer.receive(1000, 0.05)
    consumer.drop()
    broker.close()

    assert received == expected


_runs = itertools.count()


def _renamed(topology: Topology, prefix: str) -> Topology:
    return Topology(
        tuple(
            Exchange(prefix + each.name, each.kind, None if each.alternate is None else prefix + each.alternate)
            for each in topology.exchanges
        ),
        tuple(Queue(prefix + each.name) for each in topology.queues),
        tuple(
            Binding(prefix + each.source, prefix + each.destination, each.key, each.to_exchange)
            for each in topology.bindings
        ),
    )
