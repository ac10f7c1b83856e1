"""What a stop leaves behind: every pending wait suppressed and recorded, nothing raised (DOMAIN §5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.moments import Status
from contracts.signals import Signal
from contracts.times import DAY
from services.trigger.audit import differences
from services.trigger.engine.decide import ProcessId, raise_id_of, stopped_id_of
from services.trigger.store.keys import process_key, profile_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.clock import SystemClock
from shared.store import close_database, connected, migrate, open_database
from tests.integration.trigger_rig import CONFIGURATION_ID, STACKS, Rig, running_rig, seconds, wait_until

MANY = 1000
_ROW = (
    "SELECT id, reason, due_at, profile_key, process_key, number, opened_at, last_at, run, version, after FROM raises"
    " WHERE reason = 'stopped' ORDER BY due_at"
)


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def wait_for_many(rig: Rig) -> list[Signal]:
    """A thousand customers, each with a wait."""
    signals = [rig.signal(f"u{n}@example.com") for n in range(MANY)]
    rig.send(*signals)
    wait_until(lambda: rig.pending() == MANY, "a thousand waits")
    return signals


def assert_all_stopped(rig: Rig, signals: list[Signal], length: int) -> None:
    """Every wait is recorded as suppressed, with its due; nothing was raised; the books balance."""
    wait_until(lambda: rig.pending() == 0, "no wait")
    assert rig.ledger() == {"opened": MANY, "suppressed:stopped": MANY}
    stopped = rig.read(_ROW)
    assert [row[2] for row in stopped] == sorted(signal.time + length for signal in signals)
    assert len({row[0] for row in stopped}) == MANY
    assert set(rig.recorded().values()) == {(False, "stopped")}
    assert rig.read("SELECT count(*) FROM outbox WHERE routing_key = 'moment.cart_abandon'") == [(0,)]
    assert rig.differences() == []


@pytest.mark.parametrize("status", ["stopped", "archived"])
def test_a_stop_suppresses_and_records_a_thousand_pending_waits(rig: Rig, status: Status) -> None:
    state = rig.moment(duration="PT2H")
    rig.start()
    signals = wait_for_many(rig)
    known = rig.read("SELECT max(sequence) FROM signals")[0][0]

    stopped = rig.change(status=status, stopped_at=rig.clock.now())

    wait_until(lambda: rig.knows(stopped), "the stop to be settled")
    assert_all_stopped(rig, signals, seconds(7200))
    first, found = signals[0], rig.read(_ROW)[0]
    owner = profile_key((CONFIGURATION_ID, "email", first.profile))  # type: ignore[arg-type]
    process = ProcessId(CONFIGURATION_ID, "email", first.profile, "cart", "k")
    name = stopped_id_of(raise_id_of("m1", process, first.source, first.id), state.running_since or 0, 0)
    due = first.time + seconds(7200)
    place = (bytes(found[3]), bytes(found[4]))
    assert place == (owner, process_key(owner, "cart", "k"))
    assert found[:3] == (name, "stopped", due)
    assert found[5:] == (0, first.time, first.time, state.running_since, 1, known)


def test_a_stop_while_the_worker_is_away_raises_none_of_the_thousand_that_are_overdue_when_it_is_back(rig: Rig) -> None:
    rig.moment(duration="PT10S")
    rig.started()
    signals = wait_for_many(rig)
    rig.kill()

    rig.change(status="stopped", stopped_at=rig.clock.now())
    wait_until(lambda: rig.clock.now() > signals[-1].time + seconds(10), "all dues to be over")
    rig.start()

    assert_all_stopped(rig, signals, seconds(10))


def test_a_stop_and_a_start_while_the_worker_is_away_record_the_waits_of_the_old_run(rig: Rig) -> None:
    rig.moment(duration="PT2H")
    rig.started()
    signals = wait_for_many(rig)
    rig.kill()

    rig.change(status="stopped", stopped_at=rig.clock.now())
    rig.change(status="running", running_since=rig.clock.now())
    rig.start()

    assert_all_stopped(rig, signals, seconds(7200))


def test_a_late_signal_after_a_restart_may_raise_what_the_stop_suppressed(rig: Rig) -> None:
    """The raise's last signal is the one of the stopped wait: the stop must not have used up its id."""
    rig.moment(duration="PT15S")
    rig.started()
    old = rig.add("ada@example.com")
    wait_until(lambda: rig.pending() == 1, "a wait")

    for fields in ({"status": "stopped"}, {"status": "running", "running_since": rig.clock.now()}):
        state = rig.change(**fields)
        wait_until(lambda state=state: rig.knows(state), "the change to be settled")  # type: ignore[misc]
    late = rig.add("ada@example.com", at=old.time - seconds(1))
    rig.listen_until(lambda: rig.events, "the moment")

    process = ProcessId(CONFIGURATION_ID, "email", "ada@example.com", "cart", "k")
    assert [event.id for event in rig.events] == [raise_id_of("m1", process, old.source, old.id)]
    assert rig.events[0].data["signalIds"] == [late.id, old.id]
    assert sorted(rig.recorded().values()) == [(False, "stopped"), (True, "")]


@pytest.mark.parametrize("url", ["", pytest.param("postgres_url", marks=pytest.mark.postgresql)])
def test_what_was_stopped_before_stops_were_recorded_is_no_difference(
    request: pytest.FixtureRequest, tmp_path: Path, url: str
) -> None:
    database = open_database(
        request.getfixturevalue(url) if url else f"sqlite:///{tmp_path}/trigger.db", schema="moments_trigger"
    )
    migrate(database, [step for step in MIGRATIONS if step.version < 8])
    rows = Rows(database)
    with connected(database):
        rows.execute("INSERT INTO ledger VALUES ('m1', 0, 'opened', 3), ('m1', 0, 'suppressed:stopped', 3)")

    migrate(database, MIGRATIONS)

    with connected(database):
        before = [difference.rule for difference in differences(rows, DAY, SystemClock().now())]
        rows.execute("UPDATE ledger SET value = 4 WHERE counter <> 'unrecorded:stopped'")
        after = [difference.rule for difference in differences(rows, DAY, SystemClock().now())]
    rule = "suppressed:stopped = rows recorded"
    assert (before.count(rule), after.count(rule)) == (0, 1)
    close_database(database)
