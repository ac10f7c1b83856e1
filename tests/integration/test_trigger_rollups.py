"""Roll-ups on each database: buckets, what is forgotten, and what an older database brings along (DOMAIN §8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.times import DAY, HOUR, MINUTE, from_rfc3339
from services.trigger.audit_rollups import rollup_differences
from services.trigger.engine.effects import Effects
from services.trigger.housekeeping.house import House
from services.trigger.housekeeping.rollups import forget_outcomes, forget_rollups
from services.trigger.lateness import quantile, slot_of
from services.trigger.registry import Registry
from services.trigger.store import figures, reading
from services.trigger.store.cache import Cache, Stored
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import add_counts, save_effects
from services.trigger.store.rollups import DAYS_KEPT, FEED_KEPT, HOURS_KEPT, PAST, Outcome, feed_outcomes
from services.trigger.store.rows import Rows
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

NOON = from_rfc3339("2026-10-25T12:00:00Z")
KEPT = 48 * HOUR


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    """Trigger's tables, empty."""
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


def count(rows: Rows, now: int, partition: int = 0, **counts: int) -> None:
    """Add to the ledger and the roll-ups of a moment."""
    with rows.database.atomic():
        add_counts(rows, {("m1", name.replace("_", ":")): value for name, value in counts.items()}, partition, now)


def differences(rows: Rows, now: int) -> list[str]:
    return [str(found) for found in rollup_differences(rows, reading.ledgers(rows), now)]


def nobody(key: bytes) -> Stored:
    """There is no process here."""
    raise KeyError(key)


def forget(rows: Rows, now: int) -> int:
    """Two rounds of housekeeping: how many rows went; each step in a transaction of its own."""
    house = House(rows, {0}, Cache(), Registry(DAY), Settings.from_environment({}), now)
    gone = 0
    for steps in (forget_rollups(house), forget_outcomes(house)):
        done = False
        while not done:
            with rows.database.atomic():
                step = next(steps, None)
            gone += step or 0
            done = step is None
    return gone


def test_an_instant_on_a_boundary_belongs_to_the_bucket_that_begins(rows: Rows) -> None:
    midnight = NOON + 12 * HOUR
    for instant in (midnight - 1, midnight, midnight + MINUTE - 1, midnight + MINUTE):
        count(rows, instant, opened=1)

    for span, expected in (
        (MINUTE, {midnight - MINUTE: 1, midnight: 2, midnight + MINUTE: 1}),
        (HOUR, {midnight - HOUR: 1, midnight: 3}),
        (DAY, {midnight - DAY: 1, midnight: 3}),
    ):
        assert {bucket: value for (_, bucket), value in figures.buckets(rows, "m1", span).items()} == expected


def test_the_day_of_a_clock_change_is_a_day_of_24_hours(rows: Rows) -> None:
    """2026-10-25 has 25 hours in Paris; buckets are UTC and know nothing of it."""
    midnight = NOON - 12 * HOUR
    for hour in range(24):
        count(rows, midnight + hour * HOUR, opened=1)

    assert figures.buckets(rows, "m1", DAY) == {("opened", midnight): 24}
    assert len(figures.buckets(rows, "m1", HOUR)) == 24


def test_partitions_are_summed_and_any_counter_may_come(rows: Rows) -> None:
    large = 10**17
    for partition in (3, 0, 2):
        count(rows, NOON, partition, opened=1, raised=1)
    with rows.database.atomic():
        effects = Effects()
        effects.count("m1", "recovered_value:EUR", large)
        effects.count("m1", "recovered")
        effects.count("m1", "signals", 7)
        save_effects(rows, effects, nobody, 1, NOON)

    assert figures.series(rows, "m1", MINUTE, NOON, NOON + 1) == {
        NOON: {"opened": 3, "raised": 3, "recovered_value:EUR": large, "recovered": 1, "signals": 7}
    }
    assert "signals" not in reading.ledgers(rows)["m1"]
    assert figures.pending(rows) == {"m1": 0}


def test_old_buckets_are_forgotten_and_nothing_is_lost_of_the_sums(rows: Rows) -> None:
    ages = [0, KEPT - MINUTE, KEPT + MINUTE, KEPT + 2 * HOUR, HOURS_KEPT + DAY, DAYS_KEPT + DAY, DAYS_KEPT + 30 * DAY]
    for number, age in enumerate(ages):
        count(rows, NOON - age, partition=number % 2, opened=1, ended_void=1)

    assert forget(rows, NOON) == 2 * (5 + 3 + 2)
    assert forget(rows, NOON) == 0

    kept = {span: sorted({bucket for _, bucket in figures.buckets(rows, "m1", span)}) for span in (MINUTE, HOUR, DAY)}
    assert kept[MINUTE] == [NOON - KEPT + MINUTE, NOON]
    assert len(kept[HOUR]) == 4
    assert kept[DAY][0] == PAST
    assert len(kept[DAY]) == 1 + 3
    assert figures.buckets(rows, "m1", DAY)["opened", PAST] == 2
    assert differences(rows, NOON) == []
    count(rows, NOON, opened=-1, ended_void=-1)
    assert differences(rows, NOON) == []
    rows.execute("UPDATE rollups SET value = value + 1 WHERE bucket = ? AND counter = 'opened'", (PAST,))
    assert differences(rows, NOON) == [
        "moment m1: opened by the day = ledger: 6 expected, 8 found",
    ]


