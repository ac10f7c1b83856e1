"""Customers are erased in the middle of everything: what is left of them, and what the books say (DOMAIN §6.11)."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from contracts.configurations import ConfigurationState
from contracts.signals import Signal, decode_signal, encode_signal
from contracts.times import MINUTE, SECOND, to_datetime, to_rfc3339
from contracts.topology import partition_of, partition_queue
from services.trigger import applying
from services.trigger.api.erasures import Erasures
from services.trigger.audit import differences
from services.trigger.engine.application import ProfileId
from services.trigger.store import erasing as erasing_store
from services.trigger.store.figures import pending
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Rows
from services.trigger.sweeping import AGAIN_AFTER
from shared.broker import Delivery
from tests.oracle.budget import FACTOR
from tests.simulation.test_faults import raised_messages
from tests.simulation.world import MemoryConsumer, World
from tests.support.processes import wait_until

SEEDS = 4 * FACTOR
STEPS = 150
NAMES = ("ada-lovelace@example.com", "grace-hopper@example.com", "mary-somerville@example.com")


class ErasingWorld(World):
    """A world in which a customer asks to be forgotten now and then, and returns perhaps."""

    profiles = NAMES

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.worker._states.keep(ConfigurationState(id="configuration", version=1, name="Shop"))
        self.steps = 0
        self.erased: dict[str, list[int]] = {name: [] for name in NAMES}

    def step(self) -> None:
        """One thing happens; the books balance after each."""
        if self.random.random() < 0.04:
            self.erase(self.random.choice(NAMES))
        else:
            super().step()
        self.steps += 1
        assert balances(self.rows)
        if not self.steps % 15:
            assert differences(self.rows, self.settings.expiry, self.clock.now()) == []

    @property
    def rows(self) -> Rows:
        """The worker's database."""
        return Rows(self.worker._database)

    def erase(self, name: str) -> None:
        """The request is answered; its tombstone lies in the outbox."""
        erasures = Erasures(self.rows, self.clock, self.settings.secret_pepper, self.settings.partitions)
        erasures.request(ProfileId("configuration", "external", name), suppress=False, requested_by="a test")
        self.erased[name].append(self.clock.now())
        self.pass_time(1)

    def tell(self) -> None:
        """Publish what lies in the outbox, tombstones too."""
        self.relay_of_all().run_once()

    def expected(self, name: str) -> list[Signal]:
        """The signals of a customer that nobody asked to forget."""
        last = max(self.erased[name], default=-1)
        return [each for each in self.signals if each.profile == name and each.received_at > last]


def balances(rows: Rows) -> bool:
    """Whether opened = raised + ended + suppressed + pending."""
    waits = rows.execute("SELECT count(*) FROM waits")[0][0]
    return pending(rows).get("moment", 0) == int(waits)


@pytest.mark.parametrize("block", range(2))
def test_nothing_of_the_erased_is_left_and_nothing_of_the_others_is_lost(block: int, tmp_path: Path) -> None:
    happened: Counter[str] = Counter()
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        world = ErasingWorld(tmp_path / str(seed), seed)
        for _ in range(STEPS):
            world.step()
        world.skew = 0
        world.pass_time(0)
        world.erase(NAMES[0])
        for each in world.bodies[::7]:  # senders that missed the answer, and a queue that was held up
            world.broker.put(partition_queue(each[0]), each[1], each[2])
        world.tell()
        world.run_out()

        assert differences(world.rows, world.settings.expiry, world.clock.now()) == []
        for name in NAMES:
            kept = {body for (body,) in world.rows.execute("SELECT body FROM signals") if name.encode() in bytes(body)}
            assert len(kept) == len({each.id for each in world.expected(name)}), f"seed {seed}, {name}"
        dues = Counter(message.message_id for message in raised_messages(world))
        happened["raises"] += len(dues)
        happened["suppressed"] += world.rows.execute(
            "SELECT coalesce(sum(value), 0) FROM ledger WHERE counter = 'suppressed:erased'"
        )[0][0]
        happened["dropped"] += world.rows.execute("SELECT sum(dropped) FROM erasures")[0][0]
        happened["crashes"] += world.crashes
        happened["returned"] += any(world.expected(name) and world.erased[name] for name in NAMES)
        assert not world.expected(NAMES[0])
        _assert_gone(world, NAMES[0])
    assert min(happened[what] for what in ("raises", "suppressed", "dropped", "crashes", "returned")) > 0, happened


