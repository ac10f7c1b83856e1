"""Single steps in the one-threaded world, for what chance seldom brings together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import (
    Item,
    ProfileReference,
    Reference,
    Signal,
    SignalData,
    decode_signal,
    encode_signal,
)
from contracts.times import HOUR, MINUTE, SECOND, to_datetime
from contracts.topology import partition_of, partition_queue
from services.trigger import applying
from services.trigger import worker as worker_module
from services.trigger.intake import Applied
from services.trigger.store import records
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import BatchShelf
from shared.store import STORE_FAULTS
from tests.simulation.world import START, MemoryConsumer, N, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, 1)
    yield made
    made.worker._database.close()


def send(world: World, name: str, kind: str = "cart/add", *, price: tuple[float, ...] = (1.0,)) -> Signal:
    """A customer does something with one cart, now; the queue has it."""
    data = SignalData(
        signal=kind,
        audience_configuration=Reference("configuration"),
        audience=Reference("audience"),
        profile=ProfileReference("external", "ada"),
        received_at=to_datetime(world.now),
        touchpoint="server",
        cart_id="x",
        items=tuple(Item(product_id=f"p{n}", price=each, currency="EUR") for n, each in enumerate(price)),
    )
    body = encode_signal(id=name, source="shop", time=world.now, data=data)
    world.broker.put(queue_of_ada(), body, name)
    return decode_signal(body)


def queue_of_ada() -> str:
    return partition_queue(partition_of("configuration", "external", "ada", N))


def consume(world: World, limit: int = 50, *, empty: bool = True) -> None:
    """The worker takes what lies there, of all partitions; a few at a time."""
    for n in range(N):
        queue = partition_queue(n)
        world.worker._turn(MemoryConsumer(world.broker, False, queue, limit))  # type: ignore[arg-type]
        while empty and world.broker.queues.get(queue):
            world.worker._turn(MemoryConsumer(world.broker, False, queue, limit))  # type: ignore[arg-type]


def raises(world: World) -> list[tuple[bool, str]]:
    found = Rows(world.worker._database).execute("SELECT raised, reason FROM raises ORDER BY decided_at")
    return [(bool(raised), reason) for raised, reason in found]


def edited(world: World, **settings: object) -> MomentState:
    """The moment's next version, in force from now."""
    state = world.moment
    version = SettingsVersion(
        version=state.version + 1, since=world.now, settings={**state.history[-1].settings, **settings}
    )
    world.moment = msgspec.structs.replace(state, version=state.version + 1, history=(*state.history, version))
    return world.moment


def test_a_wait_that_slid_past_the_marker_is_not_raised_by_it(world: World) -> None:
    """DOMAIN §6.5: the purchase was acknowledged before the due, and lies behind the marker."""
    send(world, "a")
    consume(world)
    world.pass_time(30 * SECOND)
    send(world, "b")
    consume(world)
    world.pass_time(30 * SECOND)  # the index has the wait now; its true due is 30 s later
    world.wake()
    world.pass_time(10 * SECOND)
    send(world, "c", "cart/purchase")
    world.pass_time(MINUTE)  # the worker was slow; b + 1 min has gone by

    for _ in range(3):
        consume(world, limit=1, empty=False)
    consume(world)

    assert raises(world) == []
    assert records.ledger(Rows(world.worker._database))["moment"]["ended:cart/purchase"] == 1


def test_an_edit_is_heeded_in_a_partition_where_nothing_comes(world: World) -> None:
    """A worker that was restarted has got no delivery of the partition yet."""
    world.moment = msgspec.structs.replace(
        world.moment, history=(SettingsVersion(version=1, since=START, settings={"duration": "PT2H"}),), version=2
    )
    world.worker._states.keep(world.moment)
    send(world, "a")
    consume(world)
    world.crash()
    world.broker.queues.clear()

    world.pass_time(10 * SECOND)
    world.worker._markers.renew()
    world.worker._states.keep(edited(world, duration="PT1M"))
    consume(world)
    world.pass_time(MINUTE)
    world.wake()
    consume(world)

    assert raises(world) == [(True, "")]


def test_two_edits_while_the_worker_was_away_spread_what_they_make_due(world: World) -> None:
    """The last one did not change the duration; it is the one before that made the waits due."""
    long = SettingsVersion(version=1, since=START, settings={"duration": "PT2H"})
    world.moment = msgspec.structs.replace(world.moment, history=(long,), version=2)
    world.worker._states.keep(world.moment)
    send(world, "a")
    consume(world)

    world.pass_time(10 * MINUTE)
    edited(world, duration="PT1M")
    world.worker._states.keep(edited(world, minimumValue={"amount": 1, "currency": "EUR"}))
    world.wake()
    consume(world)
    assert raises(world) == []

    world.pass_time(MINUTE)
    world.wake()
    consume(world)
    assert raises(world) == [(True, "")]


def test_waits_of_a_moment_that_was_deleted_before_they_were_stopped_are_suppressed(world: World) -> None:
    """The worker dies after it has stored the last state, before it has done what that means."""
    send(world, "a")
    consume(world)
    deleted = MomentState(id="moment", version=9, deleted=True)
    records.save_moment(world.worker._rows, deleted)
    world.moment = deleted
    world.crash()

    world.pass_time(HOUR)
    world.wake()
    consume(world)

    rows = Rows(world.worker._database)
    assert rows.execute("SELECT count(*) FROM waits")[0][0] == 0
    assert records.ledger(rows)["moment"] == {"opened": 1, "suppressed:stopped": 1}
    assert world.broker.journeys == []


def test_what_was_read_of_a_partition_before_it_was_taken_is_not_trusted(world: World) -> None:
    """Another worker may have written since: a take-over begins with nothing in memory."""
    send(world, "a")
    consume(world)
    key = next(iter(world.worker._cache.stored))
    world.crash()
    stale = worker_module.Worker(world.settings, world.clock, world.broker)  # type: ignore[arg-type]
    stale._prepare()
    stale._database.connect(reuse_if_open=True)
    with stale._transaction() as rows:  # the start of a run reads processes of all partitions
        BatchShelf(rows, stale._cache).fetch([key])
    send(world, "b")
    consume(world)

    stale._states.keep(world.moment)
    send(world, "c")
    stale._turn(MemoryConsumer(world.broker, False, queue_of_ada(), 50))  # type: ignore[arg-type]

    assert len(stale._cache.stored[key].process.entries) == 3
    stale._database.close()


def test_a_fault_of_the_store_sets_no_signal_aside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, a deadlock, a lost connection: the session ends, and the signals come again."""
    send(world, "a")

    def failing(rows: Rows, *_: object) -> Applied:
        rows.execute("SELECT * FROM nowhere")
        raise AssertionError("unreachable")

    with monkeypatch.context() as patched:
        patched.setattr(applying, "apply_batch", failing)
        with pytest.raises(STORE_FAULTS) as raised:
            consume(world)
    assert isinstance(raised.value, sqlite3.OperationalError)
    assert world.broker.dead == []

    world.crash()
    consume(world)
    assert Rows(world.worker._database).execute("SELECT count(*) FROM signals")[0][0] == 1


def test_a_minimum_value_is_reached_to_the_cent(world: World) -> None:
    """0.10 + 0.70 is 0.80, though not in binary fractions."""
    world.worker._states.keep(edited(world, minimumValue={"amount": 0.8, "currency": "EUR"}))
    send(world, "a", price=(0.1, 0.7))
    consume(world)
    world.pass_time(MINUTE)
    world.wake()
    consume(world)

    assert raises(world) == [(True, "")]
