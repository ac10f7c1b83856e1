"""What a moment's new state does to the waits of a running worker (DOMAIN §5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from contracts.moments import MomentState
from contracts.times import MINUTE
from services.trigger.wiring import Trigger
from tests.integration.trigger_rig import STACKS, Rig, running_rig, seconds, wait_until


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def settled(rig: Rig, state: MomentState) -> None:
    wait_until(lambda: rig.knows(state), f"version {state.version} to be settled")


def test_a_stop_suppresses_all_pending_waits_at_once(rig: Rig) -> None:
    rig.moment(duration="PT2H")
    rig.start()
    for n in range(30):
        rig.add(f"u{n}@example.com")
    wait_until(lambda: rig.pending() == 30, "thirty waits")

    stopped = rig.change(status="stopped", stopped_at=rig.clock.now())

    settled(rig, stopped)
    assert rig.pending() == 0
    assert rig.ledger() == {"opened": 30, "suppressed:stopped": 30}
    assert rig.differences() == []

    rig.add("u0@example.com")
    rig.add("new@example.com")
    wait_until(rig.applied, "the signals to be applied")
    assert rig.ledger() == {"opened": 30, "suppressed:stopped": 30}


def test_a_stop_while_the_worker_is_away_is_found_later(rig: Rig) -> None:
    rig.moment("m1", duration="PT4S")
    rig.moment("m2", duration="PT4S")
    rig.started()
    added = [rig.add(f"u{n}@example.com") for n in range(5)]
    wait_until(lambda: rig.pending() == 10, "ten waits")
    rig.kill()

    rig.change("m1", status="stopped", stopped_at=rig.clock.now())
    wait_until(lambda: rig.clock.now() > added[-1].time + seconds(4.2), "the waits to be overdue")
    rig.start()

    rig.listen_until(lambda: len(rig.raised()) == 5 and not rig.pending(), "the other moment's raises")
    assert {event.data["moment"]["id"] for event in rig.events} == {"m2"}
    assert rig.ledger("m1") == {"opened": 5, "suppressed:stopped": 5}


def test_a_stop_and_a_start_while_the_worker_is_away_suppress_the_waits_of_the_old_run(rig: Rig) -> None:
    rig.moment(duration="PT4S")
    rig.started()
    rig.add("old@example.com")
    rig.add("both@example.com")
    rig.add("both@example.com")
    wait_until(rig.applied, "the signals to be applied")
    wait_until(lambda: rig.pending() == 2, "two waits")
    rig.kill()

    rig.change(status="stopped", stopped_at=rig.clock.now())
    rig.change(status="running", running_since=rig.clock.now())
    again = rig.signal("both@example.com", "cart/remove", id="again")
    more = rig.add("both@example.com")
    rig.send(again)
    rig.start()

    rig.listen_until(lambda: rig.events and not rig.pending(), "the raise of the new run")
    assert rig.profiles() == {"both@example.com": 1}
    event = rig.events[0]
    assert event.due_at == more.time + seconds(4)
    assert event.data["signalIds"] == [again.id, more.id]
    assert rig.ledger()["suppressed:stopped"] == 2


def test_after_a_restart_a_sliding_signal_of_the_old_process_opens_a_new_wait(rig: Rig) -> None:
    rig.moment(duration="PT4S")
    rig.started()
    rig.send(rig.signal("ada@example.com"), rig.signal("ada@example.com"))
    wait_until(rig.applied, "the signals to be applied")
    settled(rig, rig.change(status="stopped", stopped_at=rig.clock.now()))

    settled(rig, rig.change(status="running", running_since=rig.clock.now()))
    removed = rig.signal("ada@example.com", "cart/remove")
    rig.send(removed)

    rig.listen_until(lambda: rig.events, "the moment of the new run")
    event = rig.events[0]
    assert event.due_at == removed.time + seconds(4)
    assert event.data["openedAt"] == event.data["lastActivityAt"]
    assert rig.ledger() == {"opened": 2, "slid": 1, "suppressed:stopped": 1, "raised": 1}


def test_a_deleted_moment_raises_no_more(rig: Rig) -> None:
    rig.moment(duration="PT1H")
    rig.start()
    rig.add("ada@example.com")
    wait_until(lambda: rig.pending() == 1, "a wait")

    rig.change(status="archived", stopped_at=rig.clock.now())
    rig.change(deleted=True, history=(), configuration_id=None)

    wait_until(lambda: not rig.pending(), "the wait to be suppressed")
    assert rig.ledger() == {"opened": 1, "suppressed:stopped": 1}


def test_an_edit_spreads_what_it_makes_due_over_a_minute_in_the_order_of_the_old_dues(rig: Rig) -> None:
    now = rig.clock.now()
    rig.moment(since=now - 2 * MINUTE, duration="PT2H")
    rig.start()
    order = [f"u{n}@example.com" for n in (3, 1, 4, 0, 5, 2)]
    for place, profile in enumerate(order):
        rig.add(profile, received=now - seconds(60 - place))
    wait_until(lambda: rig.pending() == 6, "six waits")

    before = rig.clock.now()
    edited = rig.edit(duration="PT1S")
    settled(rig, edited)
    after = rig.clock.now()

    dues = rig.read("SELECT w.due_at, p.profile FROM waits w JOIN processes p ON p.key = w.process_key ORDER BY 1")
    assert [profile for _, profile in dues] == order
    steps = {later - earlier for (earlier, _), (later, _) in pairwise(dues)}
    assert steps == {MINUTE // 6}
    assert before <= dues[0][0] - MINUTE // 6 <= after
    assert rig.differences() == []

    again = rig.add(order[-1])
    rig.listen_until(lambda: order[-1] in rig.profiles(), "the raise of who came back")
    assert [event.due_at for event in rig.events if event.profile == order[-1]] == [again.time + seconds(1)]


def test_an_edit_that_makes_one_wait_due_gives_it_the_whole_minute_until_its_next_activity(rig: Rig) -> None:
    now = rig.clock.now()
    rig.moment(since=now - MINUTE, duration="PT2H")
    rig.start()
    rig.add("ada@example.com", received=now - seconds(5))
    wait_until(lambda: rig.pending() == 1, "a wait")

    settled(rig, rig.edit(duration="PT1S"))
    due = rig.read("SELECT due_at FROM waits")[0][0]
    assert due > rig.clock.now() + seconds(30)
    slid = rig.add("ada@example.com")

    rig.listen_until(lambda: rig.events, "the moment")
    assert rig.events[0].due_at == slid.time + seconds(1)
    assert len(rig.events[0].data["signalIds"]) == 2


def test_the_spread_that_the_preview_foretold_is_raised_one_after_the_other_and_at_its_dues(rig: Rig) -> None:
    """Sixty waits, one a second; the first of them are awaited."""
    rig.moment(since=rig.clock.now() - 10 * MINUTE, duration="PT2H")
    rig.started()
    first = rig.clock.now() - 5 * MINUTE
    order = [f"u{n * 7 % 60}@example.com" for n in range(60)]
    rig.send(*(rig.signal(profile, received=first + n) for n, profile in enumerate(order)))
    wait_until(lambda: rig.pending() == 60, "sixty waits")
    foretold = asked_preview(rig, {"settings": {"duration": "PT1M"}})
    assert (foretold["pending"], foretold["moved"], foretold["dueAtOnce"]) == (60, 60, 60)
    assert foretold["raisesInNextHour"] == {"before": 0, "after": 60}

    edited = rig.edit(duration="PT1M")
    settled(rig, edited)

    since = edited.history[-1].since
    rig.listen_until(lambda: len(rig.raised()) >= 5, "the first moments")
    events = sorted(rig.events, key=lambda event: event.due_at)
    assert [(event.profile, event.due_at) for event in events] == [
        (profile, since + seconds(n + 1)) for n, profile in enumerate(order[: len(events)])
    ]
    assert all(event.raised_at >= event.due_at for event in events)
    left = rig.read("SELECT w.due_at, p.profile FROM waits w JOIN processes p ON p.key = w.process_key ORDER BY 1")
    assert left == [(since + seconds(n + 1), order[n]) for n in range(60 - len(left), 60)]


def asked_preview(rig: Rig, change: dict[str, Any]) -> Any:
    """What trigger's REST tells of a change of m1."""
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    headers = {"Authorization": f"Bearer {rig.settings.admin_token}"}
    answer = trigger.app.test_client().post("/api/v1/moments/m1/preview", json=change, headers=headers)
    trigger.close()
    assert answer.status_code == 200, answer.get_data()
    return answer.get_json()


