"""Many anonymous customers who become known at once: what they left is not taken all in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest

from contracts.signals import ProfileReference, Reference, SignalData, encode_signal
from contracts.stitching import ANONYMOUS, IDENTIFIED_ID_PREFIX, STITCHED_ID_PREFIX, Identified, encode_stitched
from contracts.times import to_datetime
from contracts.topology import partition_of, partition_queue
from contracts.wire import encode
from services.trigger import intake
from services.trigger.stitching import MOST_TOLD
from services.trigger.store import records
from services.trigger.store.records import Fenced
from services.trigger.store.rows import Rows
from tests.simulation.world import MemoryConsumer, N, World

PEOPLE = 2 * MOST_TOLD + 5


def test_those_who_become_known_at_once_are_taken_in_parts_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, 1)
    names = [name for name in map(str, range(N * PEOPLE * 2)) if partition_of("c", ANONYMOUS, name, N) == 0][:PEOPLE]
    _tell(world, names[:1])
    _turn(world)  # the partition is taken
    _tell(world, names[1:])
    calls, check = count(1), records.check_epochs

    def lost_in_the_third(rows: Rows, epochs: Mapping[int, int]) -> None:
        if next(calls) == 3:
            raise Fenced
        check(rows, epochs)

    with monkeypatch.context() as patched:
        patched.setattr(records, "check_epochs", lost_in_the_third)
        with pytest.raises(Fenced):
            _turn(world)
    assert _links(world) == 1 + 2 * MOST_TOLD

    world.crash()
    _turn(world)
    assert _links(world) == PEOPLE


def test_large_messages_are_applied_in_portions_each_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MOST_BYTES", 1_000_000)
    world = World(tmp_path, 1)
    for number in range(4):
        _bundle(world, number)
    _turn(world)  # the partition is taken
    for number in range(4, 14):
        _bundle(world, number)
    calls, check = count(1), records.check_epochs

    def lost_in_the_third(rows: Rows, epochs: Mapping[int, int]) -> None:
        if next(calls) == 3:
            raise Fenced
        check(rows, epochs)

    with monkeypatch.context() as patched:
        patched.setattr(records, "check_epochs", lost_in_the_third)
        with pytest.raises(Fenced):
            _turn(world)
    assert (_signals(world), len(world.broker.queues[partition_queue(0)])) == (3 * 12, 2)

    world.crash()
    _turn(world)
    assert (_signals(world), len(world.broker.queues[partition_queue(0)])) == (3 * 14, 0)


def _bundle(world: World, number: int) -> None:
    """What joins a profile of partition 0: three signals, 240 kB."""
    name = next(name for name in map(str, count()) if partition_of("c", "external", name, N) == 0)
    profile = ProfileReference("external", name)
    bodies = [
        encode_signal(
            id=f"{number}-{each}",
            source="shop",
            time=world.now,
            data=SignalData(
                signal="cart/add",
                audience_configuration=Reference("c"),
                audience=Reference("a"),
                profile=profile,
                received_at=to_datetime(world.now),
                touchpoint="server",
                attributes={"text": "x" * 80_000},
            ),
        )
        for each in range(3)
    ]
    message = encode_stitched(Reference("c"), profile, bodies)
    world.broker.put(partition_queue(0), message, f"{STITCHED_ID_PREFIX}{name}")


def _signals(world: World) -> int:
    return int(Rows(world.worker._database).execute("SELECT count(*) FROM signals")[0][0])


def _tell(world: World, names: list[str]) -> None:
    for name in names:
        told = Identified(
            configuration="c", anonymous=name, id_type="external", profile=name, time=world.now, at=world.now
        )
        world.broker.put(partition_queue(0), encode(told), f"{IDENTIFIED_ID_PREFIX}{name}")


def _turn(world: World) -> None:
    world.worker._turn(MemoryConsumer(world.broker, False, partition_queue(0), 500))  # type: ignore[arg-type]


def _links(world: World) -> int:
    return int(Rows(world.worker._database).execute("SELECT count(*) FROM anonymous_links")[0][0])
