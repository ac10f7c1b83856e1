"""A recorded shop log through the real programs: the raises of a back-test, whatever is killed meanwhile.

The log spans 36 minutes: at the promised pace (`REAL`) a run takes 92 seconds, and three of them go side by side.
In the other tests things are killed during runs of 20 seconds (`FAST`); `./moments test -m soak` repeats those at the
promised pace.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest

from contracts.signals import Signal
from contracts.times import MINUTE, SECOND, from_rfc3339, to_rfc3339
from contracts.topology import DEAD_LETTERS, LOST
from services.cli.rest import Client
from tests.acceptance.program import Up, run
from tests.acceptance.shop_log import (
    FAST,
    REAL,
    Pace,
    Raise,
    Told,
    on_time,
    outcomes,
    raise_of_event,
    raises_of,
    scheduled,
    sorted_json,
)
from tests.acceptance.stack import CLOCK, PATIENCE, Shop, Stack
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresNode
from tests.support.processes import free_port_base, stretched, wait_until
from tests.support.rabbitmq import RabbitMQNode

pytestmark = pytest.mark.timeout(1200)

EMBEDDED, SERVERS, FRAGILE = "embedded", "servers", "fragile"
BOTH = (EMBEDDED, SERVERS)
NEEDS_SERVERS = (pytest.mark.rabbitmq, pytest.mark.postgresql)
ON_EACH = pytest.mark.parametrize("name", [EMBEDDED, pytest.param(SERVERS, marks=NEEDS_SERVERS)])
ON_SERVERS = pytest.mark.parametrize("name", [pytest.param(SERVERS, marks=NEEDS_SERVERS)])
AT_EACH_PACE = pytest.mark.parametrize(
    "pace", [pytest.param(FAST, id="fast"), pytest.param(REAL, id="real", marks=pytest.mark.soak)]
)

CONFIG, INGESTION, WORKER = "services.config.wsgi", "services.ingestion.wsgi", "services.trigger.worker"
MIGHT_BE_LATE = SECOND // 10
DELAYS = (0, 5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560)
"""Hundredths of a second that a wait may be decided after it is ready."""
LONGEST_OUTAGE = 12.0
"""Seconds that the broker may be away: until then no signal that waits comes after the due of its process (`REAL`)."""


@dataclass(frozen=True, slots=True)
class Run:
    """A log that was sent, and what trigger logged of it."""

    stack: Stack
    shop: Shop
    pace: Pace
    file: Path
    summary: dict[str, Any]
    signals: list[Signal]

    @property
    def latest(self) -> float:
        """By how many seconds the latest signal was received after it happened."""
        return max(each.received_at - each.time for each in self.signals) / SECOND

    @property
    def expected(self) -> list[Raise]:
        """The raises, had every signal been received when it happened."""
        return raises_of(self.outcomes(on_time(self.signals)))

    @property
    def in_time(self) -> bool:
        """Whether the machine was quick enough: lateness, and a little more of it, would have changed nothing."""
        later = [_received(each, each.received_at + MIGHT_BE_LATE) for each in self.signals]
        return raises_of(self.outcomes(later)) == self.expected

    @property
    def raised(self) -> list[Raise]:
        """The raises that trigger's events API lists."""
        return sorted(raise_of_event(event) for event in self.stack.events(self.shop))

    @property
    def lags(self) -> list[float]:
        """How many seconds after its due each wait was raised, sorted."""
        spans = [from_rfc3339(each["decidedAt"]) - from_rfc3339(each["dueAt"]) for each in self.stack.events(self.shop)]
        return sorted(span / SECOND for span in spans)

    def outcomes(self, signals: list[Signal], delay: int = 0) -> dict[str, Told]:
        """What the engine makes of signals, profile by profile."""
        return outcomes(self.shop, self.pace.duration, signals, delay)


Harm = Callable[[Stack, int], None]
"""Kills something during a run; it is told how many signals were applied before the run."""


