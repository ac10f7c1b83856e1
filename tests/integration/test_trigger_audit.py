"""The audit finds every difference that is put into a true database (DOMAIN §6.11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.times import DAY, HOUR, MINUTE
from services.cli.program import moments
from services.trigger.audit import OUTBOX_KEPT, check, differences
from services.trigger.store.reading import snapshot
from shared.clock import ManualClock
from shared.store import connected
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until

CASES: list[tuple[str, list[str]]] = [
    (
        "UPDATE ledger SET value = value + 1 WHERE moment_id = 'm1' AND counter = 'opened'",
        ["opened = raised + ended + suppressed + pending", "opened by the day = ledger"],
    ),
    (
        "UPDATE ledger SET value = value - 1 WHERE moment_id = 'm1' AND counter = 'raised'",
        [
            "opened = raised + ended + suppressed + pending",
            "raised = rows recorded",
            "raised by the day = ledger",
            "raises sent = latenesses counted",
        ],
    ),
    (
        "UPDATE ledger SET counter = 'suppressed:empty' WHERE counter = 'suppressed:repeat'",
        [
            "suppressed:empty = rows recorded",
            "suppressed:repeat = rows recorded",
            "suppressed:empty by the day = ledger",
            "suppressed:repeat by the day = ledger",
        ],
    ),
    (
        "INSERT INTO ledger VALUES ('m1', 0, 'contradicted', 2)",
        ["contradicted = rows recorded", "contradicted by the day = ledger"],
    ),
    (
        "INSERT INTO contradictions SELECT moment_id, profile_key, 's', 'i', id, 1, 1 FROM raises"
        " WHERE moment_id = 'm1' AND raised",
        ["contradicted = rows recorded"],
    ),
    (
        "DELETE FROM waits WHERE moment_id = 'm2'",
        [
            "opened = raised + ended + suppressed + pending",
            "waits of processes = rows of waits",
            "waits without a row",
        ],
    ),
    (
        "INSERT INTO waits SELECT process_key, 'm1', 9, partition, due_at FROM waits",
        [
            "opened = raised + ended + suppressed + pending",
            "waits of processes = rows of waits",
            "rows of waits without a wait",
        ],
    ),
    (
        "UPDATE waits SET due_at = due_at + 1",
        ["rows of waits at another instant than armed", "rows of waits later than the wait is ready"],
    ),
    ("UPDATE waits SET due_at = due_at - 1", ["rows of waits at another instant than armed"]),
    ("DELETE FROM outbox", ["raises without a message"]),
    (
        "UPDATE raises SET raised = NOT raised WHERE reason = 'repeat'",
        [
            "raised = rows recorded",
            "suppressed:repeat = rows recorded",
            "raises without a message",
            "raised by the minute = rows recorded",
            "suppressed:repeat by the minute = rows recorded",
        ],
    ),
    (
        f"UPDATE rollups SET value = value + 1 WHERE moment_id = 'm1' AND counter = 'opened' AND span = {MINUTE}",
        ["opened by the minute = by the hour"],
    ),
    (
        f"UPDATE rollups SET value = value - 1 WHERE moment_id = 'm1' AND counter = 'signals' AND span = {HOUR}",
        ["signals by the minute = by the hour", "signals by the hour = by the day"],
    ),
    (
        f"UPDATE rollups SET value = value + 1 WHERE moment_id = 'm2' AND counter = 'slid' AND span = {DAY}",
        ["slid by the hour = by the day", "slid by the day = ledger"],
    ),
    (
        f"UPDATE rollups SET bucket = bucket - {DAY} WHERE moment_id = 'm1' AND counter = 'raised'",
        ["raised by the minute = rows recorded"],
    ),
    (
        "DELETE FROM rollups WHERE moment_id = 'm1' AND substr(counter, 1, 5) = 'late:'",
        ["raises sent = latenesses counted"],
    ),
    ("UPDATE outbox SET sent_at = NULL", ["raises sent = latenesses counted"]),
    ("DELETE FROM outcomes WHERE moment_id = 'm1'", ["outcomes missing in the feed"]),
]
"""What is done to the tables, and the rules that are then broken."""


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param, audited=False) as made:
        yield made


def live(rig: Rig) -> None:
    """The worker raises, suppresses and ends, keeps waits pending, and goes."""
    rig.moment("m1", duration="PT1S", repeat="once")
    rig.moment("m2", duration="PT2H")
    rig.start()
    rig.add("ada@example.com")
    rig.add("bob@example.com")
    rig.add("buyer@example.com")
    rig.purchase("buyer@example.com")
    rig.listen_until(lambda: len(rig.raised()) == 2, "two moments")
    rig.add("bob@example.com")
    wait_until(lambda: len(rig.recorded()) == 3, "a suppressed one")
    wait_until(lambda: not rig.read("SELECT 1 FROM outbox WHERE sent_at IS NULL"), "the outbox to be empty")
    assert rig.stop() == 0


def test_every_difference_is_found(rig: Rig) -> None:
    live(rig)

    with connected(rig.database):
        for sql, expected in CASES:
            with rig.database.atomic() as transaction:
                rig.rows.execute(sql)
                found = {difference.rule for difference in differences(rig.rows, DAY, rig.clock.now())}
                transaction.rollback()
            assert sorted(found) == sorted(expected), sql


def test_the_command_tells_of_a_difference_until_the_message_may_be_forgotten(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(rig)
    for name, value in rig.environment.items():
        monkeypatch.setenv(name, value)

    clean = CliRunner().invoke(moments, ["audit", "--json"])
    with connected(rig.database), rig.database.atomic():
        rig.rows.execute("DELETE FROM outbox")
    spoilt = CliRunner().invoke(moments, ["audit"])
    later = check(rig.settings, ManualClock(rig.clock.now() + OUTBOX_KEPT))

    assert (clean.exit_code, clean.stdout) == (0, '{"differences": []}\n')
    assert spoilt.exit_code == 1
    assert "moment m1: raises without a message: 0 expected, 2 found" in spoilt.stdout
    assert later == []


def test_a_snapshot_sees_nothing_of_what_is_written_meanwhile_and_holds_nobody_up(rig: Rig) -> None:
    rig.moment(duration="PT1S")
    rig.start()
    with connected(rig.database), snapshot(rig.database) as rows:
        before = rows.execute("SELECT count(*) FROM raises")
        rig.add("carl@example.com")
        rig.listen_until(lambda: rig.events, "the moment")

        assert rows.execute("SELECT count(*) FROM raises") == before == [(0,)]
    assert len(rig.recorded()) == 1
