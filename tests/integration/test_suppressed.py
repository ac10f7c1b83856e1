"""Trigger is told of all whose signals are refused whenever a service starts: what it knows already costs nothing."""

from __future__ import annotations

from contracts.erasures import subject_of
from contracts.suppressions import SuppressionState
from services.trigger.engine.application import ProfileId
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.suppressed import Suppressed
from shared.store import close_database, connected, migrate, open_database

PEPPER = b"p" * 32
PEOPLE = [ProfileId("c1", "email", f"{number}@example.com") for number in range(100)]
ADA, BOB, *_ = PEOPLE


def _state(profile: ProfileId, version: int = 1, *, deleted: bool = False) -> SuppressionState:
    subject = subject_of(PEPPER, *profile).hex()
    return SuppressionState(id=subject, version=version, configuration="c1", deleted=deleted)


def test_what_is_known_of_suppressed_customers_is_neither_read_nor_written_again(database_url: str) -> None:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows, told, later = Rows(database), Suppressed(PEPPER), Suppressed(PEPPER)
    with connected(database):
        told.keep(rows, map(_state, PEOPLE))
        told.keep(rows, [_state(ADA, 2, deleted=True)])
        later.load(rows)
    close_database(database)

    for each in (told, later):
        each.keep(rows, [*map(_state, PEOPLE), _state(ADA, 2, deleted=True)])  # no database is open any more
        assert [each.has(ADA), each.has(BOB)] == [False, True]
