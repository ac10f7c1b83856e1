"""The outbox: written with the rows it tells of, published at least once, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import peewee
import pytest

from shared.broker import MOST_BYTES, BrokerUnavailable, Confirms, Message, Overloaded, Unroutable
from shared.clock import ManualClock
from shared.outbox import Outbox, Relay, RelayThread, Sent, outbox_migration
from shared.store import STORE_FAULTS, close_database, connected, migrate, open_database
from tests.support.processes import wait_until


class Recorder:
    """A publisher that keeps what it is given; `failing` names messages and what happens to them."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.failing: dict[str, Exception] = {}
        self.ready = True

    def publish(self, message: Message) -> Future[None]:
        """One message."""
        return self.publish_all([message])[0]

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        """Many messages, each confirmed or failed at once."""
        futures: list[Future[None]] = []
        for message in messages:
            future: Future[None] = Future()
            error = self.failing.get(message.message_id)
            if error is None:
                self.published.append(message)
                future.set_result(None)
            else:
                future.set_exception(error)
            futures.append(future)
        return futures

    def publish_together(self, messages: Sequence[Message]) -> Confirms:
        """The same for one who waits for all."""
        confirms = Confirms(len(messages))
        for place, message in enumerate(messages):
            error = self.failing.get(message.message_id)
            if error is None:
                self.published.append(message)
            confirms.settle(place, error)
        return confirms

    def close(self) -> None:
        """Nothing to close."""

    @property
    def ids(self) -> list[str]:
        """The ids of what was published."""
        return [message.message_id for message in self.published]


@pytest.fixture
def database(database_url: str) -> Iterator[peewee.Database]:
    """A database with an outbox."""
    opened = open_database(database_url, schema="moments_test")
    migrate(opened, [outbox_migration(1)])
    yield opened
    close_database(opened)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(1_000_000)


@pytest.fixture
def publisher() -> Recorder:
    """What is published."""
    return Recorder()


def message(id: str, **more: object) -> Message:
    """A message."""
    return Message(**{"exchange": "e", "routing_key": "k", "body": b"{}", "message_id": id, **more})  # type: ignore[arg-type]


def write(database: peewee.Database, clock: ManualClock, *messages: Message, partition: int | None = None) -> None:
    """Write messages in a transaction."""
    with connected(database), database.atomic():
        Outbox(database, clock).add(messages, partition=partition)


def test_messages_come_out_as_they_went_in_and_in_order(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    rich = message(
        "rich", body=bytes(range(256)), headers={"traceparent": "é"}, hidden_copies=("a", "b"), optional=True,
        content_type="application/json",
    )  # fmt: skip
    write(database, clock, rich, *(message(str(number)) for number in range(1_200)))
    relay = Relay(database, publisher, clock)

    counts = [relay.run_once(500) for _ in range(4)]

    assert counts == [500, 500, 201, 0]
    assert publisher.published[0] == rich
    assert publisher.ids[1:] == [str(number) for number in range(1_200)]
    assert relay.waiting() == 0


def test_nothing_is_published_of_a_transaction_that_failed(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    nudges: list[int] = []
    outbox = Outbox(database, clock, on_commit=lambda: nudges.append(1))
    with connected(database):
        with database.atomic() as transaction:
            outbox.add([message("lost")])
            transaction.rollback()
        with database.atomic():
            outbox.add([message("kept")])
            assert nudges == []

    Relay(database, publisher, clock).run_once()

    assert (publisher.ids, nudges) == (["kept"], [1])


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), Overloaded("full")])
def test_what_the_broker_did_not_take_is_published_at_the_next_attempt(
    database: peewee.Database, clock: ManualClock, publisher: Recorder, error: Exception
) -> None:
    write(database, clock, message("1"), message("2"), message("3"))
    publisher.failing = {"2": error}
    relay = Relay(database, publisher, clock)

    first = relay.run_once()
    publisher.failing = {}
    second = relay.run_once()

    assert (first, second) == (2, 1)
    assert publisher.ids == ["1", "3", "2"]


