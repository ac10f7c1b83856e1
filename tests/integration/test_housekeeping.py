"""The round of housekeeping: chunks in transactions of their own, rests between them, failures noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee
import pytest

from contracts.times import DAY, HOUR
from contracts.topology import JOURNEYS
from services.trigger.gauges import TriggerGauges
from services.trigger.housekeeping import DUTIES, Duty, House, Keeper, keeper
from services.trigger.registry import Registry
from services.trigger.store.cache import Cache
from services.trigger.store.forgetting import CHUNK, duty_records
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import Fenced, note_worker
from services.trigger.store.rows import Rows
from shared.broker import Message
from shared.clock import ManualClock
from shared.outbox import Outbox
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until

NOW = 1_000 * DAY


class Place:
    """A trigger's database with a keeper over it. `transactions`: how many were begun."""

    def __init__(self, folder: Path, url: str, duties: tuple[Duty, ...], owned: set[int]) -> None:
        self.settings = Settings.from_environment({"MOMENTS_DATA": str(folder)})
        self.database = open_database(url, schema="moments_trigger")
        migrate(self.database, MIGRATIONS)
        self.rows = Rows(self.database)
        self.owned = owned
        self.transactions = 0
        self.keeper = Keeper(duties, self.transaction, self.house)

    def house(self) -> House:
        """The house of this instant."""
        return House(self.rows, self.owned, Cache(), Registry(self.settings.expiry), self.settings, NOW)

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """A counted transaction."""
        self.transactions += 1
        with self.database.atomic():
            yield self.rows

    def whole_round(self) -> None:
        """Call for a round and do all of it."""
        self.keeper.call()
        while self.keeper.busy:
            self.keeper.step()


Make = Callable[..., Place]


@pytest.fixture
def make(tmp_path: Path, database_url: str) -> Iterator[Make]:
    made: list[Place] = []

    def place(*duties: Duty, owned: tuple[int, ...] = (0, 1)) -> Place:
        made.append(Place(tmp_path, database_url, duties, set(owned)))
        made[-1].database.connect()
        return made[-1]

    yield place
    for each in made:
        each.database.close()
        close_database(each.database)


def counted(*chunks: int) -> Duty:
    """A duty that forgets so many rows in its chunks."""

    def forget(house: House) -> Iterator[int]:
        yield from chunks

    return Duty("counted", forget)


def test_each_chunk_is_a_transaction_and_the_duty_is_noted(make: Make) -> None:
    place = make(counted(3, 0, 4))

    place.whole_round()

    (record,) = duty_records(place.rows)
    assert (record.duty, record.rounds, record.failures, record.forgotten, record.done_at) == ("counted", 1, 0, 7, NOW)
    assert place.transactions == 5  # three chunks, the end, the note
    place.whole_round()
    (record,) = duty_records(place.rows)
    assert (record.rounds, record.forgotten) == (2, 14)


def test_after_a_chunk_the_worker_is_left_alone_for_nine_times_as_long(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = [100.0]
    monkeypatch.setattr(keeper, "stopwatch", lambda: watch[0])
    ran = 0

    def slow(house: House) -> Iterator[int]:
        nonlocal ran
        for _ in range(2):
            watch[0] += 0.02
            ran += 1
            yield 1

    place = make(Duty("slow", slow))
    assert place.keeper.rest(0.5) == 0.5
    place.keeper.call()
    assert place.keeper.rest(0.5) == 0.0

    place.keeper.step()

    assert place.keeper.rest(0.5) == pytest.approx(9 * 0.02)
    watch[0] += 0.17
    place.keeper.step()
    assert ran == 1
    watch[0] += 0.02
    place.keeper.step()
    assert ran == 2


def test_a_duty_that_fails_is_rolled_back_and_noted_and_the_next_one_goes_on(make: Make) -> None:
    def broken(house: House) -> Iterator[int]:
        note_worker(house.rows, "ghost", NOW, [])
        raise LookupError("broken on purpose")
        yield 0

    place = make(Duty("broken", broken), counted(1))

    place.whole_round()

    assert [(each.duty, each.failures, each.forgotten) for each in duty_records(place.rows)] == [
        ("broken", 1, 0),
        ("counted", 0, 1),
    ]
    assert place.rows.execute("SELECT name FROM workers") == []
    metrics = {metric.name: metric for metric in TriggerGauges(place.rows, ManualClock(NOW)).collect()}
    assert {sample.labels["duty"]: sample.value for sample in metrics["moments_housekeeping_failures"].samples} == {
        "broken": 1,
        "counted": 0,
    }


@pytest.mark.parametrize("fault", [Fenced(), peewee.OperationalError("locked")])
def test_a_fault_is_the_sessions_and_the_round_is_given_up(make: Make, fault: Exception) -> None:
    def faulty(house: House) -> Iterator[int]:
        yield 1
        raise fault

    place = make(Duty("faulty", faulty), counted(1))

    with pytest.raises(type(fault)):
        place.whole_round()
    place.keeper.abandon()

    assert not place.keeper.busy
    assert duty_records(place.rows) == []


def test_only_the_owner_of_the_first_partition_forgets_what_has_none(make: Make) -> None:
    everywhere = Duty("everywhere", counted(1).forget, everywhere=True)
    place = make(counted(1), everywhere, owned=(1, 2))

    place.whole_round()

    assert [each.duty for each in duty_records(place.rows)] == ["everywhere"]


def test_sent_messages_go_after_an_hour_in_chunks_and_unsent_ones_stay(make: Make) -> None:
    place = make(*DUTIES)
    outbox = Outbox(place.database, ManualClock(NOW))
    with place.database.atomic():
        outbox.add(message(n) for n in range(CHUNK + 12))
        place.rows.execute("UPDATE outbox SET sent_at = ? WHERE id > 2", (NOW - HOUR - 1,))
        place.rows.execute("UPDATE outbox SET sent_at = ? WHERE id > ?", (NOW - HOUR, CHUNK + 10))

    place.whole_round()

    assert [row[0] for row in place.rows.execute("SELECT id FROM outbox ORDER BY id")] == [1, 2, CHUNK + 11, CHUNK + 12]
    found = {each.duty: each.forgotten for each in duty_records(place.rows)}
    assert found["messages"] == CHUNK + 8


def test_workers_that_were_not_seen_for_long_go(make: Make) -> None:
    place = make(*DUTIES)
    note_worker(place.rows, "old", NOW - 30 * DAY - 1, [])
    note_worker(place.rows, "new", NOW - 30 * DAY, [])

    place.whole_round()

    assert place.rows.execute("SELECT name FROM workers") == [("new",)]


def message(number: int) -> Message:
    """Some message."""
    return Message(exchange=JOURNEYS, routing_key="moment.x", body=b"{}", message_id=str(number))


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_the_worker_keeps_house_within_its_period_while_signals_come(rig: Rig) -> None:
    rig.environment["MOMENTS_HOUSEKEEPING_SECONDS"] = "1"
    with connected(rig.database):
        note_worker(rig.rows, "old", 1, [])
    rig.moment(duration="PT1S")
    rig.start()

    rig.add("ada@example.com")

    wait_until(lambda: not rig.seen("old"), "the old worker to be forgotten")
    wait_until(lambda: rounds(rig) >= 2, "two rounds of every duty")
    rig.listen_until(lambda: rig.events, "the moment")


def rounds(rig: Rig) -> int:
    """How many rounds every duty has done at least."""
    with connected(rig.database):
        found = {each.duty: each.rounds for each in duty_records(rig.rows)}
    return min(found.get(duty.name, 0) for duty in DUTIES)