def _assert_gone(world: ErasingWorld, name: str) -> None:
    """No table but the erasures themselves names the customer or holds the key of the profile."""
    key = profile_key(ProfileId("configuration", "external", name))
    connection = sqlite3.connect(world.settings.data / "trigger.db")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in set(tables) - {"erasures", "outbox"}:
        for row in connection.execute(f"SELECT * FROM {table}"):
            values = [each.encode() if isinstance(each, str) else each for each in row]
            blobs = [each for each in values if isinstance(each, bytes)]
            assert not any(name.encode() in each or key in each for each in blobs), f"{table}: {row}"
    connection.close()


def test_a_crash_in_the_middle_of_an_erasure_leaves_it_to_be_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ErasingWorld(tmp_path, 1)
    for _ in range(10):
        world.send()
    _read_all(world)
    world.erase(NAMES[0])
    world.tell()
    original = applying.apply_batch

    def dying(*arguments: object, **options: object) -> object:
        original(*arguments, **options)  # type: ignore[arg-type]
        if options.get("counted"):
            raise applying.Fenced
        return original

    monkeypatch.setattr(applying, "apply_batch", dying)
    with pytest.raises(applying.Fenced):
        _read_all(world)
    before = len(world.rows.execute("SELECT 1 FROM signals"))
    monkeypatch.undo()
    world.crash()
    _read_all(world)

    assert before == 10
    assert len(world.rows.execute("SELECT 1 FROM signals")) == sum(each.profile != NAMES[0] for each in world.signals)
    assert world.rows.execute("SELECT state FROM erasures") == [("erased",)]
    assert differences(world.rows, world.settings.expiry, world.clock.now()) == []


def test_what_is_due_when_an_erasure_is_answered_is_not_raised(tmp_path: Path) -> None:
    world = ErasingWorld(tmp_path, 2)
    while not any(each.profile == NAMES[0] and each.kind.name == "cart/add" for each in world.signals):
        world.send()
    _read_all(world)
    world.pass_time(61 * SECOND)
    world.erase(NAMES[0])
    world.wake()
    _read_all(world)
    world.tell()

    raised = world.rows.execute("SELECT event FROM raises WHERE raised")
    assert not any(NAMES[0].encode() in bytes(event) for (event,) in raised)
    world.run_out()
    assert world.rows.execute("SELECT state FROM erasures") == [("erased",)]
    assert not any(NAMES[0].encode() in message.body for message in raised_messages(world))
    assert differences(world.rows, world.settings.expiry, world.clock.now()) == []


def test_an_erasure_in_a_quiet_partition_is_taken_over_from_a_worker_that_died(tmp_path: Path) -> None:
    world = ErasingWorld(tmp_path, 3)
    for _ in range(10):
        world.send()
    world.run_out()
    world.erase(NAMES[0])
    world.tell()
    _read_all(world)
    world.crash()  # the next one owns nothing, and nobody sends anything

    for done in (1, 2):
        world.pass_time(AGAIN_AFTER + SECOND)
        world.worker._rounds.sweep()
        _read_all(world)
        # The sweeper rests nine times as long as it works.
        wait_until(lambda done=done: swept(world) == [("erased", done)], "the sweep", 60)  # type: ignore[misc]

    assert world.rows.execute("SELECT state, sweeps FROM erasures") == [("erased", 2)]


def swept(world: ErasingWorld) -> list[tuple[Any, ...]]:
    """How erasures stand after another turn of the worker."""
    world.worker._turn(MemoryConsumer(world.broker, False, partition_queue(0), 1))  # type: ignore[arg-type]
    return world.rows.execute("SELECT state, sweeps FROM erasures")


def _read_all(world: World) -> None:
    for queue in list(world.broker.queues):
        while world.broker.queues[queue]:
            world.worker._turn(MemoryConsumer(world.broker, False, queue, 500))  # type: ignore[arg-type]


def test_a_raise_that_was_not_sent_goes_out_no_more_and_no_place_in_the_log_is_given_twice(tmp_path: Path) -> None:
    world = ErasingWorld(tmp_path, 3)
    while not any(each.kind.name == "cart/add" for each in world.signals if each.profile == NAMES[0]):
        world.send()
    _read_all(world)
    world.pass_time(61 * SECOND)
    world.wake()
    _read_all(world)
    last = world.rows.execute("SELECT max(sequence) FROM signals")[0][0]
    for name in NAMES:
        world.erase(name)
    for queue, body, message_id in _tombstones(world):  # before anything else of the outbox
        world.broker.put(queue, body, message_id)

    assert world.rows.execute("SELECT count(*) FROM raises WHERE raised")[0][0] > 0
    _read_all(world)
    assert world.rows.execute("SELECT count(*) FROM signals") == [(0,)]
    assert differences(world.rows, world.settings.expiry, world.clock.now()) == []
    world.tell()
    assert raised_messages(world) == []
    world.send()
    _read_all(world)
    assert world.rows.execute("SELECT min(sequence) FROM signals")[0][0] > last