def send_log(stack: Stack, file: Path, pace: Pace, harm: Harm | None = None) -> Run:
    """One run in a new shop, until every wait is decided."""
    shop, before = stack.make_shop(pace.duration), stack.applied()
    sending = stack.send(shop, file, pace.speed)
    if harm is not None:
        harm(stack, before)
    summary = sending.finish()
    stack.settle(shop, before + sending.signals)
    return Run(stack, shop, pace, file, summary, stack.signals(shop))


def send_log_in_time(
    stack: Stack, file: Path, pace: Pace, harm: Harm | None = None, in_time: Callable[[Run], bool] = lambda r: r.in_time
) -> Run:
    """A run in which no signal came too late only because the machine was slow; what is too slow is done once again.

    What was too slow twice is judged by when each signal was received.
    """
    done = send_log(stack, file, pace, harm)
    return done if in_time(done) else send_log(stack, file, pace, harm)


def check_everything_arrived(done: Run) -> None:
    """Each signal stands in the log once, as it was sent; journeys saw each raise; the books balance."""
    rows = len(done.signals)
    plan = scheduled(done.file, min(each.time for each in done.signals), done.pace.speed)
    assert (done.summary["sent"], done.summary["accepted"], done.summary["refused"]) == (rows, rows, {})
    assert len(plan) == rows
    assert {each.id: each.time for each in done.signals} == plan

    stack, ids = done.stack, {each.id for each in done.raised}
    assert len(ids) == len(done.raised)
    wait_until(lambda: stack.journey.ids(done.shop) >= ids, "the journey to see every raise", PATIENCE)
    assert stack.journey.ids(done.shop) == ids
    for seen in stack.journey.seen:
        assert Counter(seen).most_common(1)[0][1] == 1 if seen else True

    ledger = stack.ledger(done.shop)
    assert (ledger["raised"], ledger["pending"], ledger["balanced"]) == (len(ids), 0, True)
    assert stack.audit() == []
    assert (stack.depth(DEAD_LETTERS), stack.depth(LOST)) == (0, 0)


def check_same_raises(done: Run, count: int | None = None) -> None:
    """The raises of the engine in virtual time, so many, and of the command `moments backtest` over the file itself."""
    if not done.in_time:
        check_late_signals_are_accounted_for(done)
        return
    assert done.raised == done.expected
    assert count in (None, len(done.raised))
    assert Counter(each.told for each in done.raised) == back_tested(done.file, done.pace.recorded)


@cache
def back_tested(file: Path, duration: str) -> Counter[tuple[str, str, str]]:
    """What `moments backtest` tells of a file, as `Raise.told`."""
    options = ("--template", "cart_abandon", "--set", f"duration={duration}", "--format", "rees46", "--json")
    lines = run("backtest", str(file), *options, timeout=PATIENCE).stdout.splitlines()[:-1]
    told = [json.loads(line) for line in lines]
    return Counter((each["profile"]["id"], each["process"]["id"], sorted_json(each["content"])) for each in told)


def _received(each: Signal, at: int) -> Signal:
    return msgspec.structs.replace(each, received_at=at)


@pytest.fixture(scope="module")
def log() -> Path:
    """The october log."""
    folder = os.environ.get("MOMENTS_SAMPLE_DATA")
    if not folder:
        pytest.skip("MOMENTS_SAMPLE_DATA does not name the folder of recorded shop logs")
    return Path(folder) / "cosmetics_2022_oct.csv"


@pytest.fixture(scope="module")
def stacks(
    log: Path, request: pytest.FixtureRequest, server_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Stack]]:
    """The installations that can run here, started side by side. `fragile` has a RabbitMQ node of its own, to kill."""
    folder = tmp_path_factory.mktemp("shop-log")
    made = {EMBEDDED: Stack(EMBEDDED, Up(folder / EMBEDDED, free_port_base()), {})}
    fragile: RabbitMQNode | None = None
    if rabbitmq.available() is None and postgres.available() is None:
        store = request.getfixturevalue("_postgres_session")
        fragile = RabbitMQNode(server_folder / "rabbitmq-fragile")
        for name, node in ((SERVERS, request.getfixturevalue("_rabbitmq_session")), (FRAGILE, fragile)):
            node.ensure_running()
            changes = {
                "MOMENTS_BROKER_URL": node.url(node.fresh_vhost()),
                "MOMENTS_DATABASE_URL": store.create_database(f"shop_log_{name}"),
            }
            made[name] = Stack(name, Up(folder / name, free_port_base(), changes=changes), changes, node)
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(Stack.start, made.values()))
        yield made
    finally:
        for stack in made.values():
            stack.stop()
        if fragile is not None:
            fragile.stop()


