"""The worker under faults: kills, take-overs, a broker that goes away, clock steps (DOMAIN §6.5, §6.9)."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.times import DAY, parse_duration
from contracts.topology import partition_of
from services.trigger.engine.application import profile_of
from services.trigger.engine.membership import membership_of
from services.trigger.intake import apply_batch
from services.trigger.registry import Registry
from services.trigger.store.records import take_partition
from services.trigger.store.shelf import Arrival
from services.trigger.worker import Worker
from shared.broker import connect_broker
from shared.clock import SystemClock
from shared.outbox import Outbox
from shared.store import STORE_FAULTS, connected
from tests.integration.trigger_rig import (
    PARTITIONS,
    STACKS,
    Rig,
    message_of,
    raise_ids,
    running_rig,
    seconds,
    wait_until,
)
from tests.support.postgres import PostgresNode
from tests.support.rabbitmq import RabbitMQNode

NEAR = seconds(0.8)
"""How close to a due no signal is sent: which of the two comes first must not depend on the machine."""


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, "servers") as made:
        yield made


class Shoppers:
    """Carts that are filled, left, taken up again and bought at random, with no signal near a due.

    A cart that was left once is never bought: whether a purchase finds the earlier wait raised already depends on
    how long the worker was away, by design (`ended_before_raise`).
    """

    def __init__(self, rig: Rig, duration: str, seed: int) -> None:
        self._rig = rig
        self._duration = parse_duration(duration)
        self._random = random.Random(seed)
        self._last: dict[str, int] = {}
        self._left: set[str] = set()
        self._made = 0

    def act(self) -> None:
        """One signal of a new or of a known customer."""
        profile = self._pick()
        last = self._last.get(profile)
        age = None if last is None else self._rig.clock.now() - last
        if age is not None and abs(age - self._duration) < NEAR:
            return
        if age is not None and age > self._duration:
            self._left.add(profile)
        if age is not None and profile not in self._left and self._random.random() < 0.3:
            self._rig.purchase(profile)
            del self._last[profile]
        else:
            self._last[profile] = self._rig.add(profile).time

    def _pick(self) -> str:
        if self._last and self._random.random() < 0.5:
            return self._random.choice(sorted(self._last))
        self._made += 1
        return f"u{self._made}@example.com"


def finished(rig: Rig) -> bool:
    """Whether everything that the engine would raise has reached the journey, and nothing is pending."""
    return raise_ids(rig.replayed()) <= rig.raised() and rig.pending() == 0


@pytest.mark.slow
def test_kills_at_any_instant_lose_and_double_nothing(rig: Rig) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    rig.moment("m1", duration="PT2S")
    rig.start()
    shoppers, ended = Shoppers(rig, "PT2S", seed), threading.Event()
    sender = threading.Thread(target=lambda: send_until(shoppers, ended, 400))
    sender.start()

    for _ in range(5):
        threading.Event().wait(chance.uniform(0.3, 2.5))
        rig.kill()
        rig.start()
    sender.join(240)
    ended.set()

    rig.listen_until(lambda: finished(rig), "every raise", 60)
    expected = raise_ids(rig.replayed())
    assert len(expected) > 30, f"seed {seed}"
    assert {key for key, (raised, _) in rig.recorded().items() if raised} == expected
    assert rig.raised() == expected
    assert rig.ledger()["raised"] == len(expected)


def send_until(shoppers: Shoppers, ended: threading.Event, most: int) -> None:
    for _ in range(most):
        shoppers.act()
        if ended.wait(0.02):
            return


@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_a_restarted_broker_loses_and_doubles_nothing(servers: Rig, rabbitmq_node: RabbitMQNode) -> None:
    rig = servers
    rig.moment(duration="PT5S")
    rig.started()
    rabbitmq_node.settle()
    for n in range(40):
        rig.add(f"u{n}@example.com")
    for n in range(0, 40, 4):
        rig.purchase(f"u{n}@example.com")

    rabbitmq_node.restart()
    later = rig.clock.now()
    wait_until(lambda: rig.publisher.ready, "the broker to take messages", 60)
    rig.add("later@example.com")

    rig.listen_until(lambda: finished(rig), "every raise", 60)
    assert rig.raised() == raise_ids(rig.replayed())
    assert rig.profiles() == {f"u{n}@example.com": 1 for n in range(40) if n % 4} | {"later@example.com": 1}
    assert all(event.raised_at >= event.due_at for event in rig.events)
    assert rig.ledger() == {"opened": 41, "raised": 31, "ended:cart/purchase": 10}
    assert any(event.raised_at > later for event in rig.events)


@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_a_database_that_dies_at_any_instant_loses_and_doubles_nothing(
    servers: Rig, postgres_node: PostgresNode
) -> None:
    rig = servers
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    rig.moment(duration="PT2S")
    worker = rig.started()
    shoppers, ended = Shoppers(rig, "PT2S", seed), threading.Event()
    sender = threading.Thread(target=lambda: send_until(shoppers, ended, 300))
    sender.start()

    for _ in range(4):
        threading.Event().wait(chance.uniform(0.3, 1.5))
        postgres_node.restart()
    sender.join(240)
    ended.set()

    rig.listen_until(lambda: finished_quietly(rig), "every raise", 60)
    assert worker.poll() is None, f"seed {seed}"
    assert rig.raised() == raise_ids(rig.replayed()), f"seed {seed}"
    assert {key for key, (raised, _) in rig.recorded().items() if raised} == rig.raised()


def finished_quietly(rig: Rig) -> bool:
    try:
        return finished(rig) and rig.applied()
    except STORE_FAULTS:
        return False


@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_a_worker_that_was_frozen_is_taken_over_from_and_fenced(
    request: pytest.FixtureRequest, tmp_path: Path, rabbitmq_url: str, postgres_url: str
) -> None:
    """The frozen one holds deliveries and a cache; once it wakes, others have written: nothing of it may count."""
    rig = Rig(tmp_path, f"{rabbitmq_url}?heartbeat=2", postgres_url)
    try:
        rig.listen("trigger-2")
        rig.moment(duration="PT3S")
        first = rig.started("trigger-1")
        for n in range(20):
            rig.add(f"a{n}@example.com")
        wait_until(rig.applied, "the signals to be applied")
        epochs = rig.read("SELECT partition, epoch, owner FROM partitions ORDER BY 1")
        assert {owner for _, _, owner in epochs} == {"trigger-1"}
        rig.start("trigger-2")

        first.send_signal(signal.SIGSTOP)
        try:
            for n in range(20):
                rig.add(f"a{n}@example.com")
                rig.add(f"b{n}@example.com")
            for n in range(0, 20, 2):
                rig.purchase(f"b{n}@example.com")
            rig.listen_until(lambda: finished(rig), "the raises of the other worker", 60)
        finally:
            first.send_signal(signal.SIGCONT)
        for n in range(20):
            rig.add(f"c{n}@example.com")

        rig.listen_until(lambda: finished(rig), "the raises of both", 60)
        assert rig.raised() == raise_ids(rig.replayed())
        assert {row[0] for row in rig.read("SELECT owner FROM partitions")} == {"trigger-2"}
        assert {row[0] for row in rig.read("SELECT epoch FROM partitions")} == {epochs[0][1] + 1}
        wait_until(lambda: rig.seen("trigger-1") > rig.clock.now() - seconds(5), "the first one to be there again")
        assert first.poll() is None
        assert rig.differences() == []
    finally:
        rig.close()


def test_a_worker_whose_partition_was_taken_trusts_nothing_that_it_remembers(rig: Rig) -> None:
    """Another process, played by the test, takes the partition and applies a purchase that the worker never saw."""
    state = rig.moment(duration="PT3S")
    rig.started()
    added = rig.add("ada@example.com")
    wait_until(rig.applied, "the signal to be applied")
    place = partition_of(added.configuration, added.id_type, added.profile, PARTITIONS)
    epochs = "SELECT epoch, owner FROM partitions WHERE partition = ?"
    before = rig.read(epochs, (place,))[0][0]

    others = Registry(DAY)
    others.put_moment(state)
    bought = rig.signal("ada@example.com", "cart/purchase")
    arrival = Arrival(place, bought, message_of(bought).body, profile_of(bought), membership_of(bought))
    with connected(rig.database), rig.database.atomic():
        take_partition(rig.rows, place, "trigger-2")
        apply_batch(rig.rows, Outbox(rig.database, rig.clock), [arrival], others, rig.clock.now())
    rig.sent.append(bought)
    again = rig.add("ada@example.com")

    rig.listen_until(lambda: rig.events and not rig.pending(), "the moment")
    assert [event.data["signalIds"] for event in rig.events] == [[again.id]]
    assert rig.ledger() == {"opened": 2, "ended:cart/purchase": 1, "raised": 1}
    assert rig.read(epochs, (place,)) == [(before + 2, "trigger-1")]


class SteppingClock:
    """The machine's clock, stepped at will."""

    def __init__(self) -> None:
        self._true = SystemClock()
        self.step = 0

    def now(self) -> int:
        """The stepped time, in µs."""
        return self._true.now() + self.step


