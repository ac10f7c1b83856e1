"""No crash, redelivery, restart or clock step loses or doubles a raise (DOMAIN §6.5, §6.9, §6.11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest

from contracts.templates import templates
from contracts.times import DAY, MINUTE, SECOND, from_rfc3339
from services.trigger import applying, firing
from services.trigger.engine.decide import Decision, ProcessId
from services.trigger.engine.moment import compile_moment
from services.trigger.engine.state import Process
from services.trigger.intake import Applied
from services.trigger.replay import MomentBook, Replay
from services.trigger.store import records
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.broker import Message
from shared.outbox import Outbox
from tests.oracle.budget import FACTOR
from tests.simulation.world import World

SEEDS = 6 * FACTOR
STEPS = 150


def expected_raises(world: World) -> dict[str, tuple[int, int]]:
    """What the same signals lead to when nothing goes wrong: raise id → opened, due."""
    book = MomentBook(templates(), {}, DAY)
    book.put(compile_moment(world.moment, templates()["cart_abandon"]))
    replay = Replay(book)
    outcomes = []
    for signal in world.signals:
        outcomes += replay.advance(signal.received_at)
        replay.receive(signal)
    outcomes += replay.run_out()
    return {o.decision.raise_id: (o.decision.opened_at, o.decision.due) for o in outcomes if o.decision.raised}


def raised_messages(world: World) -> list[Message]:
    """What was published of raises, with repeats."""
    moments = [message for message in world.broker.journeys if message.routing_key.startswith("moment.")]
    return [message for message in moments if not message.routing_key.endswith(".recovered")]


def recovered_raises(world: World) -> set[str]:
    """The raises of which a recovery was published; each under its one id, recorded and counted once."""
    found: dict[str, str] = {}
    for message in world.broker.journeys:
        if message.routing_key.endswith(".recovered"):
            event = msgspec.json.decode(message.body)
            assert message.message_id == event["id"] == str(uuid5(UUID(event["data"]["raiseId"]), "recovered"))
            assert found.setdefault(event["id"], event["data"]["raiseId"]) == event["data"]["raiseId"]
    rows = Rows(world.worker._database)
    assert {raise_id for (raise_id,) in rows.execute("SELECT raise_id FROM recoveries")} == set(found.values())
    assert records.ledger(rows).get("moment", {}).get("recovered", 0) == len(found)
    return set(found.values())


def expected_recoveries(world: World) -> set[str]:
    """Each purchase recovers the latest raise of its cart that was due before it (DOMAIN §6.10), from the events."""
    events = {message.message_id: msgspec.json.decode(message.body)["data"] for message in raised_messages(world)}
    found: set[str] = set()
    for signal in world.signals:
        if signal.kind.name != "cart/purchase":
            continue
        for cart in ("x", "y") if signal.data.cart_id is None else (signal.data.cart_id,):
            dues = {
                raise_id: from_rfc3339(data["dueAt"])
                for raise_id, data in events.items()
                if data["profile"]["id"] == signal.profile and data["process"]["id"] == cart
            }
            before = {raise_id: due for raise_id, due in dues.items() if due < signal.time <= due + 7 * DAY}
            if before:
                found.add(max(before, key=lambda raise_id: before[raise_id]))
    return found


def late_suppressions(world: World) -> int:
    """Raises that a purchase after the due, but before the raise, prevented: right, and not in the expectation."""
    counted = records.ledger(Rows(world.worker._database)).get("moment", {})
    return counted.get("suppressed:ended_before_raise", 0)


@pytest.mark.parametrize("block", range(4))
def test_every_seed_gives_the_raises_of_a_world_without_faults(block: int, tmp_path: Path) -> None:
    crashes = raises = late = recoveries = 0
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        world = World(tmp_path / str(seed), seed)
        for _ in range(STEPS):
            world.step()
        world.run_out()

        published = [message.message_id for message in raised_messages(world)]
        expected = expected_raises(world)
        prevented = late_suppressions(world)
        assert set(published) <= set(expected), f"seed {seed}: raised what should not be"
        assert len(set(expected) - set(published)) <= prevented, f"seed {seed}: lost a raise"
        assert_ledger(world, seed, raised=len(set(published)))
        assert recovered_raises(world) == expected_recoveries(world), f"seed {seed}"
        recoveries += len(recovered_raises(world))
        crashes, raises, late = crashes + world.crashes, raises + len(set(published)), late + prevented
        world.worker._database.close()
    assert crashes > SEEDS
    assert raises > SEEDS
    assert late > 0
    assert recoveries > 0


def test_a_clock_that_runs_ahead_doubles_nothing(tmp_path: Path) -> None:
    """A raise may then come too early, as the clock said; it is still one, and the ledger balances."""
    for seed in range(SEEDS):
        world = World(tmp_path / str(seed), seed, skews=(0, MINUTE, -MINUTE))
        for _ in range(STEPS):
            world.step()
        world.run_out()

        assert_ledger(world, seed, raised=len({message.message_id for message in raised_messages(world)}))
        world.worker._database.close()


def assert_ledger(world: World, seed: int, *, raised: int) -> None:
    rows = Rows(world.worker._database)
    counts = Counter(records.ledger(rows).get("moment", {}))
    done = sum(n for name, n in counts.items() if name == "raised" or name.startswith(("ended:", "suppressed:")))
    pending = rows.execute("SELECT count(*) FROM waits")[0][0]
    assert pending == 0, f"seed {seed}: {pending} waits were never decided"
    assert counts["opened"] == done, f"seed {seed}: {dict(counts)}"
    assert counts["raised"] == raised == rows.execute("SELECT count(*) FROM raises WHERE raised")[0][0]


def test_published_events_say_what_was_expected(tmp_path: Path) -> None:
    world = World(tmp_path, 7)
    for _ in range(2 * STEPS):
        world.step()
    world.run_out()

    expected = expected_raises(world)
    assert raised_messages(world)
    for message in raised_messages(world):
        event = msgspec.json.decode(message.body)
        assert event["id"] == message.message_id
        assert event["id"] in expected
    world.worker._database.close()


def test_a_wait_that_the_engine_cannot_decide_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among others that are due with it; it stays pending, and is raised when it can be."""
    world = World(tmp_path, 3)
    world.profiles = [f"p{number}" for number in range(20)]
    for _ in range(50):
        world.send()
        world.pass_time(SECOND)
    decide, poisoned = firing.decide, set[str]()

    def failing(process: Process, identity: ProcessId, *rest: Any, **more: Any) -> Any:
        outcome = decide(process, identity, *rest, **more)
        if not poisoned and isinstance(outcome, Decision) and outcome.raised:
            poisoned.add(identity.profile)
        if identity.profile in poisoned:
            raise ArithmeticError
        return outcome

    monkeypatch.setattr(firing, "decide", failing)
    world.run_out()
    expected = set(expected_raises(world))
    others = {message.message_id for message in raised_messages(world)}

    assert len(others) > 3
    assert others < expected

    monkeypatch.setattr(firing, "decide", decide)
    world.pass_time(firing.PUT_OFF)
    world.run_out()

    assert {message.message_id for message in raised_messages(world)} == expected
    world.worker._database.close()


def test_a_signal_that_the_engine_cannot_take_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in the midst of a batch leaves nothing of it behind; then each signal is tried alone."""
    world = World(tmp_path, 3)
    for _ in range(12):
        world.send()
    poison = world.signals[5].id
    apply_batch = applying.apply_batch

    def failing(rows: Rows, outbox: Outbox, arrivals: Sequence[Arrival], *rest: object) -> Applied:
        applied = apply_batch(rows, outbox, arrivals, *rest)  # type: ignore[arg-type]
        if any(arrival.signal.id == poison for arrival in arrivals):
            raise ArithmeticError
        return applied

    monkeypatch.setattr(applying, "apply_batch", failing)
    world.run_out()

    dead = [message for message in world.broker.dead if message.body == world.bodies[5][1]]
    assert len(dead) == 1
    assert "ArithmeticError" in dead[0].headers["reason"]
    del world.signals[5]
    assert {message.message_id for message in raised_messages(world)} == set(expected_raises(world))
    world.worker._database.close()