def test_a_repeat_with_a_new_receipt_does_not_bring_an_erased_signal_back(tmp_path: Path) -> None:
    world = ErasingWorld(tmp_path, 4)
    while not world.expected(NAMES[0]):
        world.send()
    _read_all(world)
    signal = world.expected(NAMES[0])[0]
    world.erase(NAMES[0])
    world.tell()
    _read_all(world)
    world.pass_time(SECOND)
    data = msgspec.structs.replace(signal.data, received_at=to_datetime(world.now))
    body = encode_signal(id=signal.id, source=signal.source, time=signal.time, data=data)
    partition = partition_of(signal.configuration, signal.id_type, signal.profile, world.settings.partitions)
    world.broker.put(partition_queue(partition), body, signal.id)
    _read_all(world)

    assert world.rows.execute("SELECT dropped FROM erasures") == [(1,)]
    assert not any(NAMES[0].encode() in bytes(body) for (body,) in world.rows.execute("SELECT body FROM signals"))


def _tombstones(world: World) -> list[tuple[str, bytes, str]]:
    sql = "SELECT routing_key, body, message_id FROM outbox WHERE exchange = 'moments.partitions' AND sent_at IS NULL"
    return [
        (partition_queue(int(key.split(".")[1])), bytes(body), message_id)
        for key, body, message_id in Rows(world.worker._database).execute(sql)
    ]


