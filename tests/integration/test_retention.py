"""Retention (DOMAIN §6.13): everything old goes, nothing that is needed goes, and it shows in no outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.signals import Signal
from contracts.times import DAY, HOUR, MINUTE, SECOND
from services.trigger.engine.application import profile_of
from services.trigger.housekeeping import DUTIES, House, Keeper
from services.trigger.store.forgetting import CHUNK, duty_records, forgotten_counts
from services.trigger.store.reading import processes
from services.trigger.store.records import last_sequence
from shared.clock import SystemClock
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until
from tests.integration.trigger_shop import CART, T0, Shop, moment, signal
from tests.support.pressure import Pressure
from tests.support.processes import stretched

YEARS = T0 + 500 * DAY


@pytest.fixture
def make(database_url: str) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def shop(*moments: Any, **settings: int) -> Shop:
        made.append(Shop(database_url, moments=moments or (CART,), **settings))
        return made[-1]

    yield shop
    for each in made:
        each.close()


def test_everything_old_goes_and_the_audit_still_balances(make: Callable[..., Shop]) -> None:
    shop = make(CART, moment("m2", duration="PT1H", coolDown="P90D"), moment("m3", "post_purchase", delay="PT0S"))
    for n in range(40):
        shop.apply(signal(T0 + n, f"u{n}@example.com"), signal(T0 + n, f"u{n}@example.com", cart="other"))
    shop.fire(T0 + 2 * HOUR)
    for n in range(10):
        at = T0 + 2 * HOUR
        shop.apply(signal(at, f"u{n}@example.com", "cart/purchase", received=at), now=at)
        shop.apply(signal(T0 + HOUR - MINUTE, f"u{20 + n}@example.com", received=at), now=at)
        shop.apply(signal(at, f"v{n}@example.com", "cart/purchase", cart=None, received=at), now=at)
    shop.fire(T0 + 3 * HOUR)
    before = shop.ledger()
    tables = ("processes", "signals", "raises", "recoveries", "contradictions", "profiles")
    assert all(shop.count(table) for table in tables)
    assert shop.differences() == []

    shop.keep_house(YEARS)

    assert {table: shop.count(table) for table in tables} == dict.fromkeys(tables, 0) | {"signals": 1}
    assert shop.count("waits") == 0
    assert not shop.cache.stored
    assert not shop.cache.profiles
    assert shop.ledger() == before
    assert shop.differences() == []
    assert forgotten_counts(shop.rows)["m1", "raised"] == before["m1", "raised"]


def test_the_audit_notices_a_row_that_was_lost_and_not_forgotten(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(signal(), signal(profile="bob@example.com"))
    shop.fire(T0 + 2 * HOUR)
    shop.keep_house(T0 + 40 * DAY)
    assert shop.differences() == []

    shop.rows.execute("UPDATE forgotten SET value = value - 1 WHERE counter = 'raised'")

    assert [difference.rule for difference in shop.differences()] == ["raised = rows recorded"]


def test_nothing_young_goes(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(signal(), signal(profile="bob@example.com"))
    shop.fire(T0 + 2 * HOUR)
    tables = ("processes", "signals", "raises", "profiles")
    before = {table: shop.count(table) for table in tables}

    shop.keep_house(T0 + 30 * DAY)

    assert {table: shop.count(table) for table in tables} == before


@pytest.mark.parametrize(("days", "kept"), [(30, 1), (31, 0)])
def test_a_process_is_kept_after_its_last_signal_by_time_or_receipt(
    make: Callable[..., Shop], days: int, kept: int
) -> None:
    shop = make()
    shop.apply(signal(T0 - 3 * DAY, received=T0 - 2 * DAY), signal(T0 - 3 * DAY, received=T0 - 3 * DAY))
    shop.apply(signal(T0 - 4 * DAY, received=T0 + HOUR))

    shop.keep_house(T0 + days * DAY)

    assert shop.count("processes") == kept


def test_a_process_outlives_its_pending_wait_and_what_may_follow_the_raise(make: Callable[..., Shop]) -> None:
    shop = make(moment("m1", duration="P60D"))
    shop.apply(signal())
    shop.apply(signal(T0 + 1, "bob@example.com"))
    shop.keep_house(T0 + 59 * DAY)
    assert (shop.count("processes"), shop.count("signals"), shop.count("waits")) == (2, 2, 2)
    shop.restart()

    shop.fire(T0 + 60 * DAY + 1)
    shop.keep_house(T0 + 66 * DAY)
    at = T0 + 66 * DAY
    shop.apply(signal(at, kind="cart/purchase", received=at), now=at)

    assert shop.ledger()["m1", "raised"] == 2
    assert shop.ledger()["m1", "recovered"] == 1
    shop.keep_house(T0 + 68 * DAY + HOUR)
    assert shop.count("processes") == 1
    shop.keep_house(T0 + 97 * DAY)
    assert shop.count("processes") == 0
    assert shop.differences() == []


def test_a_repeated_signal_is_known_for_the_time_that_signals_are_kept_also_when_folded(
    make: Callable[..., Shop],
) -> None:
    shop = make(signals_retention=7 * DAY)
    signals = [signal(T0 + n * SECOND, id=f"folded {n}") for n in range(400)]
    shop.apply(*signals)
    shop.fire(T0 + 2 * HOUR)
    (process,) = processes(shop.rows)
    assert process.process.snapshot is not None
    before = (shop.state().signals, shop.ledger())

    shop.keep_house(T0 + 7 * DAY)
    shop.restart()
    shop.apply(*signals, now=T0 + 7 * DAY)

    assert (shop.state().signals, shop.ledger()) == before
    shop.keep_house(T0 + 8 * DAY)
    assert shop.count("signals") == len(process.process.entries)
    assert shop.state().signals == 400
    shop.apply(signal(T0 + 8 * DAY, received=T0 + 8 * DAY), now=T0 + 8 * DAY)
    shop.fire(T0 + 9 * DAY)
    assert shop.ledger()["m1", "raised"] == 2


def test_the_signals_of_a_process_that_lives_stay_with_it(make: Callable[..., Shop]) -> None:
    shop = make()
    for day in range(0, 100, 20):
        at = T0 + day * DAY
        shop.apply(signal(at, received=at, cart=None), signal(at, kind="product/view", received=at, session="s"))
        shop.fire(at + HOUR)
        shop.keep_house(at + HOUR)
    shop.restart()
    assert shop.count("signals") == 10

    at = T0 + 80 * DAY
    late = signal(at - HOUR, received=at + HOUR, cart=None)
    shop.apply(late, now=at + HOUR)  # derives the process anew from all its signals

    assert shop.state().signals == 11
    assert shop.differences() == []


def test_a_purchase_of_every_cart_stays_while_a_late_signal_may_ask_for_it(make: Callable[..., Shop]) -> None:
    shop = make(retention=DAY, expiry=40 * DAY, signals_retention=7 * DAY)
    shop.apply(signal(T0 + HOUR, kind="cart/purchase", cart=None), signal(T0, "bob@example.com", "order/ship"))
    at = T0 + 39 * DAY

    shop.keep_house(at)
    shop.apply(signal(T0, received=at), now=at)
    shop.fire(at + DAY)

    assert shop.ledger() == {("m1", "opened"): 1, ("m1", "ended:cart/purchase"): 1}
    shop.apply(signal(at + DAY, "bob@example.com", received=at + DAY), now=at + DAY)
    shop.keep_house(T0 + 100 * DAY)
    assert shop.count("signals") == 1


def test_a_cool_down_longer_than_the_retention_holds(make: Callable[..., Shop]) -> None:
    shop = make(moment("m1", duration="PT1H", coolDown="P60D"), moment("m2", duration="PT1H"))
    shop.apply(signal(cart="one"))
    shop.fire(T0 + 2 * HOUR)

    for day in (32, 59, 61):
        at = T0 + day * DAY
        shop.keep_house(at)
        shop.restart()
        shop.apply(signal(at, cart=f"c{day}", received=at), now=at)
        shop.fire(at + 2 * HOUR)

    decided = shop.rows.execute("SELECT raised, reason FROM raises WHERE moment_id = 'm1' ORDER BY due_at")
    assert [(bool(raised), reason) for raised, reason in decided[-3:]] == [
        (False, "cool_down"),
        (False, "cool_down"),
        (True, ""),
    ]
    assert shop.ledger()["m1", "raised"] == 2
    assert shop.ledger()["m2", "raised"] == 4
    assert shop.rows.execute("SELECT count(*) FROM raises WHERE moment_id = 'm2'") == [(3,)]
    assert shop.differences() == []


def test_a_late_signal_for_a_forgotten_process_makes_a_new_one(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(signal())
    shop.fire(T0 + 2 * HOUR)
    at = T0 + 40 * DAY
    shop.keep_house(at)
    assert shop.count("processes") == 0

    shop.apply(signal(T0 + HOUR, received=at), now=at)
    shop.fire(at + DAY)

    assert shop.count("processes") == 1
    assert shop.ledger()["m1", "raised"] == 1
    assert shop.differences() == []


def test_a_signal_that_may_still_open_finds_its_process(make: Callable[..., Shop]) -> None:
    shop = make(retention=DAY, expiry=40 * DAY)
    shop.apply(signal(T0 + HOUR, kind="cart/purchase"))
    at = T0 + 39 * DAY

    shop.keep_house(at)
    shop.apply(signal(T0, received=at), now=at)
    shop.fire(at + DAY)

    assert shop.ledger() == {("m1", "opened"): 1, ("m1", "ended:cart/purchase"): 1}
    shop.keep_house(at + 82 * DAY)
    assert shop.count("processes") == 0


def test_a_worker_forgets_only_what_belongs_to_its_partitions(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(*(signal(T0, f"u{n}@example.com") for n in range(40)))
    shop.apply(*(signal(T0, f"u{n}@example.com", "order/ship") for n in range(40)))  # no process refers to these
    shop.fire(T0 + 2 * HOUR)
    others = shop.rows.execute("SELECT count(*) FROM processes WHERE partition IN (2, 3)")[0][0]
    assert 0 < others < 40

    shop.keep_house(YEARS, owned=(0, 1))

    assert shop.count("processes") == shop.count("profiles") == others
    assert shop.count("signals") in (2 * others, 2 * others + 1)
    assert {row.partition for row in processes(shop.rows)} == {2, 3}


def test_a_profile_that_comes_again_after_long_is_new(make: Callable[..., Shop]) -> None:
    shop = make()
    first, _ = shop.apply(signal(color="red"), signal(T0 + 2 * DAY, "bob@example.com"))
    shop.fire(T0 + 3 * DAY)
    shop.keep_house(T0 + 400 * DAY)
    assert shop.count("profiles") == 2
    shop.keep_house(T0 + 401 * DAY)
    assert shop.count("profiles") == 1

    at = T0 + 402 * DAY
    (event,) = shop.apply(signal(at, received=at, size="L"), now=at)

    assert event.data.version > first.data.version
    assert event.data.attributes == {"size": "L"}
    assert event.data.counts == {"signals": 1, "raises": 0}
    assert event.data.last_moment is None


def test_a_profile_that_was_seen_since_its_row_was_written_is_kept(make: Callable[..., Shop]) -> None:
    shop = make(profiles_retention=10 * DAY)
    shop.apply(signal(), signal(profile="bob@example.com"))
    shop.apply(signal(T0 + 5 * DAY, received=T0 + 5 * DAY), now=T0 + 5 * DAY)
    assert shop.rows.execute("SELECT max(last_seen) FROM profiles") == [(T0,)]

    shop.keep_house(T0 + 12 * DAY)

    assert shop.rows.execute("SELECT profile FROM profiles") == [("ada@example.com",)]


def test_what_a_profile_was_told_by_forgotten_signals_is_kept(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(signal(T0, color="red"))
    shop.apply(signal(T0 + HOUR), signal(T0 + 2 * HOUR, color="red"), signal(T0 - HOUR))
    shop.apply(signal(T0, "bob@example.com"))
    shop.fire(T0 + DAY)
    shop.restart()
    shop.keep_house(T0 + 40 * DAY)
    assert shop.count("signals") == 1

    state = shop.state()

    assert (state.signals, state.raises) == (4, 1)
    assert (state.first_seen, state.last[0]) == (T0 - HOUR, T0 + 2 * HOUR)
    at = T0 + 41 * DAY
    assert shop.apply(signal(T0 + HOUR + 1, received=at, color="blue"), now=at) == []


def test_no_place_in_the_log_is_given_twice(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.apply(*(signal(T0 + n) for n in range(5)))
    shop.fire(T0 + DAY)
    last = last_sequence(shop.rows)

    shop.keep_house(YEARS)
    shop.apply(signal(YEARS, received=YEARS), now=YEARS)

    assert last_sequence(shop.rows) > last
    assert shop.rows.execute("SELECT min(sequence) FROM signals") == [(last,)]


def test_what_took_effect_goes_with_the_signals_of_its_time_but_for_the_newest_state(
    make: Callable[..., Shop],
) -> None:
    shop = make()
    for version, at in ((1, T0), (2, T0 + DAY), (3, T0 + 29 * DAY)):
        sql = "INSERT INTO settlements (moment_id, version, after, settled_at, partitions, body) VALUES (?,?,?,?,?,?)"
        shop.rows.execute(sql, ("m1", version, 0, at, "", b""))
        sql = (
            "INSERT INTO retimed (moment_id, version, after, profile_key, process_key, number, due_at)"
            " VALUES (?, ?, 0, ?, ?, 0, ?)"
        )
        shop.rows.execute(sql, ("m1", version, b"", b"", at))

    shop.keep_house(T0 + 40 * DAY)

    assert shop.rows.execute("SELECT version FROM settlements ORDER BY version") == [(2,), (3,)]
    assert shop.rows.execute("SELECT version FROM retimed") == [(3,)]


# Outcomes with retention are outcomes without it.

RETENTION = 2 * DAY
EXPIRY = 6 * HOUR
SPANS = {"retention": RETENTION, "signals_retention": RETENTION, "expiry": EXPIRY, "attribution": DAY}
MOMENTS = (
    moment("abandon", duration="PT1H"),
    moment("once", duration="PT2H", repeat="once"),
    moment("cooling", duration="PT1H", coolDown="P3D"),
    moment("visit", "browse_abandon", duration="PT30M"),
    moment("order", "post_purchase", delay="PT0S"),
)
KINDS = ["cart/add", "cart/add", "cart/remove", "cart/clear", "cart/purchase", "every/purchase", "product/view"]
GAPS = [MINUTE, 20 * MINUTE, HOUR, 3 * HOUR, 20 * HOUR, 41 * HOUR, 70 * HOUR, 9 * DAY]
STEP = st.one_of(
    st.tuples(
        st.just("signal"),
        st.sampled_from(["ada", "bob"]),
        st.sampled_from(KINDS),
        st.sampled_from(["x", "y"]),
        st.sampled_from(GAPS),
        st.sampled_from([0, 0, 0, 10 * MINUTE, 5 * HOUR]),
    ),
    st.tuples(st.just("house"), st.sampled_from(GAPS)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("repeat"), st.integers(1, 4)),
)


class History:
    """Plays steps into two shops, of which one keeps house."""

    def __init__(self, tidy: Shop, plain: Shop) -> None:
        self.shops = (tidy, plain)
        self.tidy, self.plain = tidy, plain
        self.now = T0
        self.sent: list[Signal] = []
        self.used: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.outcomes: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def play(self, step: tuple[Any, ...]) -> None:
        """One step."""
        if step[0] == "signal":
            self._signal(*step[1:])
        elif step[0] == "house":
            self._pass(step[1])
            self.tidy.keep_house(self.now)
        elif step[0] == "restart":
            self.tidy.restart()
        elif len(self.sent) >= step[1] and self.sent[-step[1]].received_at > self.now - DAY:
            for shop in self.shops:
                shop.apply(self.sent[-step[1]], now=self.now)

    def end(self) -> None:
        """Let everything come due."""
        self._pass(DAY)

    def _signal(self, profile: str, kind: str, name: str, gap: int, late: int) -> None:
        self._pass(gap)
        if kind == "every/purchase" and self._all_kept(profile):
            kind, cart = "cart/purchase", None
        else:
            kind, cart = kind.replace("every", "cart"), self._name(profile, "cart", name)
        session = self._name(profile, "session", name)
        made = signal(self.now - late, profile, kind, received=self.now, cart=cart, session=session)
        self.sent.append(made)
        for shop in self.shops:
            shop.apply(made, now=self.now)

    def _all_kept(self, profile: str) -> bool:
        """Whether none of a profile's carts may be forgotten: a purchase of every cart must find the same ones."""
        carts = [last for (who, sort, _), (_, last) in self.used.items() if (who, sort) == (profile, "cart")]
        generations = [used for (who, sort, _), (used, _) in self.used.items() if (who, sort) == (profile, "cart")]
        return not any(generations) and all(self.now - last <= RETENTION - EXPIRY for last in carts)

    def _name(self, profile: str, sort: str, name: str) -> str:
        """A name that is used again only while its process is surely kept."""
        generation, last = self.used.get((profile, sort, name), (0, self.now))
        if self.now - last > RETENTION - EXPIRY:
            generation += 1
        self.used[profile, sort, name] = (generation, self.now)
        return f"{name}{generation}"

    def _pass(self, gap: int) -> None:
        """Time passes; waits are decided hourly at first, then at the end."""
        for at in (*(self.now + n * HOUR for n in range(1, 4) if n * HOUR < gap), self.now + gap):
            for shop, outcomes in zip(self.shops, self.outcomes, strict=True):
                shop.fire(at)
                sql = "SELECT id, moment_id, raised, reason, due_at FROM raises"
                outcomes.update({row[0]: tuple(row[1:]) for row in shop.rows.execute(sql)})
        self.now += gap


