"""Roll-ups are what ledger, log and outbox did, step by step, through crashes and clock steps (DOMAIN §8)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from contracts.signals import decode_signal
from contracts.templates import templates
from contracts.times import DAY, HOUR, MINUTE
from services.trigger.audit_rollups import rollup_differences
from services.trigger.lateness import SLOTS_PER_DOUBLING
from services.trigger.store import reading
from services.trigger.store.rows import Rows
from tests.simulation.world import World

SPANS = (MINUTE, HOUR, DAY)
STEPS = 120
LEAPS = (0, 0, 0, 0, 0, 0, 0, 20 * MINUTE, 5 * HOUR)


class SlowOracle:
    """Looks at ledger and log before and after each step: what changed belongs to the bucket in which the clock is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = self._totals()
        self.expected: Counter[tuple[int, int, str]] = Counter()

    def watch(self) -> None:
        """One step of the world."""
        instant = self._world.clock.now()
        self._world.step()
        self._attribute(instant)

    def finish(self) -> None:
        """The rest, which happens at instants of its own: each of them is looked at."""
        original = self._world.clock.set

        def stepping(instant: int) -> None:
            self._attribute(self._world.clock.now())
            original(instant)

        self._world.clock.set = stepping  # type: ignore[method-assign]
        self._world.run_out()
        self._attribute(self._world.clock.now())

    def _attribute(self, instant: int) -> None:
        after = self._totals()
        for counter, value in (after - self._before).items():
            for span in SPANS:
                self.expected[span, instant // span * span, counter] += value
        self._before = after

    def _totals(self) -> Counter[str]:
        rows = Rows(self._world.worker._database)
        totals: Counter[str] = Counter()
        for name, value in rows.execute("SELECT counter, sum(value) FROM ledger GROUP BY counter"):
            totals[name] = int(value)
        heeded = templates()["cart_abandon"].effects
        for (body,) in rows.execute("SELECT body FROM signals"):
            totals["signals"] += decode_signal(bytes(body)).kind.name in heeded
        for sent, due in rows.execute(
            "SELECT o.sent_at, r.due_at FROM outbox o JOIN raises r ON r.id = o.message_id WHERE o.sent_at IS NOT NULL"
        ):
            totals[f"late:{slowly_slotted(sent - due):03d}"] += 1
        return totals


def slowly_slotted(lateness: int) -> int:
    """The slot of a lateness, by trying them all."""
    slot = 0
    while 2 ** ((slot + 1) / SLOTS_PER_DOUBLING) * 1_000 <= lateness:
        slot += 1
    return slot


def rolled_up(world: World) -> Counter[tuple[int, int, str]]:
    """(span, bucket, counter) → value, as it stands in the table."""
    sql = "SELECT span, bucket, counter, sum(value) FROM rollups GROUP BY span, bucket, counter"
    rows: list[tuple[Any, ...]] = Rows(world.worker._database).execute(sql)
    return Counter({(span, bucket, counter): int(value) for span, bucket, counter, value in rows})


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), leaps=st.lists(st.sampled_from(LEAPS), min_size=STEPS, max_size=STEPS))
def test_every_bucket_holds_what_happened_in_it(tmp_path_factory: Any, seed: int, leaps: list[int]) -> None:
    world = World(tmp_path_factory.mktemp("world"), seed)
    oracle = SlowOracle(world)
    for leap in leaps:
        if leap:
            world.pass_time(leap)
        oracle.watch()
    oracle.finish()

    found = rolled_up(world)
    assert found == oracle.expected
    rows = Rows(world.worker._database)
    assert list(rollup_differences(rows, reading.ledgers(rows), world.clock.now())) == []
    event(f"crashes: {min(world.crashes, 3)}")
    event(f"days: {len({bucket for span, bucket, _ in found if span == DAY})}")
    event(f"counters: {len({counter.partition(':')[0] for _, _, counter in found})}")
    world.worker._database.close()


def test_what_was_rolled_back_is_not_counted_and_what_is_delivered_twice_counts_once(tmp_path: Path) -> None:
    crashed = 0
    for seed in range(8):
        world = World(tmp_path / str(seed), seed)
        for _ in range(STEPS):
            world.step()
            world.repeat()
        world.run_out()

        signals = Rows(world.worker._database).execute("SELECT count(*) FROM signals")[0][0]
        found = rolled_up(world)
        for span in SPANS:
            assert (
                sum(value for (size, _, counter), value in found.items() if (size, counter) == (span, "signals"))
                == signals
            )
        crashed += world.crashes
        world.worker._database.close()
    assert crashed > 8