@dataclass(slots=True)
class SideBySide:
    """Experiments that are done on several installations at once; each test takes the result of its own."""

    stacks: dict[str, Stack]
    threads: ThreadPoolExecutor
    begun: dict[Any, dict[str, Future[Run]]] = field(default_factory=dict)

    def run(self, name: str, key: Any, experiment: Callable[[Stack], Run], on: tuple[str, ...] = BOTH) -> Run:
        """The result on one installation of an experiment that the first who asks for it begins on all."""
        self.begin(key, experiment, on)
        return self.begun[key][name].result(timeout=5 * PATIENCE)

    def begin(self, key: Any, experiment: Callable[[Stack], Run], on: tuple[str, ...] = BOTH) -> None:
        """Begin an experiment, unless it has begun, on those installations that are there."""
        if key not in self.begun:
            stacks = [self.stacks[each] for each in on if each in self.stacks]
            self.begun[key] = {stack.name: self.threads.submit(experiment, stack) for stack in stacks}


@pytest.fixture(scope="module")
def side_by_side(stacks: dict[str, Stack]) -> Iterator[SideBySide]:
    """Experiments on the installations of this module."""
    with ThreadPoolExecutor() as threads:
        yield SideBySide(stacks, threads)


@pytest.fixture
def available(name: str, request: pytest.FixtureRequest) -> None:
    """Skips a test on servers that are not installed, or fails it where they are required."""
    if name != EMBEDDED:
        request.getfixturevalue("rabbitmq_node")
        request.getfixturevalue("postgres_node")


def kill_the_broker(stack: Stack, before: int) -> None:
    """At a point of the log (row 520) where it may be away for 13 s without a signal being too late for its process."""
    stack.wait_for_signals(before + 520)
    assert stack.node is not None
    stack.node.restart()


def outage_was_short(done: Run) -> bool:
    """Whether the broker was back before a waiting signal came too late."""
    return done.latest < LONGEST_OUTAGE


def kill_the_worker(stack: Stack, before: int) -> None:
    """Twice while raises are due, and the journey's process, too."""
    for row in (450, 800):
        stack.wait_for_signals(before + row)
        stack.journey.kill()
        stack.kill_and_see_restarted(WORKER)
        stack.journey.start()


def kill_config(stack: Stack, before: int) -> None:
    """In the middle."""
    stack.wait_for_signals(before + 450)
    stack.kill_and_see_restarted(CONFIG)


def kill_ingestion(stack: Stack, before: int) -> None:
    """When signals are about to come (rows 356 to 397) that end or slide waits soon due."""
    stack.wait_for_signals(before + 350)
    stack.kill_and_see_restarted(INGESTION)


def lose_the_broker(stack: Stack, log: Path) -> Run:
    """A run at the promised pace during which the broker is killed."""
    return send_log_in_time(stack, log, REAL, kill_the_broker, outage_was_short)


@ON_EACH
def test_it_raises_what_a_back_test_of_the_log_raises(
    name: str, available: None, side_by_side: SideBySide, log: Path
) -> None:
    side_by_side.begin("broker", lambda stack: lose_the_broker(stack, log), (FRAGILE,))

    done = side_by_side.run(name, "undisturbed", lambda stack: send_log_in_time(stack, log, REAL))

    check_same_raises(done, 41)
    assert not done.in_time or len({each.profile for each in done.raised}) == 36
    assert median(done.lags) < stretched(0.5)
    check_everything_arrived(done)


@pytest.mark.parametrize("name", [pytest.param(FRAGILE, marks=NEEDS_SERVERS)])
def test_a_killed_broker_changes_no_raise(name: str, available: None, side_by_side: SideBySide, log: Path) -> None:
    done = side_by_side.run(name, "broker", lambda stack: lose_the_broker(stack, log), (FRAGILE,))

    assert done.summary["retries"] > 0
    check_same_raises(done, 41)
    check_everything_arrived(done)


