"""Deliveries and confirms read from bytes, against what pika would have written, however the bytes are cut."""

from __future__ import annotations

from typing import Any

import pika
from hypothesis import event, given
from hypothesis import strategies as st
from pika import spec
from pika.frame import Body, Header, Heartbeat, Method

from shared.broker.rabbitmq.frames import Arrival, ConfirmReader, DeliveryReader

PIECE = 50

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tables = st.dictionaries(st.sampled_from(["a", "é", "x-first-death-reason"]), texts | st.integers(0, 9), max_size=2)
contents = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(["q", "moments.partition.07"]),
        "redelivered": st.booleans(),
        "key": texts,
        "exchange": texts,
        "body": st.binary(max_size=3 * PIECE),
        "properties": st.fixed_dictionaries(
            {},
            optional={
                "message_id": texts,
                "content_type": texts,
                "headers": tables,
                "delivery_mode": st.just(2),
                "priority": st.just(3),
                "correlation_id": texts,
            },
        ),
    }
)


def frames(tag: int, content: dict[str, Any]) -> bytes:
    deliver = spec.Basic.Deliver(
        consumer_tag=content["queue"],
        delivery_tag=tag,
        redelivered=content["redelivered"],
        exchange=content["exchange"],
        routing_key=content["key"],
    )
    body = content["body"]
    properties = pika.BasicProperties(**content["properties"])
    pieces = [Body(1, body[at : at + PIECE]).marshal() for at in range(0, len(body), PIECE)]
    return b"".join([Method(1, deliver).marshal(), Header(1, len(body), properties).marshal(), *pieces])


def expected(tag: int, content: dict[str, Any]) -> Arrival:
    properties = content["properties"]
    headers = {name: value for name, value in properties.get("headers", {}).items() if isinstance(value, str)}
    identity = properties.get("message_id", "")
    return (content["queue"], tag, content["redelivered"], content["key"], identity, headers, content["body"])


@given(st.lists(contents, max_size=4), st.lists(st.integers(0, 2_000), max_size=5))
def test_deliveries_are_read_whatever_the_cuts(messages: list[dict[str, Any]], cuts: list[int]) -> None:
    """A heartbeat stands between method and header of each, as channel 0 may interleave; it goes to pika whole."""
    heartbeat = Heartbeat().marshal()
    other = Method(1, spec.Basic.QosOk()).marshal()
    stream = b"".join(frames(tag, content) + heartbeat + other for tag, content in enumerate(messages))
    if messages:
        first_method = 7 + int.from_bytes(stream[3:7], "big") + 1
        stream = stream[:first_method] + heartbeat + stream[first_method:]
    arrivals: list[Arrival] = []
    others: list[bytes] = []
    reader = DeliveryReader(arrivals.append, others.append)

    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        reader.feed(stream[at:cut])
        at = max(at, min(cut, len(stream)))

    event(f"messages: {len(messages)}")
    assert arrivals == [expected(tag, content) for tag, content in enumerate(messages)]
    assert others == ([heartbeat] if messages else []) + [heartbeat, other] * len(messages)


others_of_a_publisher = st.one_of(
    st.builds(lambda tag, multiple: Method(1, spec.Basic.Nack(tag, multiple)), st.integers(0, 2**63), st.booleans()),
    st.builds(lambda body: Body(1, body), st.binary(min_size=1, max_size=PIECE)),
    st.just(Body(1, Method(1, spec.Basic.Ack(7, False)).marshal())),
    st.just(Method(1, spec.Basic.Return(312, "NO_ROUTE", "moments.signals", "signal.cart.add"))),
    st.just(Heartbeat()),
)
confirms = st.tuples(st.integers(0, 2**63), st.booleans())


@given(st.lists(confirms | others_of_a_publisher, max_size=12), st.lists(st.integers(0, 500), max_size=6))
def test_confirms_are_read_whatever_the_cuts(came: list[Any], cuts: list[int]) -> None:
    """All else goes to pika whole, and at its place among the confirms: a return is told before its confirm."""
    told = [each if isinstance(each, tuple) else each.marshal() for each in came]
    stream = b"".join(Method(1, spec.Basic.Ack(*each)).marshal() if isinstance(each, tuple) else each for each in told)
    found: list[Any] = []
    reader = ConfirmReader(lambda tag, multiple: found.append((tag, multiple)), found.append)

    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        reader.feed(stream[at:cut])
        at = max(at, min(cut, len(stream)))

    event(f"confirms: {sum(isinstance(each, tuple) for each in told)}")
    assert found == told
