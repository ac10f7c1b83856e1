"""Whatever crashes, repeats and clock steps did, an explanation tells exactly what was recorded (DOMAIN §6.12)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from contracts.moments import SettingsVersion
from contracts.templates import templates
from contracts.times import DAY, MINUTE
from services.trigger.engine.application import ProfileId
from services.trigger.engine.explanation import explain
from services.trigger.store import records
from services.trigger.store.accounts import Terms, read_case
from services.trigger.store.rows import Rows
from tests.oracle.budget import FACTOR
from tests.simulation.world import World
from tests.support.explanations import Derived, derive_from

SEEDS = 4 * FACTOR
SEEDS_OF_CHANGES = 6 * FACTOR
FIRST_OF_CHANGES = 3
"""From here on one of the first few, 8, gives waits dues of their own."""
STEPS = 150


def explained(world: World, profile: str) -> dict[str, Any]:
    """The explanation of a customer of the world, from the database as it stands."""
    rows = Rows(world.worker._database)
    terms = Terms(templates(), DAY, 7 * DAY)
    case, known = read_case(rows, world.moment, ProfileId("configuration", "external", profile), terms)
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(explain(case, known)))
    return document


def check(world: World, seed: int) -> list[Derived]:
    """What the explanations of all customers add up to is the ledger; returns what follows from each."""
    documents = [explained(world, profile) for profile in "abc"]
    assert [document["differences"] for document in documents] == [[], [], []], f"seed {seed}"
    assert all(document["complete"] for document in documents)
    found = [derive_from(document) for document in documents]
    counts: Counter[str] = Counter()
    for one in found:
        counts["opened"] += one.opened
        counts["raised"] += len(one.raised)
        counts.update({f"ended:{reason}": n for reason, n in one.ended.items()})
        counts.update(f"suppressed:{reason}" for reason, _ in one.suppressed)
        counts["contradicted"] += len(one.contradicted)
        counts["recovered"] += len(one.recovered)
    rows = Rows(world.worker._database)
    told = {name: n for name, n in records.ledger(rows).get("moment", {}).items() if n and name != "slid"}
    assert dict(+counts) == told, f"seed {seed}"
    assert sum(len(one.pending) for one in found) == rows.execute("SELECT count(*) FROM waits")[0][0]
    return found


def test_at_any_moment_explanations_add_up_to_the_ledger(tmp_path: Path) -> None:
    raised = suppressed = crashes = 0
    for seed in range(SEEDS):
        world = World(tmp_path / str(seed), seed)
        for _ in range(STEPS):
            world.step()
        check(world, seed)
        world.run_out()
        found = check(world, seed)
        raised += sum(len(one.raised) for one in found)
        suppressed += sum(len(one.suppressed) for one in found)
        crashes += world.crashes
        world.worker._database.close()
    assert raised > SEEDS
    assert suppressed > 0
    assert crashes > 0


def test_steps_of_the_clock_confuse_no_explanation(tmp_path: Path) -> None:
    for seed in range(SEEDS):
        world = World(tmp_path / str(seed), seed, skews=(0, MINUTE, -MINUTE))
        for _ in range(STEPS):
            world.step()
        world.run_out()
        check(world, seed)
        world.worker._database.close()


def test_stops_restarts_and_edits_are_told_as_they_took_effect(tmp_path: Path) -> None:
    stopped = retimed = 0
    for seed in range(FIRST_OF_CHANGES, FIRST_OF_CHANGES + SEEDS_OF_CHANGES):
        world = World(tmp_path / str(seed), seed)
        for step in range(STEPS):
            world.step()
            if step % 12 == 11:
                change(world)
        check(world, seed)
        world.run_out()
        found = check(world, seed)
        stopped += sum(reason == "stopped" for one in found for reason, _ in one.suppressed)
        retimed += Rows(world.worker._database).execute("SELECT count(*) FROM retimed")[0][0]
        world.worker._database.close()
    assert stopped > SEEDS_OF_CHANGES
    assert retimed > 0


def change(world: World) -> None:
    """Config says something new: another duration, a stop, or a start."""
    state, now = world.moment, world.now
    changes: dict[str, Any] = {"version": state.version + 1}
    if state.status == "stopped":
        changes |= {"status": "running", "running_since": now, "stopped_at": None}
    elif world.random.random() < 0.3:
        changes |= {"status": "stopped", "stopped_at": now}
    else:
        last = state.history[-1]
        settings = {**last.settings, "duration": world.random.choice(("PT5S", "PT1M", "PT3M"))}
        version = SettingsVersion(version=last.version + 1, since=now, settings=settings)
        changes |= {"history": (*state.history, version)}
    world.moment = msgspec.structs.replace(state, **changes)
    world.worker._states.keep(world.moment)
    world.pass_time(1)