def test_a_message_without_a_queue_waits_and_does_not_hold_up_the_others(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    write(database, clock, *(message(f"bad {number}") for number in range(3)), message("good"))
    publisher.failing = {f"bad {number}": Unroutable("no queue") for number in range(3)}
    relay = Relay(database, publisher, clock)

    assert [relay.run_once(3), relay.run_once(3), relay.run_once(3)] == [0, 1, 0]
    publisher.failing = {}
    assert relay.run_once() == 0
    clock.advance(30_000_000)
    assert relay.run_once() == 3
    assert publisher.ids == ["good", "bad 0", "bad 1", "bad 2"]


def test_a_relay_publishes_for_its_own_partitions_only(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    for partition in (0, 1, None):
        write(database, clock, message(f"of {partition}"), partition=partition)
    owned: list[int] = []
    relay = Relay(database, publisher, clock, partitions=lambda: owned)

    relay.run_once()
    assert publisher.ids == ["of None"]
    owned.append(1)
    relay.run_once()
    assert publisher.ids == ["of None", "of 1"]


def test_sent_messages_are_forgotten_and_unsent_ones_are_not(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    write(database, clock, message("1"), message("2"))
    publisher.failing = {"2": BrokerUnavailable("away")}
    relay = Relay(database, publisher, clock)
    relay.run_once()

    assert relay.forget(clock.now()) == 0
    assert relay.forget(clock.now() + 1) == 1
    assert relay.waiting() == 1


def test_a_nudge_publishes_at_once(database: peewee.Database, clock: ManualClock, publisher: Recorder) -> None:
    thread = RelayThread(Relay(database, publisher, clock), interval=60.0)
    thread.start()

    with connected(database), database.atomic():
        Outbox(database, clock, on_commit=thread.nudge).add([message("1")])

    wait_until(lambda: publisher.ids == ["1"], "the message to be published", timeout=5)
    thread.stop()


def test_no_message_is_forgotten_when_many_threads_write_and_nudge(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    thread = RelayThread(Relay(database, publisher, clock), interval=60.0)
    thread.start()

    def write_some(number: int) -> None:
        for count in range(10):
            with connected(database), database.atomic():
                Outbox(database, clock, on_commit=thread.nudge).add([message(f"{number}/{count}")])

    writers = [threading.Thread(target=write_some, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    wait_until(lambda: len(publisher.ids) == 40, "all messages to be published", timeout=30)
    thread.stop()
    assert len(set(publisher.ids)) == 40


def test_the_relay_outlives_a_broken_database(clock: ManualClock, publisher: Recorder, database_url: str) -> None:
    late = open_database(database_url, schema="moments_test")
    thread = RelayThread(Relay(late, publisher, clock), interval=0.05)
    thread.start()

    migrate(late, [outbox_migration(1)])
    write(late, clock, message("1"))

    wait_until(lambda: publisher.ids == ["1"], "the message to be published", timeout=30)
    thread.stop()
    close_database(late)


def test_the_hook_is_told_once_of_a_message_that_two_processes_published(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    told: list[tuple[list[Sent], int]] = []
    relay = Relay(database, publisher, clock, on_sent=lambda sent, now: told.append((list(sent), now)))
    write(database, clock, message("a"), message("b"), partition=3)
    with connected(database):
        rows = relay._unsent(10)

    def other_process(messages: Sequence[Message]) -> Confirms:
        publisher.publish_together = original  # type: ignore[method-assign]
        with connected(database):
            database.execute_sql("UPDATE outbox SET sent_at = 7 WHERE message_id = 'a'")
        return original(messages)

    original = publisher.publish_together
    publisher.publish_together = other_process  # type: ignore[method-assign]
    assert relay.run_once() == len(rows) == 2

    assert told == [([Sent("b", "k", 3)], clock.now())]
    with connected(database):
        assert database.execute_sql("SELECT sent_at FROM outbox ORDER BY id").fetchall() == [(7,), (clock.now(),)]


def test_what_the_hook_writes_stands_or_falls_with_the_mark(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    def away(sent: Sequence[Sent], now: int) -> None:
        database.execute_sql("UPDATE outbox SET routing_key = 'written'")
        raise peewee.OperationalError("away")

    write(database, clock, message("a"))
    with pytest.raises(peewee.OperationalError):
        Relay(database, publisher, clock, on_sent=away).run_once()

    assert publisher.ids == ["a"]
    with connected(database):
        assert database.execute_sql("SELECT sent_at, routing_key FROM outbox").fetchall() == [(None, "k")]


def test_a_broken_hook_does_not_have_messages_published_for_ever(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    def broken(sent: Sequence[Sent], now: int) -> None:
        database.execute_sql("UPDATE outbox SET routing_key = 'written'")
        raise KeyError

    relay = Relay(database, publisher, clock, on_sent=broken)
    write(database, clock, message("a"))

    assert (relay.run_once(), relay.run_once()) == (1, 0)

    with connected(database):
        assert database.execute_sql("SELECT sent_at, routing_key FROM outbox").fetchall() == [(clock.now(), "k")]


def test_what_was_published_and_could_not_be_marked_is_marked_later_and_not_published_again(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    """A disk that is full for an hour, or a database that turned read-only, must not flood the journeys."""
    write(database, clock, message("a"), message("b"), message("nowhere"))
    publisher.failing["nowhere"] = Unroutable("nowhere")
    relay = Relay(database, publisher, clock)
    with connected(database):
        only_read(database, True)
        for _ in range(3):
            with pytest.raises(STORE_FAULTS):
                relay.run_once()
        assert publisher.ids == ["a", "b"]
        only_read(database, False)

        assert relay.run_once() == 0
        write(database, clock, message("c"))
        assert relay.run_once() == 1
        assert publisher.ids == ["a", "b", "c"]
        assert relay.waiting() == 1


def only_read(database: peewee.Database, on: bool) -> None:
    """Have every write of this connection fail."""
    if isinstance(database, peewee.SqliteDatabase):
        database.execute_sql(f"PRAGMA query_only = {int(on)}")
    else:
        database.execute_sql(f"SET default_transaction_read_only = {'on' if on else 'off'}")


def test_a_relay_takes_no_more_at_once_than_fits_into_memory(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    size = MOST_BYTES // 16
    count = 18
    write(database, clock, *(message(str(n), body=b"x" * size) for n in range(count)))
    relay = Relay(database, publisher, clock)

    taken = [relay.run_once() for _ in range(3)]

    assert taken == [16, 2, 0]
    assert publisher.ids == [str(n) for n in range(count)]


def test_a_message_larger_than_the_bound_goes_alone(
    database: peewee.Database, clock: ManualClock, publisher: Recorder
) -> None:
    write(database, clock, message("small"), message("huge", body=b"x" * (MOST_BYTES + 1)), message("next"))

    relay = Relay(database, publisher, clock)
    taken = [relay.run_once() for _ in range(3)]

    assert taken == [2, 1, 0]
