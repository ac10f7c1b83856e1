"""What a listener is told, look by look: in whatever order workers commit, and nothing that it knows (DOMAIN §8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from contracts.moments import MomentState, SettingsVersion
from contracts.templates import templates
from contracts.times import DAY, HOUR, MINUTE, from_rfc3339
from services.trigger.api import streams as module
from services.trigger.api.analytics import Analytics
from services.trigger.api.listener import Listener
from services.trigger.api.periods import Period
from services.trigger.api.streams import Streams
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import add_counts, make_partitions, save_moment
from services.trigger.store.rollups import Outcome, feed_outcomes
from services.trigger.store.rows import Rows
from shared.clock import ManualClock
from shared.listeners import TooManyStreams
from shared.store import close_database, connected, migrate, open_database

NOON = from_rfc3339("2026-11-26T12:00:00Z")
HOURLY = Period(None, None, HOUR, "minute")


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    """Trigger's tables with four partitions and the moment m1."""
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        made = Rows(database)
        make_partitions(made, 4)
        history = (SettingsVersion(version=1, since=0, settings={"duration": "PT1H", "repeat": "on_change"}),)
        save_moment(made, MomentState(id="m1", version=1, type="cart_abandon", configuration_id="c", history=history))
        yield made
    close_database(database)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


def analytics(rows: Rows, clock: ManualClock) -> Analytics:
    return Analytics(rows, templates(), clock, 2 * DAY)


def listener(rows: Rows, clock: ManualClock, last_event_id: str = "") -> Listener:
    return Listener(analytics(rows, clock), clock, "m1", HOURLY, last_event_id)


def decide(rows: Rows, raise_id: str, partition: int = 0, at: int = NOON) -> None:
    """Record a raise and feed it."""
    rows.execute(
        "INSERT INTO raises (id, moment_id, profile_key, process_key, raised, reason, due_at, decided_at, event)"
        " VALUES (?, 'm1', ?, ?, ?, '', 5, ?, ?)",
        (raise_id, b"p", b"k", True, at, b'{"data": {}}'),
    )
    feed_outcomes(rows, [Outcome("m1", partition, raise_id, at)])


def told(events: list[bytes]) -> list[tuple[str, str, Any]]:
    """(id, name, data) of events."""
    found = []
    for event in events:
        fields = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
        found.append((fields["id"], fields["event"], msgspec.json.decode(fields["data"])))
    return found


def ids(events: list[bytes]) -> list[str]:
    """The ids of the outcomes among events."""
    return [data["id"] for _, name, data in told(events) if name == "outcome"]


def test_a_listener_is_told_what_changed_and_else_nothing(rows: Rows, clock: ManualClock) -> None:
    hears = listener(rows, clock)
    (first,) = told(hears.look())
    assert len(first[2]["series"]) == 60
    assert hears.look() == []

    add_counts(rows, {("m1", "opened"): 2}, 1, NOON)
    (second,) = told(hears.look())
    assert [(point["at"], point["opened"]) for point in second[2]["series"]] == [("2026-11-26T12:00:00.000Z", 2)]
    assert second[2]["totals"]["opened"] == second[2]["now"]["pending"] == 2
    assert hears.look() == []

    add_counts(rows, {("m2", "opened"): 2}, 1, NOON)
    assert hears.look() == []

    clock.advance(MINUTE)
    (third,) = told(hears.look())
    assert [(point["at"], point["opened"]) for point in third[2]["series"]] == [("2026-11-26T12:01:00.000Z", 0)]
    clock.advance(HOUR)
    assert told(hears.look())[0][2]["totals"]["opened"] == 0


def test_midnight_is_not_missed(rows: Rows, clock: ManualClock) -> None:
    hears = listener(rows, clock)
    for step in (12 * HOUR - 1, 1, 1, MINUTE):
        clock.advance(step)
        hears.look()
        add_counts(rows, {("m1", "opened"): 1}, 1, clock.now())
        assert told(hears.look())[0][2]["series"][-1]["opened"] >= 1