@ON_EACH
@AT_EACH_PACE
@pytest.mark.parametrize("harm", [kill_the_worker, kill_config])
def test_a_killed_program_changes_no_raise(
    name: str, available: None, harm: Harm, pace: Pace, side_by_side: SideBySide, log: Path
) -> None:
    done = side_by_side.run(name, (harm, pace), lambda stack: send_log_in_time(stack, log, pace, harm))

    check_same_raises(done)
    check_everything_arrived(done)
    assert done.stack.up.ready("config")


@ON_SERVERS
@pytest.mark.soak
def test_a_killed_database_changes_no_raise(
    name: str, available: None, stacks: dict[str, Stack], log: Path, postgres_node: PostgresNode
) -> None:
    def kill_the_database(stack: Stack, before: int) -> None:
        stack.wait_for_signals(before + 520)
        postgres_node.restart()

    done = send_log_in_time(stacks[name], log, FAST, kill_the_database)

    check_same_raises(done)
    check_everything_arrived(done)


@ON_EACH
@AT_EACH_PACE
def test_a_killed_ingestion_loses_nothing_that_it_acknowledged(
    name: str, available: None, pace: Pace, side_by_side: SideBySide, log: Path
) -> None:
    done = side_by_side.run(name, (kill_ingestion, pace), lambda stack: send_log(stack, log, pace, kill_ingestion))

    assert done.summary["retries"] > 0
    check_everything_arrived(done)
    settled = check_late_signals_are_accounted_for(done)
    assert settled + len(done.stack.contradictions(done.shop)) > 0


