"""An explanation reads what concerns its profile, however much a moment has raised."""

from __future__ import annotations

from pathlib import Path

from contracts.moments import MomentState, SettingsVersion
from contracts.templates import templates
from contracts.times import DAY
from services.trigger.engine.application import ProfileId
from services.trigger.store.accounts import Terms, read_case
from services.trigger.store.keys import profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.raises import RaiseRow, insert_raises
from services.trigger.store.rows import Rows
from shared.store import close_database, connected, migrate, open_database

MANY = 5_000
SETTINGS = SettingsVersion(version=1, since=0, settings={"duration": "PT1H"})
STATE = MomentState(id="m1", version=1, type="cart_abandon", configuration_id="c1", history=(SETTINGS,))
TERMS = Terms(templates(), DAY, 7 * DAY)


def decided(number: int) -> RaiseRow:
    """One of many suppressed occurrences, each of another profile."""
    return RaiseRow(
        id=f"r{number}",
        moment_id="m1",
        profile_key=profile_key(ProfileId("c1", "email", f"{number}@example.com")),
        process_key=b"p",
        raised=False,
        reason="cool_down",
        due_at=number,
        decided_at=number,
        event=b"",
        number=1,
        opened_at=0,
        last_at=0,
        run=1,
        version=1,
        after=0,
    )


def test_no_other_profiles_outcomes_are_read(tmp_path: Path) -> None:
    database = open_database(f"sqlite://{tmp_path}/trigger.db", schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows, hundreds = Rows(database), [0]

    def count() -> int:
        hundreds[0] += 1
        return 0

    with connected(database):
        with database.atomic():
            insert_raises(rows, [decided(number) for number in range(MANY)])
        database.connection().set_progress_handler(count, 100)
        case, _ = read_case(rows, STATE, ProfileId("c1", "email", "7@example.com"), TERMS)
        database.connection().set_progress_handler(None, 0)
    close_database(database)

    assert [turn.raise_id for turn in case.turns if hasattr(turn, "raise_id")] == ["r7"]
    assert hundreds[0] * 100 < MANY