def test_an_edit_moves_dues_that_are_not_reached_to_the_new_duration(rig: Rig) -> None:
    rig.moment(duration="PT2H")
    rig.start()
    added = [rig.add(f"u{n}@example.com") for n in range(3)]
    wait_until(lambda: rig.pending() == 3, "three waits")

    settled(rig, rig.edit(duration="PT10M"))
    assert {row[0] for row in rig.read("SELECT due_at FROM waits")} == {each.time + 10 * MINUTE for each in added}
    settled(rig, rig.edit(duration="P1D"))
    assert {row[0] for row in rig.read("SELECT due_at FROM waits")} == {each.time + 1440 * MINUTE for each in added}


def test_an_edit_while_the_worker_is_away_is_settled_before_anything_is_raised(rig: Rig) -> None:
    rig.moment(duration="PT4S")
    rig.started()
    added = rig.add("ada@example.com")
    wait_until(lambda: rig.pending() == 1, "a wait")
    rig.kill()

    rig.edit(duration="PT1H")
    wait_until(lambda: rig.clock.now() > added.time + seconds(4.2), "the old due to be over")
    rig.started()
    other = rig.add("bob@example.com")
    wait_until(lambda: rig.pending() == 2, "two waits")

    wait_until(
        lambda: (
            {row[0] for row in rig.read("SELECT due_at FROM waits")} == {e.time + 60 * MINUTE for e in (added, other)}
        ),
        "both dues in an hour",
    )
    assert rig.ledger() == {"opened": 2}
