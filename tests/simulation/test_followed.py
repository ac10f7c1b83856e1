"""A back-test of what ran is what ran: over random histories with faults, edits, stops, late and repeated signals."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from contracts.moments import SettingsVersion
from contracts.signals import Item, ProfileReference, Reference, SignalData, decode_signal, encode_signal
from contracts.times import MINUTE, SECOND, to_datetime
from contracts.topology import partition_of, partition_queue
from services.trigger.backtesting.execution import Execution
from services.trigger.backtesting.progress import Progress
from services.trigger.backtesting.request import Request
from services.trigger.store import records
from services.trigger.store.rows import Rows
from tests.oracle.budget import FACTOR
from tests.simulation.world import START, N, World

SEEDS = 6 * FACTOR
STEPS = 220
_EDITS = (
    {"duration": "PT10S"},
    {"duration": "PT1M"},
    {"duration": "PT10M"},
    {"coolDown": "PT2M"},
    {"coolDown": None},
    {"repeat": "once"},
    {"repeat": "on_change"},
    {"maximumWait": "PT90S"},
)


class EditedWorld(World):
    """A world in which signals come late and people change the moment."""

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.04:
            self.edit(self.random.choice(_EDITS))
        elif choice < 0.07:
            self.turn_off_or_on()
        else:
            super().step()

    def edit(self, settings: dict[str, str | None]) -> None:
        """Other settings from now on."""
        history = self.moment.history
        merged = {**history[-1].settings, **settings}
        version = SettingsVersion(
            version=self.moment.version + 1,
            since=max(self.now, history[-1].since + 1),
            settings={name: value for name, value in merged.items() if value is not None},
        )
        self.tell(version=version.version, history=(*history, version))

    def turn_off_or_on(self) -> None:
        """A stop, or the start of a new run."""
        version = self.moment.version + 1
        if self.moment.status == "running":
            self.tell(version=version, status="stopped", stopped_at=self.now)
        else:
            self.tell(version=version, status="running", running_since=self.now, stopped_at=None)

    def tell(self, **fields: object) -> None:
        """The worker hears of a state, perhaps some time and some signals and decisions after its instant."""
        self.moment = msgspec.structs.replace(self.moment, **fields)
        for _ in range(self.random.choice((0, 1, 6))):
            self.send()
            self.pass_time(self.random.choice((1, SECOND)))
            self.guarded(self.random.choice((self.wake, self.consume, self.consume)))
        self.worker._states.keep(self.moment)

    def send(self) -> None:
        """A customer did something up to some minutes ago, and the signal is acknowledged now."""
        profile, cart = self.random.choice("abcd"), self.random.choice("xy")
        kind = self.random.choice(("cart/add", "cart/add", "cart/add", "cart/remove", "cart/purchase", "cart/clear"))
        at = self.now - self.random.choice((0, 0, 0, 0, 15 * SECOND, 70 * SECOND, 5 * MINUTE))
        data = SignalData(
            signal=kind,
            audience_configuration=Reference("configuration"),
            audience=Reference("audience"),
            profile=ProfileReference("external", profile),
            received_at=to_datetime(self.now),
            touchpoint="server",
            cart_id=None if kind == "cart/purchase" and self.random.random() < 0.5 else cart,
            items=(Item(product_id=self.random.choice("pq")),),
        )
        name = f"{len(self.bodies):04}"
        body = encode_signal(id=name, source="shop", time=at, data=data)
        partition = partition_of("configuration", "external", profile, N)
        self.bodies.append((partition, body, name))
        self.signals.append(decode_signal(body))
        self.broker.put(partition_queue(partition), body, name)


def backtest_of(world: World, folder: Path) -> dict[str, dict[str, object]]:
    """The result of following what ran."""
    request = Request(
        type="cart_abandon",
        configuration_id="configuration",
        settings={},
        since=0,
        until=2 * START,
        moment_id="moment",
        as_it_ran=True,
    )
    return Execution(request, Rows(world.worker._database), world.settings, folder, Progress()).run()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_following_what_ran_decides_the_same_again(tmp_path: Path, seed: int) -> None:
    world = EditedWorld(tmp_path, 7_000 + seed)
    for _ in range(STEPS):
        world.step()
    world.run_out()
    rows = Rows(world.worker._database)
    recorded = rows.execute("SELECT raised, reason, count(*) FROM raises GROUP BY raised, reason")
    raised = sum(count for was_raised, _, count in recorded if was_raised)
    suppressed = {reason: count for was_raised, reason, count in recorded if not was_raised}

    result = backtest_of(world, tmp_path)

    assert result["agreement"] == {
        "recorded": raised + sum(suppressed.values()),
        "equal": raised + sum(suppressed.values()),
        "differing": 0,
        "differences": [],
    }
    base = result["base"]
    assert base["raised"] == raised > 0
    assert {name: count for name, count in base["suppressed"].items() if count} == suppressed  # type: ignore[union-attr]
    ledger = records.ledger(rows)["moment"]
    counted = {name: ledger.get(name, 0) for name in ("opened", "slid", "contradicted", "ignored", "recovered")}
    assert {name: base[name] for name in counted} == counted
    ended = {name[6:]: count for name, count in ledger.items() if name.startswith("ended:")}
    assert base["ended"] == ended
    pending = rows.execute("SELECT count(*) FROM waits")[0][0]
    assert base["pending"] == pending
