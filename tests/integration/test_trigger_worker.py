"""The real worker: signals in, moments out, on each broker and database (DOMAIN §6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.topology import DEAD_LETTERS, PARTITIONS, partition_key, partition_of
from shared.broker import Delivery, Message
from tests.integration.trigger_rig import (
    CONFIGURATION_ID,
    STACKS,
    Rig,
    message_of,
    raise_ids,
    running_rig,
    seconds,
    wait_until,
)
from tests.integration.trigger_rig import PARTITIONS as COUNT
from tests.support.processes import stretched


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_a_cart_that_is_left_is_raised_when_due(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.start()

    added = rig.add("ada@example.com")

    rig.listen_until(lambda: rig.events, "the moment")
    event = rig.events[0]
    assert event.routing_key == "moment.cart_abandon"
    assert event.due_at == added.time + seconds(1)
    assert event.raised_at >= event.due_at
    assert event.data["moment"] == {"id": "m1", "name": "Cart", "type": "cart_abandon"}
    assert event.data["audience"] == {"id": "a", "name": "A"}
    assert event.data["signalIds"] == [added.id]
    assert rig.raised() == raise_ids(rig.replayed()) == set(rig.recorded())


def test_a_raise_comes_soon_after_its_due(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.started()

    rig.add("ada@example.com")

    rig.listen_until(lambda: rig.events, "the moment")
    assert rig.events[0].raised_at - rig.events[0].due_at < seconds(stretched(1.5))


def test_a_purchase_prevents_the_raise_and_activity_delays_it(rig: Rig) -> None:
    rig.moment(duration="PT3S")
    rig.start()

    rig.add("buyer@example.com")
    rig.add("leaver@example.com")
    rig.add("slider@example.com")
    rig.purchase("buyer@example.com")
    slid = rig.add("slider@example.com")

    rig.listen_until(lambda: len(rig.raised()) == 2 and not rig.pending(), "two moments")
    assert rig.profiles() == {"leaver@example.com": 1, "slider@example.com": 1}
    assert [e.due_at for e in rig.events if e.profile == "slider@example.com"] == [slid.time + seconds(3)]
    assert rig.ledger() == {"opened": 3, "slid": 1, "raised": 2, "ended:cart/purchase": 1}


def test_duplicates_and_redeliveries_change_nothing(rig: Rig) -> None:
    rig.moment(duration="PT2S")
    rig.start()
    added = [rig.add(f"u{n}@example.com") for n in range(10)]
    rig.send(*added, *added)
    wait_until(rig.applied, "the signals to be applied")

    rig.kill()
    rig.send(*added)
    rig.start()

    rig.listen_until(lambda: len(rig.raised()) == 10 and not rig.pending(), "ten moments")
    rig.send(*added)
    last = rig.add("last@example.com")
    rig.listen_until(lambda: len(rig.raised()) == 11, "the last moment")
    assert rig.profiles() == {**{f"u{n}@example.com": 1 for n in range(10)}, last.profile: 1}
    assert len(rig.events) == 11
    assert rig.ledger() == {"opened": 11, "raised": 11}


def test_a_purchase_that_lay_in_the_queue_is_seen_before_the_raise(rig: Rig) -> None:
    """DOMAIN §6.5: the worker is away while the cart comes due, and the purchase waits in its queue."""
    rig.moment(duration="PT3S")
    rig.started()
    first = [rig.add(f"u{n}@example.com") for n in range(20)]
    wait_until(rig.applied, "the signals to be applied")
    rig.kill()

    for n in range(0, 20, 2):
        rig.purchase(f"u{n}@example.com")
    wait_until(lambda: rig.clock.now() > first[-1].time + seconds(3.2), "the waits to be overdue")
    rig.start()

    rig.listen_until(lambda: len(rig.raised()) == 10 and not rig.pending(), "ten moments")
    assert rig.profiles() == {f"u{n}@example.com": 1 for n in range(1, 20, 2)}
    assert rig.ledger() == {"opened": 20, "raised": 10, "ended:cart/purchase": 10}


def test_a_signal_of_the_run_that_came_before_the_moments_state_opens_a_wait(rig: Rig) -> None:
    rig.started()
    since = rig.clock.now()
    rig.add("late@example.com", received=since - 1)
    rig.add("ada@example.com")
    rig.add("ada@example.com")
    rig.add("buyer@example.com")
    rig.purchase("buyer@example.com")
    wait_until(rig.applied, "the signals to be applied")

    rig.moment(since=since, duration="PT2S")

    rig.listen_until(lambda: rig.events and not rig.pending(), "the moment")
    assert rig.profiles() == {"ada@example.com": 1}
    assert rig.ledger()["raised"] == 1


def test_two_moments_of_a_type_raise_each(rig: Rig) -> None:
    rig.moment("m1", duration="PT1S")
    rig.moment("m2", duration="PT2S")
    rig.start()

    added = rig.add("ada@example.com")

    rig.listen_until(lambda: len(rig.raised()) == 2, "both moments")
    dues = {event.data["moment"]["id"]: event.due_at - added.time for event in rig.events}
    assert dues == {"m1": seconds(1), "m2": seconds(2)}


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_partition_goes_on(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.start()
    number = partition_of(CONFIGURATION_ID, "email", "ada@example.com", COUNT)
    broken = {b"\xff no json": "malformed", b"{}": "missing required field", b"": "truncated"}
    for body in broken:
        message = Message(exchange=PARTITIONS, routing_key=partition_key(number), body=body, message_id="broken")
        rig.publisher.publish(message).result(60)

    rig.add("ada@example.com")

    rig.listen_until(lambda: rig.events, "the moment of the next signal")
    dead = dead_letters(rig, 3)
    assert [delivery.body for delivery in dead] == list(broken)
    assert [delivery.headers["queue"] for delivery in dead] == [f"moments.partition.{number:02d}"] * 3
    for delivery in dead:
        assert broken[delivery.body] in delivery.headers["reason"]


def test_a_signal_in_a_partition_that_is_not_its_own_is_no_activity(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.start()
    stray = message_of(rig.signal("ada@example.com"))
    own = partition_of(CONFIGURATION_ID, "email", "ada@example.com", COUNT)
    wrong = Message(
        exchange=PARTITIONS,
        routing_key=partition_key((own + 1) % COUNT),
        body=stray.body,
        message_id=stray.message_id,
    )
    rig.publisher.publish(wrong).result(60)

    rig.add("bob@example.com")

    rig.listen_until(lambda: rig.events, "the moment")
    assert rig.profiles() == {"bob@example.com": 1}
    assert [delivery.body for delivery in dead_letters(rig, 1)] == [stray.body]


def test_the_worker_ends_in_an_orderly_way_and_goes_on_where_it_was(rig: Rig) -> None:
    rig.moment(duration="PT2S")
    rig.started()
    rig.add("ada@example.com")
    wait_until(rig.applied, "the signal to be applied")

    assert rig.stop() == 0
    rig.start()

    rig.listen_until(lambda: rig.events, "the moment")
    assert rig.profiles() == {"ada@example.com": 1}


def dead_letters(rig: Rig, count: int) -> list[Delivery]:
    """What lies in the queue of dead letters, once that many do."""
    consumer = rig.broker.consumer([DEAD_LETTERS])
    found: list[Delivery] = []
    try:
        wait_until(lambda: found.extend(consumer.receive(10, 0.1)) or len(found) >= count, "dead letters")
    finally:
        consumer.drop()
    return found