def test_many_outcomes_come_in_parts_each_once_and_in_order(rows: Rows, clock: ManualClock) -> None:
    hears = listener(rows, clock)
    hears.look()
    with rows.database.atomic():
        for n in range(450):
            decide(rows, f"{n:03}", n % 3)

    heard, numbers = [], []
    for _ in range(3):
        events = hears.look()
        heard += ids(events)
        numbers.append(hears.behind)
    assert heard == [f"{n:03}" for n in range(450)]
    assert numbers == [True, True, False]
    assert hears.look() == []


def test_every_event_is_a_place_to_go_on_from(rows: Rows, clock: ManualClock) -> None:
    hears = listener(rows, clock)
    events = hears.look()
    for n in range(9):
        decide(rows, f"{n}", n % 4)
        if n % 2:
            events += hears.look()
    events += hears.look()
    everything = ids(events)
    assert everything == [str(n) for n in range(9)]
    clock.advance(30 * MINUTE)

    for number, (place, _, _) in enumerate(told(events)):
        before = ids(events[: number + 1])
        assert before + ids(listener(rows, clock, place).look()) == everything


@pytest.mark.postgresql
def test_an_outcome_that_is_committed_after_a_later_one_is_not_left_out(postgres_url: str, clock: ManualClock) -> None:
    """Two workers: the sequences are given in one order, the commits come in the other."""
    slow, quick = (open_database(postgres_url, schema="moments_trigger") for _ in range(2))
    migrate(slow, MIGRATIONS)
    with connected(slow), connected(quick):
        rows = Rows(quick)
        make_partitions(rows, 4)
        save_moment(rows, MomentState(id="m1", version=1, type="cart_abandon", configuration_id="c"))
        hears = listener(rows, clock)
        events = hears.look()
        with slow.atomic():
            decide(Rows(slow), "begun first", 1)
            decide(rows, "done first", 0)
            events += hears.look()
            assert ids(events) == ["done first"]
        events += hears.look()

        assert ids(events) == ["done first", "begun first"]
        again = [ids(listener(rows, clock, place).look()) for place, _, _ in told(events)]
        assert [sorted(found) for found in again] == [["begun first", "done first"], ["begun first"], []]
    close_database(slow)
    close_database(quick)


def test_a_stream_ends_at_the_end_of_its_life_and_gives_its_place_back(
    rows: Rows, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIFE", 0.2)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(module, "HEARTBEAT_EVERY", 0.02)
    streams = Streams(analytics(rows, clock), clock, 1)

    events, release = streams.open("m1", HOURLY, "", None)
    with pytest.raises(TooManyStreams):
        streams.open("m1", HOURLY, "", None)
    heard = list(events)
    release()
    release()

    assert heard[0] == b"retry: 1000\n\n"
    assert b"event: analytics" in heard[1]
    assert set(heard[2:]) == {b": still here\n\n"}
    assert streams.count == 0
    streams.close()
    with pytest.raises(TooManyStreams):
        streams.open("m1", HOURLY, "", None)


def test_a_listener_is_kept_while_the_database_is_away(
    rows: Rows, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(module, "HEARTBEAT_EVERY", 0.02)
    streams = Streams(analytics(rows, clock), clock, 1)
    events, release = streams.open("m1", HOURLY, "", None)
    heard = [next(events), next(events)]
    execute = Rows.execute

    def away(*_: object) -> Any:
        raise module.STORE_FAULTS[0]("away")

    monkeypatch.setattr(Rows, "execute", away)
    assert next(events) == b": still here\n\n"
    monkeypatch.setattr(Rows, "execute", execute)
    add_counts(rows, {("m1", "opened"): 2}, 1, NOON)
    heard += [next(events)]

    assert b'"opened":2' in heard[-1]
    streams.close()
    assert list(events) == []
    release()
