"""What edits of the timing do to pending waits, at moved instants, on both databases (DOMAIN §5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND
from services.trigger import changes
from tests.support.desk import Desk, Killed


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    assert made.differences() == []
    made.close()


def waiting(desk: Desk, count: int, *, apart: int = SECOND, prefix: str = "u") -> list[str]:
    """So many customers with a wait, whose activities lie so far apart; the last one is of now."""
    names = [f"{prefix}{n:05}" for n in range(count)]
    first = desk.now - apart * (count - 1)
    desk.apply([desk.signal(name, received=first + apart * n) for n, name in enumerate(names)])
    return names


def evenly(start: int, names: list[str]) -> list[tuple[int, str]]:
    """The dues of a spread over the minute from `start`."""
    return [(start + MINUTE * (place + 1) // len(names), name) for place, name in enumerate(names)]


def test_a_wait_whose_signal_came_late_is_spread_like_the_others(desk: Desk) -> None:
    """By its signal it is settled only 30 s later; the due that the edit gives counts for it as well."""
    desk.run(since=desk.now - HOUR, duration="PT2H")
    early, late = waiting(desk, 1)[0], "late"
    desk.clock.advance(5 * MINUTE)
    desk.add(late, at=desk.now - 4 * MINUTE)
    desk.clock.advance(SECOND)

    desk.keep(desk.edited(duration="PT1M"))

    assert desk.dues() == evenly(desk.now, [early, late])
    desk.clock.advance(30 * SECOND)
    assert desk.fire() == 1
    desk.clock.advance(30 * SECOND)
    assert desk.fire() == 1


def test_a_wait_that_was_due_before_the_edit_is_not_made_due_by_it(desk: Desk) -> None:
    """It waits only for its late signals to settle, and goes on to do so."""
    desk.run(since=desk.now - HOUR, duration="PT2M")
    desk.add("late", at=desk.now - 10 * MINUTE)
    desk.clock.advance(10 * SECOND)

    desk.keep(desk.edited(duration="PT1M"))

    assert desk.dues() == [(desk.now + 20 * SECOND, "late")]


def test_an_edit_that_lengthens_again_moves_all_but_the_dues_that_were_given(desk: Desk) -> None:
    desk.run(since=desk.now - HOUR, duration="PT2H")
    old = waiting(desk, 3)
    desk.clock.advance(5 * MINUTE)
    desk.add("young")
    edited = desk.now
    desk.keep(desk.edited(duration="PT4M"))
    assert desk.dues() == [*evenly(edited, old), (edited + 4 * MINUTE, "young")]

    desk.clock.advance(30 * SECOND)
    desk.keep(desk.edited(duration="PT3H"))

    assert desk.dues() == [*evenly(edited, old), (edited + 3 * HOUR, "young")]
    back = desk.add(old[2])[0]
    desk.clock.advance(HOUR)
    assert desk.fire() == 2
    assert desk.dues() == [(edited + 3 * HOUR, "young"), (back.time + 3 * HOUR, old[2])]


def test_an_edit_while_a_spread_is_under_way_spreads_only_what_it_makes_due_itself(desk: Desk) -> None:
    desk.run(since=desk.now - HOUR, duration="PT2H")
    old = waiting(desk, 4, apart=MINUTE)
    desk.clock.advance(MINUTE)
    first = desk.now
    desk.keep(desk.edited(duration="PT3M"))
    assert desk.dues() == [*evenly(first, old[:2]), (first + MINUTE, old[2]), (first + 2 * MINUTE, old[3])][:4]

    desk.clock.advance(10 * SECOND)
    second = desk.now
    desk.keep(desk.edited(duration="PT1M"))

    assert sorted(desk.dues()) == sorted([*evenly(first, old[:2]), *evenly(second, old[2:])])
    desk.clock.advance(HOUR)
    assert desk.fire() == 4


def test_edits_that_are_learnt_of_together_spread_what_any_of_them_made_due(desk: Desk) -> None:
    desk.run(since=desk.now - HOUR, duration="PT2H")
    names = waiting(desk, 3)
    desk.clock.advance(10 * MINUTE)
    desk.edited(duration="PT1H")
    desk.clock.advance(SECOND)
    desk.edited(duration="PT1M")
    desk.clock.advance(SECOND)
    state = desk.edited(minimumValue={"amount": 1, "currency": "EUR"})

    desk.keep(state)

    assert desk.dues() == evenly(desk.now, names)


def test_an_edit_learnt_of_late_spreads_from_then_on_and_leaves_what_time_made_due(desk: Desk) -> None:
    """The worker was away for ten minutes. What the edit made due is spread; what became due since is overdue."""
    desk.run(since=desk.now - HOUR, duration="PT2H")
    due, running = waiting(desk, 2, apart=10 * MINUTE)
    last = desk.now
    desk.clock.advance(MINUTE)
    state = desk.edited(duration="PT5M")
    desk.clock.advance(10 * MINUTE)
    desk.restart()

    desk.keep(state)

    assert desk.dues() == [(last + 5 * MINUTE, running), (desk.now + MINUTE, due)]
    assert desk.fire() == 1


def test_activity_received_after_the_edit_is_not_spread_though_the_edit_was_learnt_of_later(desk: Desk) -> None:
    """It was long ago when it was received; with the settings then in force it was due at once."""
    desk.run(since=desk.now - HOUR, duration="PT2H")
    state = desk.edited(duration="PT1M")
    desk.clock.advance(SECOND)
    received = desk.now
    desk.add("late", at=desk.now - 10 * MINUTE)
    desk.clock.advance(SECOND)

    desk.keep(state)

    assert desk.dues() == [(received + 30 * SECOND, "late")]


def test_maximum_wait_and_quiet_hours_re_time_pending_waits(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT2H")
    opened = desk.now
    desk.add("ada")
    desk.clock.advance(HOUR)
    slid = desk.add("ada")[0]
    desk.clock.advance(SECOND)

    desk.keep(desk.edited(maximumWait="PT150M"))
    assert desk.dues() == [(opened + 150 * MINUTE, "ada")]
    quiet = {"zone": "Africa/Abidjan", "from": "00:00", "to": "23:59"}
    desk.keep(desk.edited(quietHours=quiet))
    midnight = (opened + 150 * MINUTE) // DAY * DAY
    assert desk.dues() == [(midnight + DAY - MINUTE, "ada")]
    desk.keep(desk.edited(quietHours=None, maximumWait=None))
    assert desk.dues() == [(slid.time + 2 * HOUR, "ada")]

    desk.keep(desk.edited(maximumWait="PT1M"))
    assert desk.dues() == [(desk.now + MINUTE, "ada")]


def test_what_an_edit_makes_due_in_the_quiet_hours_is_spread_from_their_end(desk: Desk) -> None:
    """By the old activity it was due before they began; nothing may be raised in them."""
    minute_of_day = desk.now % DAY // MINUTE
    names, hours = [], divmod(minute_of_day - 30, 60)
    begin = f"{hours[0]:02}:{hours[1]:02}"
    until = desk.now // HOUR * HOUR + 2 * HOUR
    end = f"{until % DAY // HOUR:02}:00"
    desk.run(since=desk.now - DAY, duration="P1D", quietHours={"zone": "Africa/Abidjan", "from": begin, "to": end})
    names = ["a", "b"]
    desk.apply([desk.signal(name, received=desk.now - HOUR + n) for n, name in enumerate(names)])

    desk.keep(desk.edited(duration="PT1M"))

    assert desk.dues() == evenly(until, names)


def test_a_minute_that_would_run_into_the_quiet_hours_begins_at_their_end(desk: Desk) -> None:
    desk.clock.set(desk.now // HOUR * HOUR - 30 * SECOND)
    begin = (desk.now + MINUTE) % DAY // HOUR
    quiet = {"zone": "Africa/Abidjan", "from": f"{begin:02}:00", "to": f"{begin:02}:20"}
    desk.run(since=desk.now - DAY, duration="P1D", quietHours=quiet)
    desk.apply([desk.signal(name, received=desk.now - HOUR + n) for n, name in enumerate("ab")])

    desk.keep(desk.edited(duration="PT1M"))

    assert desk.dues() == evenly(desk.now + 30 * SECOND + 20 * MINUTE, ["a", "b"])


def test_the_order_is_that_of_the_dues_that_stood_also_of_waits_that_slid_in_the_index_unseen(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT2H")
    first, second, third = waiting(desk, 3)
    desk.clock.advance(SECOND)
    desk.add(first)
    desk.clock.advance(10 * MINUTE)

    desk.keep(desk.edited(duration="PT1M"))

    assert desk.dues() == evenly(desk.now, [second, third, first])


def test_dues_that_were_given_stand_when_a_settling_is_finished_much_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half has its dues, and some of it is raised; the others go on behind the last of them."""
    monkeypatch.setattr(changes, "_CHUNK", 4)
    desk.run(since=desk.now - DAY, duration="PT2H")
    names = waiting(desk, 8)
    desk.clock.advance(10 * MINUTE)
    edited = desk.now
    desk.lives = 4
    with pytest.raises(Killed):
        desk.keep(desk.edited(duration="PT1M"))
    given = evenly(edited, names)[:4]
    assert [pair for pair in desk.dues() if pair in given] == given

    desk.restart()
    desk.clock.advance(20 * SECOND)
    assert desk.fire() == 2
    desk.settle()

    step = (edited + 80 * SECOND - given[3][0]) // 4
    rest = [(given[3][0] + step * (place + 1), name) for place, name in enumerate(names[4:])]
    assert desk.dues() == given[2:] + rest


