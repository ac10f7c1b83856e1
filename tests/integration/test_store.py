"""Opening and migrating databases, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import peewee
import pytest

from shared import store
from shared.store import STORE_FAULTS, Migration, close_database, connected, dialect, migrate, open_database

FIRST = Migration(
    1,
    "things",
    dict.fromkeys(("sqlite", "postgresql"), ("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)",)),
)
SECOND = Migration(
    2,
    "colours",
    dict.fromkeys(("sqlite", "postgresql"), ("ALTER TABLE things ADD COLUMN colour TEXT",)),
)
BROKEN = Migration(
    3,
    "broken",
    dict.fromkeys(("sqlite", "postgresql"), ("CREATE TABLE half (id INTEGER)", "CREATE TABLE things (id INTEGER)")),
)


@pytest.fixture
def database(database_url: str) -> Iterator[peewee.Database]:
    """An empty database."""
    opened = open_database(database_url, schema="moments_test")
    yield opened
    close_database(opened)


def tables(database: peewee.Database) -> set[str]:
    """The tables there are."""
    with connected(database):
        return set(database.get_tables(None if dialect(database) == "sqlite" else "moments_test"))


def test_only_missing_steps_are_run_in_their_order(database: peewee.Database) -> None:
    assert migrate(database, [FIRST]) == [FIRST]
    assert migrate(database, [SECOND, FIRST]) == [SECOND]
    assert migrate(database, [FIRST, SECOND]) == []
    assert tables(database) == {"migrations", "things"}


def test_a_step_that_fails_leaves_nothing_behind(database: peewee.Database) -> None:
    with pytest.raises(peewee.DatabaseError):
        migrate(database, [FIRST, BROKEN])

    assert "half" not in tables(database)
    assert migrate(database, [FIRST]) == [FIRST]


@pytest.mark.postgresql
def test_who_falls_asleep_in_a_transaction_gives_its_locks_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped, or is cut off from the network, would else hold every other up until it ends."""
    monkeypatch.setattr(store, "_LONGEST_REST", 1)
    asleep = open_database(postgres_url, schema="moments_test")
    awake = open_database(postgres_url, schema="moments_test")
    migrate(asleep, [FIRST])
    try:
        with connected(asleep), connected(awake):
            asleep.begin()
            asleep.execute_sql("INSERT INTO things VALUES (1, 'mine')")
            awake.execute_sql("SET statement_timeout = '60s'")
            awake.execute_sql("INSERT INTO things VALUES (1, 'yours')")
            with pytest.raises(STORE_FAULTS):
                asleep.execute_sql("SELECT 1")
            assert awake.execute_sql("SELECT name FROM things").fetchall() == [("yours",)]
    finally:
        close_database(asleep)
        close_database(awake)


def test_processes_that_migrate_at_once_take_turns(database_url: str) -> None:
    opened = [open_database(database_url, schema="moments_test") for _ in range(6)]
    barrier = threading.Barrier(6)
    done: list[list[Migration]] = []

    def run(each: peewee.Database) -> None:
        barrier.wait()
        done.append(migrate(each, [FIRST, SECOND]))

    threads = [threading.Thread(target=run, args=(each,)) for each in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(len(steps) for steps in done) == [0, 0, 0, 0, 0, 2]
    for each in opened:
        close_database(each)


def test_services_share_a_postgresql_database_without_seeing_each_other(postgres_url: str) -> None:
    one, other = (open_database(postgres_url, schema=schema) for schema in ("moments_one", "moments_other"))

    migrate(one, [FIRST])

    assert migrate(other, [FIRST]) == [FIRST]
    for each in (one, other):
        close_database(each)


def test_a_connection_is_used_again_by_the_block_within(database: peewee.Database) -> None:
    with connected(database):
        with connected(database):
            pass
        assert not database.is_closed()
    assert database.is_closed()


def test_nothing_connects_by_itself(database: peewee.Database) -> None:
    with pytest.raises(peewee.InterfaceError):
        database.execute_sql("SELECT 1")


def test_sqlite_keeps_what_was_committed_and_takes_the_write_lock_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "ä b.db"
    database = open_database(f"sqlite://{path}".replace(" ", "%20"), schema="x")

    with connected(database):
        pragmas = [
            database.execute_sql(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
        with database.atomic():
            other = open_database(f"sqlite://{path}", schema="x")
            with connected(other):
                other.execute_sql("PRAGMA busy_timeout = 1")
                with pytest.raises(STORE_FAULTS), other.atomic():
                    pass
            close_database(other)

    assert path.exists()
    assert pragmas == ["wal", 2, 1]
    close_database(database)


def test_a_database_that_is_away_is_a_fault_that_passes() -> None:
    database = open_database("postgresql://127.0.0.1:1/none", schema="moments_test")

    with pytest.raises(STORE_FAULTS), connected(database):
        pass


@pytest.mark.parametrize("url", ["mysql://x/y", "", "/path"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite"):
        open_database(url, schema="x")


def test_a_schema_is_a_plain_name() -> None:
    with pytest.raises(ValueError, match="schema"):
        open_database("postgresql://x/y", schema='a"; DROP')


def test_a_thread_that_ends_late_gets_no_connection_that_nobody_would_close(database_url: str) -> None:
    database = open_database(database_url, schema="moments_test")
    migrate(database, [FIRST])
    refused: list[BaseException] = []

    def come_late() -> None:
        try:
            with connected(database):
                database.execute_sql("SELECT 1")
        except STORE_FAULTS as error:
            refused.append(error)

    close_database(database)
    for thread in [threading.Thread(target=come_late) for _ in range(3)]:
        thread.start()
        thread.join(120)

    assert len(refused) == 3
