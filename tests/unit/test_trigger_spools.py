"""Up to when waits may be raised, by what machines have said (DOMAIN §6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.wire import SpoolWord, decode_marker
from services.trigger.markers import Markers
from services.trigger.spools import Spools
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.store.spools import forget_spools, pass_over, spool_rows
from shared.broker import connect_broker
from shared.clock import ManualClock
from shared.store import close_database, connected, migrate, open_database

LONG = 900_000_000
NOW = 1_000


def tables(url: str) -> Iterator[Rows]:
    """Trigger's tables in an empty database."""
    database = open_database(url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    """Trigger's tables."""
    yield from tables(f"sqlite:///{tmp_path}/trigger.db")


@pytest.fixture
def any_rows(database_url: str) -> Iterator[Rows]:
    """The same on each database."""
    yield from tables(database_url)


def spools_on(rows: Rows, patience: int = LONG) -> Spools:
    """A session that has partitions 0 and 1."""

    @contextmanager
    def transaction() -> Iterator[Rows]:
        with rows.database.atomic():
            yield rows

    spools = Spools(transaction, ManualClock(NOW), patience)
    spools.begin()
    spools.own(rows, (0, 1))
    return spools


def said(at: int, *, number: int = 1, machine: str = "m", partition: int = 0, leaving: bool = False) -> SpoolWord:
    return SpoolWord(partition=partition, machine=machine, number=number, at=at, waiting=3, leaving=leaving)


def heard(spools: Spools, *words: SpoolWord) -> list[bool]:
    """Words that came in a batch."""
    spools.meet(words)
    return [spools.hear(word) for word in words]


def test_without_machines_a_marker_counts_in_full_and_nothing_is_written(rows: Rows) -> None:
    spools = spools_on(rows)

    assert spools.until(0, 500) == 500
    spools.note()
    assert spool_rows(rows) == []


def test_a_marker_counts_up_to_the_least_word_that_was_read_before_it_in_its_partition(rows: Rows) -> None:
    spools = spools_on(rows)

    heard(spools, said(700), said(300, machine="n"), said(900, machine="n", partition=1))

    assert spools.until(0, 500) == 300
    assert spools.until(1, 500) == 500, "what it said in another partition says nothing of this one"
    assert spools.held == {0}


def test_a_word_that_moves_what_is_held_wakes_and_no_other(rows: Rows) -> None:
    spools = spools_on(rows)
    assert heard(spools, said(300)) == [False], "nothing is held yet"
    spools.until(0, 500)

    assert heard(spools, said(300, number=2), said(400, number=3)) == [False, True]
    assert spools.until(0, 500) == 400
    assert heard(spools, said(0, number=4, leaving=True)) == [True]
    assert spools.until(0, 500) == 500
    assert spools.held == set()


def test_a_machine_that_was_met_is_waited_for_by_the_next_session(rows: Rows) -> None:
    heard(spools_on(rows), said(300))

    assert spools_on(rows).until(1, 500) == 300


def test_one_that_has_left_is_not_waited_for_whatever_is_heard_late(any_rows: Rows) -> None:
    first, second = spools_on(any_rows), spools_on(any_rows)
    heard(first, said(300, number=1), said(400, number=2, leaving=True))
    heard(second, said(300, number=1, partition=1))

    assert [row.state for row in spool_rows(any_rows)] == ["left"]
    assert spools_on(any_rows).until(0, 500) == 500
    heard(first, said(450, number=3))
    assert [(row.state, row.at) for row in spool_rows(any_rows)] == [("here", 450)]


def test_silence_beyond_the_patience_is_passed_over_until_it_speaks_again(rows: Rows) -> None:
    spools = spools_on(rows, patience=0)
    heard(spools, said(300))

    assert spools.until(0, 500) == 500
    spools.note()
    assert [row.state for row in spool_rows(rows)] == ["passed"]
    assert spools_on(rows, LONG).until(0, 500) == 500, "the next session need not wait once more"

    patient = spools_on(rows, LONG)
    heard(patient, said(350, number=2))
    assert patient.until(0, 500) == 350
    assert [row.state for row in spool_rows(rows)] == ["here"]


def test_a_new_session_gives_everybody_the_whole_patience_again(rows: Rows) -> None:
    heard(spools_on(rows), said(300))
    spools = spools_on(rows, patience=60_000_000)

    assert spools.until(0, 500) == 300


def test_an_operator_gives_a_machine_up(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    spools = spools_on(rows)
    heard(spools, said(300))
    spools.note()
    monkeypatch.setattr("services.trigger.spools.NOTE_EVERY", 0.0)

    with rows.database.atomic():
        assert pass_over(rows, "m")
        assert not pass_over(rows, "m")
        assert not pass_over(rows, "nobody")
    assert spools.until(0, 500) == 300
    spools.note()
    assert spools.until(0, 500) == 500

    heard(spools, said(400, number=2))
    assert spools.until(0, 500) == 400, "it speaks again"
    assert [row.state for row in spool_rows(rows)] == ["here"]


def test_the_latest_word_is_written_now_and_then(rows: Rows) -> None:
    spools = spools_on(rows)
    heard(spools, said(300))
    heard(spools, said(800, number=5))

    spools.note()

    assert [(row.at, row.number, row.heard_at, row.waiting) for row in spool_rows(rows)] == [(800, 5, NOW, 3)]


def test_only_those_that_nobody_waits_for_are_forgotten(any_rows: Rows) -> None:
    heard(spools_on(any_rows), said(1), said(1, machine="n"), said(2, machine="n", number=2, leaving=True))

    with any_rows.database.atomic():
        assert forget_spools(any_rows, NOW) == 0
        assert forget_spools(any_rows, NOW + 1) == 1
    assert [row.machine for row in spool_rows(any_rows)] == ["m"]


def test_markers_of_before_a_partition_was_taken_do_not_count_against_what_the_rows_say(tmp_path: Path) -> None:
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", ManualClock())
    publisher = broker.publisher()
    markers = Markers(publisher, ManualClock())
    before, after = markers._message(0), markers._message(1)

    markers.forget([0], void=True)
    markers.forget([1])

    assert not markers.take(decode_marker(before.body))
    assert markers.take(decode_marker(after.body))
    assert markers.take(decode_marker(markers._message(0).body))
    broker.close()