def test_two_workers_spread_their_waits_over_the_same_minute_though_one_learns_of_the_edit_later(
    desk: Desk, database_url: str
) -> None:
    """Each has partitions of its own; what one has settled is not settled for the other."""
    other = Desk(database_url, partition=1)
    other.clock = desk.clock
    desk.run(since=desk.now - DAY, duration="PT2H")
    other.keep(desk.state, new_run=True)
    here, there = waiting(desk, 4), waiting(other, 6, prefix="v")
    desk.clock.advance(10 * MINUTE)
    edited, state = desk.now, desk.edited(duration="PT1M")

    desk.keep(state)
    assert desk.dues()[:4] == evenly(edited, here)
    desk.clock.advance(3 * SECOND)
    other.keep(state)

    assert desk.dues() == sorted(evenly(edited, here) + evenly(edited, there))
    desk.clock.advance(MINUTE)
    assert (desk.fire(), other.fire()) == (4, 6)
    other.close()


def test_a_settling_that_is_killed_at_any_chunk_is_finished_with_the_same_dues(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after every number of transactions, and twice in a row; some of the waits only move."""
    monkeypatch.setattr(changes, "_CHUNK", 3)
    desk.run(since=desk.now - DAY, duration="PT2H")
    for lives in range(20):
        old = waiting(desk, 10, prefix=f"old{lives}-")
        desk.clock.advance(5 * MINUTE)
        young = waiting(desk, 5, prefix=f"young{lives}-")
        last = desk.now
        edited, killed = desk.now, 0
        state = desk.edited(duration="PT4M")
        for _ in range(2):
            desk.lives = lives
            try:
                desk.keep(state)
            except Killed:
                killed += 1
            desk.restart()
            desk.clock.advance(SECOND)
        desk.settle()

        moved = [(last - (4 - place) * SECOND + 4 * MINUTE, name) for place, name in enumerate(young)]
        assert desk.dues() == evenly(edited, old) + moved
        desk.clock.advance(HOUR)
        assert desk.fire() == 15
        desk.keep(desk.edited(duration="PT2H"))
        if not killed:
            assert lives > 5
            return
    pytest.fail("it was killed every time")
