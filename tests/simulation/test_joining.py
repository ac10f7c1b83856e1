"""No raise before what an anonymous id sent to its profile has come through (DOMAIN §6.5, decision 043)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from contracts.erasures import subject_of
from contracts.joining import INQUIRY_ID_PREFIX
from contracts.signals import decode_signal
from contracts.times import SECOND
from contracts.topology import partition_queue
from contracts.wire import SPOOL_ID_PREFIX, SpoolWord, encode
from services.trigger import firing, joining
from services.trigger.engine.application import ProfileId
from services.trigger.erasing import tombstone_message
from services.trigger.store.erasures import REQUESTED, Erasure, add_erasure
from services.trigger.store.keys import profile_key
from services.trigger.store.rows import Rows
from tests.simulation.joining_world import CONFIGURATION, JoiningWorld, device_of, place_of
from tests.simulation.test_faults import assert_ledger, expected_raises, late_suppressions, raised_messages
from tests.simulation.world import DURATION, START, N

SEEDS = 6
STEPS = 200
PERSON = "a"
HOME = place_of("external", PERSON)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, nothing is asked again."""
    monkeypatch.setattr(joining, "ASK_AGAIN_AFTER", 1e9)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[JoiningWorld]:
    made = JoiningWorld(tmp_path, 1)
    yield made
    made.worker._database.close()


@pytest.mark.parametrize("block", range(3))
def test_every_seed_gives_the_raises_of_a_world_where_nothing_goes_a_second_way(block: int, tmp_path: Path) -> None:
    crashes = raises = 0
    ways: set[bool] = set()
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        world = JoiningWorld(tmp_path / str(seed), seed)
        for _ in range(STEPS):
            world.step()
        world.run_out()

        published = {message.message_id for message in raised_messages(world)}
        expected = expected_raises(world)
        assert published <= set(expected), f"seed {seed}: raised what should not be"
        assert len(set(expected) - published) <= late_suppressions(world), f"seed {seed}: lost a raise"
        assert_ledger(world, seed, raised=len(published))
        crashes, raises, ways = crashes + world.crashes, raises + len(published), ways | world.ways
        world.worker._database.close()
    assert crashes > SEEDS
    assert raises > SEEDS
    assert ways == {True, False}