def check_late_signals_are_accounted_for(done: Run) -> int:
    """The raises, suppressions and contradictions are those of the engine, given when each signal was received.

    A wait is decided a little after it is ready, and what is applied in between counts: profile by profile the
    outcome must be the engine's with some such delay. Returns how many raises waited for late signals to settle.
    """
    candidates = [done.outcomes(done.signals, delay * SECOND // 100) for delay in DELAYS]
    raises, contradictions = done.raised, done.stack.contradictions(done.shop)
    suppressed = {each["id"]: each["reason"] for each in done.stack.events(done.shop, "suppressed")}
    explained: set[tuple[str, str]] = set()
    for profile in candidates[0]:
        found = (
            tuple(each for each in raises if each.profile == profile),
            tuple(
                sorted(
                    (each["signal"]["id"], each["raiseId"])
                    for each in contradictions
                    if each["profile"]["id"] == profile
                )
            ),
        )
        fitting = [
            each[profile] for each in candidates if (each[profile].raises, each[profile].contradictions) == found
        ]
        fitting = [each for each in fitting if set(each.suppressed) <= suppressed.items()]
        assert fitting, f"{profile}: {found}, but the engine has {candidates[0][profile]}"
        explained |= set(fitting[0].suppressed)
    assert explained == set(suppressed.items())
    assert done.stack.ledger(done.shop)["contradicted"] == len(contradictions)
    return sum(_settled(done, event) for event in done.stack.events(done.shop))


def _settled(done: Run, event: dict[str, Any]) -> bool:
    """Whether the raise had to wait for signals that were received at or after its due; checks that it did."""
    due, decided = from_rfc3339(event["dueAt"]), from_rfc3339(event["decidedAt"])
    received = [each.received_at for each in done.signals if each.id in event["data"]["signalIds"]]
    late = [each for each in received if each >= due]
    assert decided >= due
    assert not late or decided >= min(max(received) + 30 * SECOND, min(late) + 5 * MINUTE)
    return bool(late)


@ON_SERVERS
@AT_EACH_PACE
def test_a_second_worker_takes_over_from_a_killed_one_and_back(
    name: str, available: None, pace: Pace, stacks: dict[str, Stack], log: Path
) -> None:
    stack = stacks[name]
    second = stack.begin("serve", "trigger-worker", read=False, MOMENTS_TRIGGER_NAME="trigger-2")
    owners: list[set[str]] = []

    def kill_one_after_the_other(stack: Stack, before: int) -> None:
        stack.wait_for_signals(before + 400)
        owners.append(_owners(stack))
        stack.kill_and_see_restarted(WORKER)
        stack.wait_for_signals(before + 800)
        owners.append(_owners(stack))
        second.kill()

    try:
        seen = "SELECT 1 FROM workers WHERE name = 'trigger-2'"
        wait_until(lambda: stack.query(seen), "the second worker to be there", PATIENCE)
        done = send_log_in_time(stack, log, pace, kill_one_after_the_other)
    finally:
        second.kill()
        second.wait()

    assert owners[0] == {"trigger-1"}
    assert "trigger-2" in owners[1]
    assert "trigger-1" in _owners(stack)
    assert max(done.lags) < stretched(15)
    check_same_raises(done)
    check_everything_arrived(done)


def _owners(stack: Stack) -> set[str]:
    """Who took partitions last; one that nothing comes to keeps its owner, also a dead one."""
    return {owner for (owner,) in stack.query("SELECT DISTINCT owner FROM partitions WHERE epoch > 0")}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who fills a cart by hand, by a shop's server key."""

    client: Client
    name: str

    def does(self, verb: str) -> int:
        """Send a cart signal of now; the instant (µs) at which it happened. It is acknowledged at the return."""
        at = CLOCK.now()
        data: dict[str, Any] = {"idType": "external", "customerId": self.name, "cartId": "c"}
        if verb == "add":
            data["items"] = [{"productId": "mug", "quantity": 1, "price": 9.5}]
        signal = {"id": f"{self.name}-{verb}", "time": to_rfc3339(at), "data": data}
        wait_until(lambda: self._post(verb, signal), f"{verb} to be accepted")
        return at

    def _post(self, verb: str, signal: dict[str, Any]) -> bool:
        answer = self.client.call("POST", f"/v1/signals/cart/{verb}", signal)
        assert answer.status in (200, 401), answer.document
        return answer.status == 200


@ON_EACH
def test_a_purchase_that_lies_in_the_queue_is_seen_before_the_raise(
    name: str, available: None, stacks: dict[str, Stack]
) -> None:
    """DOMAIN §6.5; and §6.4 for a purchase after the due."""
    stack = stacks[name]
    shop = next(
        (shop for seconds in (3, 6, 12, 24, 48) if (shop := _buy_while_the_worker_is_away(stack, seconds))), None
    )
    assert shop is not None, "this machine is too slow: the purchase always came after the due"

    ledger, events = stack.ledger(shop), stack.events(shop, "all")
    assert (ledger["raised"], ledger["ended"]) == (1, {"cart/purchase": 1})
    assert [each["data"]["profile"]["id"] for each in events if each["outcome"] == "raised"] == ["left"]
    assert [each["reason"] for each in events if each["outcome"] == "suppressed"] == ["ended_before_raise"]
    assert stack.audit() == []


def _buy_while_the_worker_is_away(stack: Stack, seconds: int) -> Shop | None:
    """Three carts come due while the worker is killed again and again: one is bought before, one after its due.

    None when the machine was so slow that the first purchase came after the due.
    """
    shop = stack.make_shop(f"PT{seconds}S")
    client = Client(stack.up.url("ingestion"), {"X-Api-Key": shop.key, "Connection": "close"})
    bought, left, bought_late = (Visitor(client, each) for each in ("bought", "left", "bought-late"))
    due = [each.does("add") + seconds * SECOND for each in (bought, left, bought_late)]
    wait_until(lambda: stack.ledger(shop)["pending"] == 3, "the waits to be pending", PATIENCE)

    stack.kill(WORKER)
    bought.does("purchase")
    in_time = CLOCK.now() < due[0]
    wait_until(lambda: stack.kill(WORKER) is not None and CLOCK.now() > due[2] + SECOND // 2, "all to be due")
    bought_late.does("purchase")
    stack.kill(WORKER)
    wait_until(lambda: stack.ledger(shop)["pending"] == 0, "the waits to be decided", PATIENCE)
    return shop if in_time else None