def compare(history: History) -> None:
    """Both shops must tell the same, and each must balance."""
    tidy, plain = history.shops
    assert history.outcomes[0] == history.outcomes[1]
    assert tidy.ledger() == plain.ledger()
    for each in {profile_of(one) for one in history.sent}:
        states = [shop.state(each.profile) for shop in history.shops]
        assert states[0].signals == states[1].signals
        assert states[0].raises == states[1].raises
        assert (states[0].first_seen, states[0].last) == (states[1].first_seen, states[1].last)
    assert tidy.differences() == []
    assert plain.differences() == []


@pytest.fixture(scope="module")
def two_shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Shop]]:
    folder = tmp_path_factory.mktemp("shops")
    shops = tuple(Shop(f"sqlite:///{folder}/{name}.db", moments=MOMENTS, **SPANS) for name in ("tidy", "plain"))
    for shop in shops:
        shop.rows.execute("PRAGMA synchronous = OFF")
    yield (shops[0], shops[1])
    for shop in shops:
        shop.close()


_TABLES = [
    *("signals", "processes", "profiles", "outbox", "waits", "raises", "recoveries", "contradictions", "ledger"),
    *("forgotten", "rollups", "outcomes"),
]


@given(steps=st.lists(STEP, min_size=4, max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_retention_shows_in_no_outcome(two_shops: tuple[Shop, Shop], steps: list[tuple[Any, ...]]) -> None:
    for shop in two_shops:
        shop.restart()
        with shop.database.atomic():
            for table in _TABLES:
                shop.rows.execute(f"DELETE FROM {table}")
    history = History(*two_shops)

    for step in steps:
        history.play(step)
    history.end()

    compare(history)


@pytest.mark.postgresql
def test_retention_shows_in_no_outcome_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    chance = random.Random(7)
    tidy = Shop(postgres_url, moments=MOMENTS, **SPANS)
    plain = Shop(f"sqlite:///{tmp_path}/plain.db", moments=MOMENTS, **SPANS)
    history = History(tidy, plain)

    for _ in range(120):
        kind = chance.choice(KINDS)
        gap, late = chance.choice(GAPS[:7]), chance.choice([0, 0, 10 * MINUTE, 5 * HOUR])
        history.play(("signal", chance.choice(["ada", "bob"]), kind, chance.choice(["x", "y"]), gap, late))
        history.play(chance.choice([("house", HOUR), ("restart",), ("repeat", 1)]))
    history.end()
    tidy.keep_house(history.now)

    compare(history)
    assert tidy.count("processes") < plain.count("processes")
    assert tidy.count("signals") < plain.count("signals")
    for each in (tidy, plain):
        each.close()


# Many rows.


def fill(shop: Shop, count: int) -> None:
    """A raise, and so many copies of its signal and its process, as of `T0`."""
    shop.apply(signal(T0))
    shop.fire(T0 + 2 * HOUR)
    numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
    key = "decode(lpad(to_hex(n), {0}, '0'), 'hex')" if shop.rows.postgresql else "CAST(printf('%0{0}d', n) AS BLOB)"
    digits = 32 if shop.rows.postgresql else 16
    name = key.format(digits)
    with shop.database.atomic():
        shop.rows.execute(
            f"INSERT INTO signals (sequence, profile, key, level, received_at, body) {numbers}"
            f" SELECT 10 + n, profile, {name}, level, received_at, body FROM n, signals",
            (count,),
        )
        shop.rows.execute(
            "INSERT INTO processes (key, profile_key, partition, configuration, id_type, profile, kind, process_id,"
            f" last_at, head) {numbers} SELECT {name}, {name}, 1, configuration, id_type, profile, kind,"
            " process_id, last_at, head FROM n, processes",
            (count,),
        )


def fill_raises(shop: Shop, count: int) -> None:
    """So many copies of the raise in the table."""
    numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
    with shop.database.atomic():
        shop.rows.execute(
            "INSERT INTO raises (id, moment_id, profile_key, process_key, raised, reason, due_at, decided_at, event)"
            f" {numbers} SELECT 'r' || n, moment_id, profile_key, process_key, raised, reason, due_at, decided_at,"
            " event FROM n, raises",
            (count,),
        )


@contextmanager
def measured(shop: Shop, spans: list[tuple[int, int]]) -> Iterator[Any]:
    """A transaction whose begin and end (µs) are noted."""
    clock = SystemClock()
    began = clock.now()
    with shop.database.atomic():
        yield shop.rows
    spans.append((began, clock.now()))


MANY = 20_000


def test_many_rows_go_in_short_transactions(make: Callable[..., Shop]) -> None:
    shop = make()
    fill(shop, MANY)
    fill_raises(shop, MANY)
    now = T0 + 60 * DAY
    shop.clock.set(now)
    spans: list[tuple[int, int]] = []

    def house() -> House:
        return House(shop.rows, range(4), shop.cache, shop.registry, shop.settings, now)

    keeper = Keeper(DUTIES, lambda: measured(shop, spans), house, share=1.0)
    with Pressure() as pressure:
        keeper.call()
        while keeper.busy:
            keeper.step()

    records = {record.duty: record for record in duty_records(shop.rows)}
    assert records["processes"].forgotten == records["raises"].forgotten == MANY + 1
    assert records["signals"].forgotten == MANY
    assert shop.count("processes") == shop.count("raises") == 0
    assert shop.count("signals") == 1
    assert len(spans) > 3 * MANY // CHUNK
    assert max(end - began - pressure.held_up(began, end) for began, end in spans) < stretched(1) * SECOND


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_a_worker_that_is_killed_while_it_forgets_goes_on_where_it_was(rig: Rig) -> None:
    shop = Shop(rig.settings.trigger_database_url)
    fill(shop, 6_000)
    shop.close()
    rig.environment["MOMENTS_HOUSEKEEPING_SECONDS"] = "1"

    def left() -> int:
        return int(rig.read("SELECT (SELECT count(*) FROM processes) + (SELECT count(*) FROM signals)")[0][0])

    before = 12_002
    for _ in range(2):
        rig.start()
        target = before - CHUNK
        wait_until(lambda target=target: left() < target, "some rows to be forgotten")  # type: ignore[misc]
        rig.kill()
        before = left()
    rig.moment("m9", duration="PT1S")
    rig.start()
    wait_until(lambda: left() == 1, "everything to be forgotten", 60)
    rig.add("ada@example.com")

    rig.listen_until(lambda: len(rig.raised()) >= 2, "the moment, after that of the shop")
    assert rig.read("SELECT count(*) FROM processes") == [(1,)]
