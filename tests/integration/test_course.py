"""What edits gave to waits, read in chunks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.trigger.store.course import note_retimed, retimed_waits
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.store import close_database, connected, migrate, open_database


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


def test_two_edits_without_a_signal_between_them_are_both_read_whole(rows: Rows) -> None:
    waits = [(b"owner", b"%06d" % number, 1, 5_000 + number) for number in range(1_501)]
    with rows.database.atomic():
        note_retimed(rows, "m1", 2, waits)
        note_retimed(rows, "m1", 3, waits[1:])

    found = [(each.version, each.process_key) for each in retimed_waits(rows, "m1")]

    assert sorted(found) == sorted([*((2, key) for _, key, _, _ in waits), *((3, key) for _, key, _, _ in waits[1:])])


def test_a_profiles_waits_and_the_old_ones_are_found_without_reading_the_others(rows: Rows) -> None:
    of_profile = "SELECT version, process_key, number, due_at FROM retimed WHERE moment_id = 'm' AND profile_key = ?"
    of_old = "SELECT number FROM retimed WHERE due_at < 7"

    with rows.database.atomic():
        if rows.postgresql:
            rows.database.execute_sql("SET LOCAL enable_seqscan = off")  # it is quicker while the table is empty
        explain = "EXPLAIN" if rows.postgresql else "EXPLAIN QUERY PLAN"
        plans = [str(rows.execute(f"{explain} {sql}", given)) for sql, given in ((of_profile, (b"k",)), (of_old, ()))]

    assert ["retimed_by_profile" in plans[0], "retimed_by_due" in plans[1]] == [True, True]