def dues(world: JoiningWorld) -> list[int]:
    """When what was raised was due, in seconds since the start."""
    found = Rows(world.worker._database).execute("SELECT due_at FROM raises WHERE raised ORDER BY due_at")
    return [(due - START) // SECOND for (due,) in found]


def left_with_a_signal_under_way(world: JoiningWorld, device: str, *, unread: bool) -> None:
    """A cart due at 60 s; at 30 s the same person, under an anonymous id, went on. It is 61 s, and a marker is sent.

    `unread`: also who the anonymous id is lies in the queue still.
    """
    world.add_as(PERSON)
    world.settle()
    world.pass_time(SECOND)
    world.identify(device, PERSON)
    if not unread:
        world.settle()
    world.pass_time(29 * SECOND)
    world.add(device)
    world.pass_time(31 * SECOND)
    world.wake()


@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.parametrize("same", [False, True])
def test_a_signal_on_its_way_from_another_partition_slides_the_wait_before_it_is_raised(
    world: JoiningWorld, same: bool, unread: bool
) -> None:
    left_with_a_signal_under_way(world, device_of(PERSON, same=same), unread=unread)

    for _ in range(5):  # the other partition is not read, the outbox waits
        world.turn(HOME)
    assert dues(world) == []
    for _ in range(3):
        for partition in range(N):
            world.turn(partition)
    assert dues(world) == []
    assert len(world.forwards()) == 1

    world.settle()
    assert dues(world) == []
    world.pass_time(30 * SECOND)
    world.wake()
    world.settle()
    assert dues(world) == [90]


@pytest.mark.parametrize("steps", range(0, 12, 2))
def test_a_crash_at_any_step_raises_nothing_too_early_and_loses_nothing(tmp_path: Path, steps: int) -> None:
    world = JoiningWorld(tmp_path, 1)
    left_with_a_signal_under_way(world, device_of(PERSON, same=False), unread=True)

    for step in range(steps):
        if step % 3 == 2:
            world.relay_of_all().run_once()
        else:
            world.turn((HOME + step % 3) % N)
    world.crash()
    world.wake()
    world.settle()
    assert dues(world) == []
    world.pass_time(30 * SECOND)
    world.wake()
    world.settle()

    assert dues(world) == [90]
    world.worker._database.close()


def test_two_workers_wait_for_each_others_partitions(world: JoiningWorld) -> None:
    other, away = world._start(), 1 - HOME
    device = device_of(PERSON, same=False)
    world.add_as(PERSON)
    world.identify(device, PERSON)
    world.turn(HOME)
    world.turn(away, worker=other)
    world.pass_time(30 * SECOND)
    world.add(device)
    world.pass_time(31 * SECOND)
    world.wake()

    for _ in range(3):
        world.turn(HOME)
    assert dues(world) == []
    for _ in range(3):
        world.turn(away, worker=other)
        world.turn(HOME)
    assert (dues(world), len(world.forwards())) == ([], 1)
    world.relay_of_all().run_once()
    for _ in range(3):
        world.turn(away, worker=other)
        world.turn(HOME)
    assert world.worker._joins.held == {}
    world.pass_time(30 * SECOND)
    world.wake()
    for _ in range(4):
        world.turn(HOME)
        world.turn(away, worker=other)

    assert dues(world) == [90]
    other._database.close()


def test_what_another_worker_took_with_it_is_asked_anew(world: JoiningWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies between the acknowledgement of an inquiry and its reply, and this one takes over its partition."""
    other, away = world._start(), 1 - HOME
    device = device_of(PERSON, same=False)
    world.add_as(PERSON)
    world.identify(device, PERSON)
    world.turn(HOME)
    world.turn(away, worker=other)
    world.pass_time(30 * SECOND)
    world.add(device)
    world.turn(away, worker=other)  # the forward waits in the outbox, and so the reply is owed
    world.pass_time(31 * SECOND)
    world.wake()
    world.turn(HOME)
    world.turn(away, worker=other)
    assert not world.broker.queues[partition_queue(away)]
    other._database.close()

    world.settle()
    assert (dues(world), set(world.worker._joins.held)) == ([], {HOME})
    monkeypatch.setattr(joining, "ASK_AGAIN_AFTER", 0.0)
    world.worker._joins._asked.clear()
    world.turn(HOME)
    monkeypatch.undo()
    world.settle()
    world.pass_time(30 * SECOND)
    world.wake()
    world.settle()

    assert dues(world) == [90]


def test_held_waits_hold_up_nobody_else_and_are_asked_for_once(
    world: JoiningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them are due than are decided in one transaction; one of them even slid."""
    monkeypatch.setattr(firing, "CHUNK", 3)
    here = [name for name in map(str, range(60)) if place_of("external", name) == HOME][:9]
    *linked, early, later = here
    away = 1 - HOME
    device = device_of(PERSON, same=False)
    for person in linked:
        world.add_as(person)
        world.identify(device, person)
    world.add_as(early)
    world.settle()
    world.pass_time(10 * SECOND)
    world.add_as(linked[0])
    world.add_as(later)
    world.turn(HOME)
    world.pass_time(52 * SECOND)
    world.worker._alarm._at = 2**62
    world.wake()

    for _ in range(12):
        world.turn(HOME)
    assert dues(world) == [60]
    assert world.worker._alarm._at == START + 70 * SECOND
    world.pass_time(10 * SECOND)
    for _ in range(3):
        world.wake()
        for _ in range(12):
            world.turn(HOME)
    assert dues(world) == [60, 70]
    asked = [
        each for each in world.broker.queues[partition_queue(away)] if each.message_id.startswith(INQUIRY_ID_PREFIX)
    ]
    assert len(asked) == 1

    world.settle()
    assert dues(world) == [60] * len(linked) + [70, 70]


def test_waits_that_are_held_for_long_are_not_looked_at_for_every_marker(
    world: JoiningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever is due now would wait for as long as it takes to look at all of them. Late ones are found still."""
    monkeypatch.setattr(firing, "CHUNK", 2)
    monkeypatch.setattr(joining, "_LOOK_ANEW_AFTER", 1e9)
    *linked, now, late = [name for name in map(str, range(60)) if place_of("external", name) == HOME][:9]
    for person in linked:
        world.add_as(person)
        world.identify(device_of(PERSON, same=False), person)
    world.settle()
    world.pass_time(20 * SECOND)
    world.add_as(now)
    world.turn(HOME)
    world.pass_time(45 * SECOND)
    world.wake()
    for _ in range(6):
        world.turn(HOME)
    assert set(world.worker._joins.held) == {HOME}
    world.pass_time(16 * SECOND)
    world.wake()
    world.turn(HOME)
    assert dues(world) == [80]

    world.now -= 80 * SECOND
    world.add_as(late)  # a sender was slow: it is due by now
    world.pass_time(80 * SECOND)
    world.turn(HOME)
    world.wake()
    for _ in range(8):
        world.turn(HOME)
    assert dues(world) == [61, 80]
    world.settle()
    assert dues(world) == [60] * len(linked) + [61, 80]


def test_nobody_is_asked_for_profiles_without_anonymous_ids(world: JoiningWorld) -> None:
    world.identify(device_of(PERSON, same=False), PERSON)
    world.add_as("b")
    world.settle()
    world.pass_time(DURATION)
    world.wake()
    world.settle()

    assert dues(world) == [60]
    assert world.worker._joins._known == {}


def test_a_source_that_a_machine_keeps_signals_back_from_counts_as_far_as_that_said(
    world: JoiningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_ASK_ON_AFTER", 0.0)
    device, away = device_of(PERSON, same=False), 1 - HOME
    world.add_as(PERSON)
    world.identify(device, PERSON)
    world.settle()
    say(world, 0, number=1)
    world.settle()
    world.pass_time(61 * SECOND)
    say(world, 61, number=2, partitions=[HOME])
    world.settle()
    world.wake()

    for _ in range(6):
        world.turn(HOME)
        world.turn(away)
    assert dues(world) == []
    say(world, 59, number=3, partitions=[away])
    for _ in range(6):
        world.turn(HOME)
        world.turn(away)
    assert dues(world) == []
    say(world, 61, number=4)
    for _ in range(6):
        world.turn(HOME)
        world.turn(away)

    assert dues(world) == [60]


def test_who_took_a_source_answers_only_what_was_asked_since(
    world: JoiningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine's word, heard in another partition and kept, may be newer than an inquiry that lies unread in this one.

    So the one who takes the source knows more than it has read there: a signal that the machine kept back lies ahead.
    """
    monkeypatch.setattr(joining, "_ASK_ON_AFTER", 0.0)
    device, away = device_of(PERSON, same=False), 1 - HOME
    world.add_as(PERSON)
    world.identify(device, PERSON)
    say(world, 0, number=1)
    world.settle()
    world.pass_time(30 * SECOND)
    kept_back = world.add(device)
    signal = world.broker.queues[partition_queue(away)].pop()
    world.pass_time(31 * SECOND)
    say(world, 61, number=2, partitions=[HOME])
    world.turn(HOME)
    world.wake()
    world.turn(HOME)  # the inquiry is sent
    world.broker.put(partition_queue(away), signal.body, kept_back.id)
    say(world, 61, number=2, partitions=[away])
    world.worker._spools._noted = -1e9
    world.worker._spools.note()
    world.crash()

    world.turn(away, limit=1)
    assert world.broker.queues[partition_queue(HOME)] == [], "no reply"
    world.settle()
    world.wake()
    world.settle()
    assert dues(world) == []


def test_a_reply_amid_a_pass_lets_go_on_what_the_pass_has_left_behind(
    world: JoiningWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "CHUNK", 2)
    monkeypatch.setattr(joining, "_LOOK_ANEW_AFTER", 0.0)
    people = [name for name in map(str, range(60)) if place_of("external", name) == HOME][:5]
    away = 1 - HOME
    for person in people:
        world.add_as(person)
        world.identify(device_of(PERSON, same=False), person)
    world.settle()
    world.pass_time(DURATION)
    world.wake()
    for _ in range(4):
        world.turn(HOME)
    assert set(world.worker._joins.held) == {HOME}
    world.wake()
    world.turn(HOME)  # looks at the first two once more
    assert world.worker._credits
    world.turn(away)
    for _ in range(8):
        world.turn(HOME)

    assert dues(world) == [60] * 5


def test_a_wait_that_slid_beyond_a_reply_is_asked_for_at_once(world: JoiningWorld) -> None:
    world.add_as(PERSON)
    world.identify(device_of(PERSON, same=False), PERSON)
    world.settle()
    world.pass_time(10 * SECOND)
    world.add_as(PERSON)
    world.turn(HOME)
    world.pass_time(51 * SECOND)
    world.wake()
    world.turn(HOME)
    world.pass_time(14 * SECOND)
    world.wake()
    world.turn(HOME)
    world.turn(1 - HOME)
    world.turn(HOME)
    assert dues(world) == []
    world.turn(1 - HOME)
    world.turn(HOME)

    assert dues(world) == [70]


def test_an_older_ingestion_tells_of_an_identity_in_one_partition_only(world: JoiningWorld) -> None:
    """Once the anonymous id is linked, its signals are waited for all the same."""
    world.add_as(PERSON)
    device = device_of(PERSON, same=False)
    world.identify(device, PERSON)
    world.broker.queues[partition_queue(HOME)].pop()
    world.settle()
    world.pass_time(30 * SECOND)
    world.add(device)
    world.pass_time(31 * SECOND)
    world.wake()
    for _ in range(3):
        world.turn(HOME)

    assert dues(world) == []


def say(world: JoiningWorld, at: int, *, number: int, partitions: Sequence[int] = range(N)) -> None:
    """A machine that may keep signals back says up to when, in seconds since the start."""
    for partition in partitions:
        word = SpoolWord(partition=partition, machine="m", number=number, at=START + at * SECOND)
        world.broker.put(partition_queue(partition), encode(word), f"{SPOOL_ID_PREFIX}m")


def test_what_came_through_while_the_clock_was_ahead_proves_nothing_after_it_was_set_back(world: JoiningWorld) -> None:
    device = device_of(PERSON, same=False)
    world.add_as(PERSON)
    world.identify(device, PERSON)
    world.settle()
    world.skew = 90 * SECOND
    world.pass_time(10 * SECOND)
    world.wake()
    world.settle()
    assert dues(world) == [60]
    world.skew = 0
    world.pass_time(SECOND)
    world.turn(HOME)
    world.add_as(PERSON, "y")
    world.turn(HOME)
    world.pass_time(29 * SECOND)
    world.add(device, "y")
    world.pass_time(32 * SECOND)
    world.wake()
    for _ in range(3):
        world.turn(HOME)

    assert dues(world) == [60]
    world.settle()
    world.pass_time(30 * SECOND)
    world.wake()
    world.settle()
    assert dues(world) == [60, 100]


def test_a_reply_to_one_whose_clock_was_ahead_is_not_believed(world: JoiningWorld) -> None:
    """It asked, and this worker takes the partition with a clock that is right."""
    device, away = device_of(PERSON, same=False), 1 - HOME
    world.add_as(PERSON)
    world.identify(device, PERSON)
    world.settle()
    world.skew = 90 * SECOND
    world.pass_time(0)
    world.wake()
    world.turn(HOME)
    world.turn(away)
    assert len(world.broker.queues[partition_queue(HOME)]) == 1, "the reply"
    world.skew = 0
    world.pass_time(SECOND)
    world.crash()
    world.turn(HOME)
    world.pass_time(29 * SECOND)
    world.add(device)
    world.pass_time(31 * SECOND)
    world.wake()
    for _ in range(3):
        world.turn(HOME)

    assert dues(world) == []


def test_what_an_anonymous_id_sent_after_its_customer_was_to_be_erased_is_not_lost_with_what_it_sent_before(
    world: JoiningWorld,
) -> None:
    """Both wait in the outbox when the tombstone is taken, in one message."""
    world.add_as(PERSON)
    world.identify(device_of(PERSON, same=False), PERSON)
    world.settle()
    world.add(device_of(PERSON, same=False))
    who = ProfileId(CONFIGURATION, "external", PERSON)
    erasure = Erasure(
        **{"id": "e", "subject": subject_of(world.settings.secret_pepper, *who), "at": world.now, "state": REQUESTED},
        **{"partition": HOME, "configuration": CONFIGURATION, "id_type": "external", "profile": PERSON},
        **{"profile_key": profile_key(who), "requested_by": "a test", "suppress": False},
    )
    world.pass_time(SECOND)
    since = world.add(device_of(PERSON, same=False))
    world.turn(1 - HOME)
    assert len(world.forwards()) == 1
    add_erasure(world.worker._rows, erasure)
    world.broker.publish(tombstone_message(erasure))
    world.settle()

    found = Rows(world.worker._database).execute("SELECT body FROM signals")
    assert [decode_signal(bytes(body)).id for (body,) in found] == [since.id]
    assert since.id in {message.message_id for message in world.broker.journeys}