@contextmanager
def running_worker(rig: Rig, clock: SteppingClock) -> Iterator[Worker]:
    """A worker in a thread of this process."""
    worker = Worker(rig.settings, clock, connect_broker(rig.settings.broker_url, clock))
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(120)
        assert not thread.is_alive()


@pytest.mark.parametrize("step", [-60, 60])
def test_a_clock_step_of_a_minute_loses_and_doubles_nothing(rig: Rig, step: int) -> None:
    clock = SteppingClock()
    rig.clock = clock  # type: ignore[assignment]
    rig.moment(since=clock.now() - seconds(120), duration="PT2S")
    with running_worker(rig, clock):
        for n in range(10):
            rig.add(f"a{n}@example.com")
        wait_until(rig.applied, "the signals to be applied")

        clock.step = seconds(step)
        for n in range(10):
            rig.add(f"b{n}@example.com")
        rig.listen_until(lambda: len([p for p in rig.profiles() if p.startswith("b")]) == 10, "the later carts")
        clock.step = 0

        rig.listen_until(lambda: len(rig.raised()) == 20 and not rig.pending(), "all carts")
    assert set(rig.profiles().values()) == {1}
    assert rig.ledger() == {"opened": 20, "raised": 20}
    assert len(rig.recorded()) == 20