def test_a_tombstone_that_cannot_be_taken_is_told_tried_ever_more_seldom_and_taken_when_its_cause_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, tried, gaps = ErasingWorld(tmp_path, 5), 0, []
    for _ in range(30):
        world.send()
    _read_all(world)
    world.erase(NAMES[0])

    def failing(*_arguments: object) -> int:
        nonlocal tried
        tried += 1
        raise KeyError(NAMES[0])

    monkeypatch.setattr(erasing_store, "erase_raises", failing)
    with capture_logs() as lines:
        world.tell()
        _read_all(world)
        for _ in range(6):
            before, began = tried, world.now
            while tried == before and world.now < began + 100 * MINUTE:
                world.pass_time(MINUTE)
                world.worker._rounds.sweep()
                world.worker._rounds.sweep()
                _read_all(world)
            gaps.append((world.now - began) // MINUTE)
            assert tried == before + 1
    failed = _receipt(world)

    assert gaps == [5, 10, 20, 40, 60, 60]
    assert [line["event"] for line in lines].count("worker.not_erased") == 7
    assert failed["state"] == "requested"
    assert failed["failure"]["attempts"] == 7
    assert failed["failure"]["reason"] == "KeyError in services.trigger.erasing._erase_all"
    assert failed["failure"]["againAt"] == to_rfc3339(world.now + 60 * MINUTE)
    assert NAMES[0] not in str(failed)
    monkeypatch.undo()
    world.pass_time(61 * MINUTE)
    world.worker._rounds.sweep()
    _read_all(world)

    assert (_receipt(world)["state"], _receipt(world)["failure"]) == ("erased", None)
    assert not any(NAMES[0].encode() in bytes(body) for (body,) in world.rows.execute("SELECT body FROM signals"))
    assert differences(world.rows, world.settings.expiry, world.clock.now()) == []


def test_while_a_tombstone_cannot_be_taken_nothing_waits_for_the_waits_of_its_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ErasingWorld(tmp_path, 5)
    monkeypatch.setattr("services.trigger.firing.CHUNK", 1)
    while {each.profile for each in world.signals if each.kind.name == "cart/add"} != set(NAMES):
        world.send()
    _read_all(world)
    pending_of_others = len(waits_of(world, *NAMES[1:]))
    world.erase(NAMES[0])
    monkeypatch.setattr(erasing_store, "erase_raises", lambda *_: 1 / 0)
    with capture_logs():
        world.tell()
        _read_all(world)
    world.pass_time(120 * SECOND)
    world.wake()
    for _ in range(2 * pending_of_others + 4):
        _read_all(world)
        world.worker._turn(MemoryConsumer(world.broker, False, partition_queue(0), 1))  # type: ignore[arg-type]

    assert waits_of(world, NAMES[0])
    assert not waits_of(world, *NAMES[1:])
    assert world.worker._credits == {}
    assert world.worker._rounds.send_markers() == 0  # nothing is due: the alarm need not ring
    assert _receipt(world)["failure"]["attempts"] == 1


def waits_of(world: World, *names: str) -> list[tuple[object, ...]]:
    """The pending waits of customers."""
    rows = Rows(world.worker._database)
    keys = [profile_key(ProfileId("configuration", "external", name)) for name in names]
    sql = "SELECT w.due_at FROM processes p JOIN waits w ON w.process_key = p.key WHERE p.profile_key IN {values}"
    return list(rows.select_in(sql, keys, "bytea"))


def _receipt(world: ErasingWorld) -> dict[str, Any]:
    erasures = Erasures(world.rows, world.clock, world.settings.secret_pepper, world.settings.partitions)
    found: dict[str, Any] = erasures.page(cursor=None, limit=1)["items"][0]
    return found


@pytest.mark.parametrize("crash", [False, True])
def test_the_log_of_a_customer_with_very_many_signals_is_cleared_between_the_batches(
    crash: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trigger.erasing.AT_ONCE", 3)
    monkeypatch.setattr("services.trigger.clearing.CHUNK", 4)
    world = ErasingWorld(tmp_path, 7)
    while sum(each.profile == NAMES[0] for each in world.signals) < 20:
        world.send()
    world.erase(NAMES[0])
    for _ in range(12):
        world.send()  # some of hers stand in the log before the tombstone comes
    _read_all(world)
    world.tell()
    while (state := _receipt(world)["state"]) == "requested":
        world.worker._take(*_next_delivery(world))  # type: ignore[arg-type]
    left = _logged(world)

    assert state == "erasing"
    assert len(left) > 20
    assert balances(world.rows)
    assert differences(world.rows, world.settings.expiry, world.clock.now()) == []
    repeated = next(each for each in world.signals if each.profile == NAMES[0])
    world.broker.put(*_delivery_of(world, repeated, received_at=world.now))
    _take_all(world)
    if crash:
        world.worker._turn(MemoryConsumer(world.broker, False, partition_queue(0), 0))  # type: ignore[arg-type]
        world.crash()
        world.worker._rounds.sweep()
        _take_all(world)
    steps = 0
    while _receipt(world)["state"] == "erasing" and steps < 100:
        world.worker._sweeper._rest_until = 0.0
        world.worker._sweeper.call()
        world.worker._sweeper.step()
        steps += 1
        assert balances(world.rows)
        assert differences(world.rows, world.settings.expiry, world.clock.now()) == []

    assert steps >= 20 // 4
    assert sorted(_logged(world)) == sorted(each.id for each in world.expected(NAMES[0]))
    receipt = _receipt(world)
    assert receipt["erased"]["trigger"]["signals"] >= 20
    world.broker.put(*_delivery_of(world, repeated, received_at=world.now))
    _take_all(world)
    assert sorted(_logged(world)) == sorted(each.id for each in world.expected(NAMES[0]))


def _next_delivery(world: World) -> tuple[MemoryConsumer, list[Delivery]]:
    queue = next(name for name, waiting in world.broker.queues.items() if waiting)
    consumer = MemoryConsumer(world.broker, False, queue, 1)
    return consumer, consumer.receive(1, 0.0)


def _take_all(world: World) -> None:
    """Without the steps between the batches."""
    while any(world.broker.queues.values()):
        world.worker._take(*_next_delivery(world))  # type: ignore[arg-type]


def _logged(world: World) -> list[str]:
    """The ids of her signals in the log."""
    signals = [
        decode_signal(bytes(body)) for (body,) in Rows(world.worker._database).execute("SELECT body FROM signals")
    ]
    return [each.id for each in signals if each.profile == NAMES[0]]


def _delivery_of(world: World, signal: Signal, *, received_at: int) -> tuple[str, bytes, str]:
    data = msgspec.structs.replace(signal.data, received_at=to_datetime(received_at))
    body = encode_signal(id=signal.id, source=signal.source, time=signal.time, data=data)
    partition = partition_of(signal.configuration, signal.id_type, signal.profile, world.settings.partitions)
    return partition_queue(partition), body, signal.id
