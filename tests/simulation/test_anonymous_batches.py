"""Many anonymous customers who become known at once: what they left is not taken all in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest

from contracts.stitching import ANONYMOUS, IDENTIFIED_ID_PREFIX, Identified
from contracts.topology import partition_of, partition_queue
from contracts.wire import encode
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