def test_an_hour_has_all_of_its_minutes_or_none(rows: Rows) -> None:
    for minute in range(0, 180, 7):
        count(rows, NOON - KEPT - HOUR + minute * MINUTE, opened=1)

    for now in (NOON, NOON + 29 * MINUTE, NOON + HOUR - 1, NOON + HOUR, NOON + 90 * MINUTE):
        forget(rows, now)
        assert differences(rows, now) == []


def test_the_feed_is_kept_for_an_hour(rows: Rows) -> None:
    feed_outcomes(rows, [Outcome("m1", 0, str(n), NOON + n * MINUTE) for n in range(-70, 0)])

    assert forget(rows, NOON) == 70 - FEED_KEPT // MINUTE
    left = figures.feed_after(rows, "m1", {0: 0}, 500)
    assert [raise_id for _, _, raise_id in left] == [str(n) for n in range(-60, 0)]
    feed_outcomes(rows, [Outcome("m1", 0, "new", NOON)])
    assert figures.feed_after(rows, "m1", figures.feed_place(rows, "m1"), 500) == []
    assert figures.feed_after(rows, "m1", {0: left[-1][0]}, 500)[0][2] == "new"


def test_a_database_without_rollups_brings_its_ledger_along(database_url: str) -> None:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, [step for step in MIGRATIONS if step.version < 4])
    with connected(database):
        rows = Rows(database)
        rows.execute("INSERT INTO ledger VALUES ('m1', 1, 'opened', 3), ('m1', 1, 'raised', 2), ('m1', 0, 'raised', 1)")
        for n in range(3):
            rows.execute(
                "INSERT INTO raises (id, moment_id, profile_key, process_key, raised, reason, due_at, decided_at,"
                " event) VALUES (?, 'm1', ?, ?, ?, '', 5, ?, ?)",
                (str(n), b"p", b"k", True, NOON, b"{}"),
            )
        rows.execute(
            "INSERT INTO outbox (exchange, routing_key, message_id, content_type, body, optional, created_at)"
            " VALUES ('e', 'moment.x', '0', 't', ?, 0, 1)",
            (b"{}",),
        )

        migrate(database, MIGRATIONS)

        assert differences(rows, NOON) == []
        count(rows, NOON + 2 * MINUTE, opened=1)
        assert differences(rows, NOON + 2 * MINUTE) == []
    close_database(database)


@pytest.mark.parametrize(
    ("milliseconds", "slot"),
    [(-5, 0), (0, 0), (0.999, 0), (1, 0), (1.189, 0), (1.19, 1), (1.999, 3), (2, 4), (1024, 40), (10**12, 132)],
)
def test_a_lateness_falls_into_its_slot(milliseconds: float, slot: int) -> None:
    assert slot_of(round(milliseconds * 1000)) == slot


def test_quantiles_are_within_a_slot_of_the_true_ones() -> None:
    latenesses = sorted((n * 7919) % 3_000 + 20 for n in range(2_000))
    slots: dict[int, int] = {}
    for lateness in latenesses:
        slots[slot_of(lateness * 1000)] = slots.get(slot_of(lateness * 1000), 0) + 1

    for share in (0.5, 0.95, 0.99, 1.0):
        true = latenesses[round(share * 2_000) - 1]
        found = quantile(slots, share)
        assert found is not None
        assert true / 1.19 <= found <= true * 1.19
    assert quantile({}, 0.5) is None
    assert quantile({0: 5}, 0.5) == pytest.approx(0.6)


def test_raises_that_are_forgotten_are_missed_by_the_audit_only_where_that_is_not_noted(rows: Rows) -> None:
    for n in range(3):
        rows.execute(
            "INSERT INTO raises (id, moment_id, profile_key, process_key, raised, reason, due_at, decided_at, event)"
            " VALUES (?, 'm1', ?, ?, ?, '', 5, ?, ?)",
            (str(n), b"p", b"k", True, NOON, b"{}"),
        )
        rows.execute(
            "INSERT INTO outcomes (moment_id, partition, raise_id, decided_at) VALUES ('m1', 0, ?, 5)", (str(n),)
        )
    count(rows, NOON, opened=3, raised=3, late_001=3)
    rows.execute("DELETE FROM ledger WHERE counter LIKE ?", ("late%",))
    assert differences(rows, NOON) == []

    rows.execute("DELETE FROM raises WHERE id = '0'")
    assert differences(rows, NOON) == [
        "moment m1: raised by the minute = rows recorded: 3 expected, 2 found (2026-10-25T12:00:00.000Z)"
    ]
    rows.execute("INSERT INTO forgotten (moment_id, counter, value) VALUES ('m1', 'raised', 1)")
    assert differences(rows, NOON) == []
    rows.execute("UPDATE raises SET decided_at = ? WHERE id = '1'", (NOON + MINUTE,))
    assert len(differences(rows, NOON + MINUTE)) == 1
