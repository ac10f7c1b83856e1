"""Cool-down and `once` against what was raised before, whenever and wherever that was decided (DOMAIN §4)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, format_duration
from services.trigger import firing
from tests.support.desk import Desk


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    assert made.differences() == []
    made.close()


class Waiting(NamedTuple):
    """A wait as the slow oracle sees it: no signal slides it."""

    due: int
    profile: str
    cart: str


def expected(waits: list[Waiting], decisions: list[int], cool_down: int) -> list[tuple[str, int, str]]:
    """(profile, due, outcome) by the letter of DOMAIN §4, one instant of decision after the other."""
    raised: list[Waiting] = []
    outcomes = []
    left = set(waits)
    for now in decisions:
        for wait in sorted(each for each in left if each.due <= now):
            left.remove(wait)
            latest = max((other.due for other in raised if other.profile == wait.profile), default=None)
            cooling = latest is not None and wait.due - latest < cool_down
            if not cooling:
                raised.append(wait)
            outcomes.append((wait.profile, wait.due, "cool_down" if cooling else ""))
    return sorted(outcomes)


def decided(desk: Desk) -> list[tuple[str, int, str]]:
    """(profile, due, outcome) as recorded."""
    return sorted((profile, due, reason) for profile, _, reason, due in desk.outcomes())


@pytest.mark.parametrize("seed", range(6))
def test_cool_down_equals_a_slow_oracle_whatever_is_decided_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Transactions hold three waits; the worker is now quick, now away for hours, now started anew."""
    monkeypatch.setattr(firing, "CHUNK", 3)
    chance = random.Random(seed)
    cool_down = chance.choice((MINUTE, 10 * MINUTE, HOUR))
    desk.run(since=desk.now - DAY, duration="PT1H", coolDown=format_duration(cool_down))
    waits, decisions = [], []
    for _ in range(chance.choice((2, 6))):
        for _event in range(10):
            profile, cart = f"p{chance.randrange(4)}", f"{chance.randrange(10**6):06}"
            at = desk.now - chance.choice((0, 0, 0, MINUTE, 10 * MINUTE, 30 * MINUTE))
            desk.apply([desk.signal(profile, at=at, cart=cart)])
            waits.append(Waiting(at + HOUR, profile, cart))
            desk.clock.advance(chance.choice((0, 0, SECOND, MINUTE)))
        desk.clock.advance(chance.choice((MINUTE, 40 * MINUTE, 3 * HOUR)))
        if chance.random() < 0.3:
            desk.restart()
        decisions.append(desk.now)
        desk.fire()
    desk.clock.advance(2 * HOUR)
    desk.fire()

    assert decided(desk) == expected(waits, [*decisions, desk.now], cool_down)


def test_the_boundaries_of_the_cool_down(desk: Desk) -> None:
    """Equal passes; a microsecond less does not; nor does a due before that of the last raise, however long before."""
    desk.run(since=desk.now - 9 * DAY, duration="PT1H", coolDown="PT10M")
    start = desk.now
    late = desk.signal("ada", at=start - 5 * HOUR, cart="late")
    for cart, at in (("1", start), ("2", start + 10 * MINUTE - 1), ("3", start + 10 * MINUTE)):
        desk.apply([desk.signal("ada", at=at, received=at, cart=cart)])
    desk.clock.set(start + 2 * HOUR)
    assert desk.fire() == 2

    desk.apply([late])
    desk.clock.advance(HOUR)
    desk.fire()

    assert decided(desk) == [
        ("ada", start - 4 * HOUR, "cool_down"),
        ("ada", start + HOUR, ""),
        ("ada", start + HOUR + 10 * MINUTE - 1, "cool_down"),
        ("ada", start + HOUR + 10 * MINUTE, ""),
    ]


def test_of_a_cool_down_the_wait_that_slid_past_the_others_comes_last(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index has it first and a chunk holds no more; its due is later, so the other one is raised."""
    monkeypatch.setattr(firing, "CHUNK", 1)
    desk.run(since=desk.now - DAY, duration="PT1H", coolDown="P1D")
    desk.add("ada", cart="slid")
    desk.clock.advance(MINUTE)
    first = desk.add("ada", cart="first")[0]
    desk.clock.advance(MINUTE)
    last = desk.add("ada", cart="slid")[0]

    desk.clock.advance(5 * HOUR)
    desk.fire()

    assert decided(desk) == [("ada", first.time + HOUR, ""), ("ada", last.time + HOUR, "cool_down")]


def test_once_holds_for_a_process_over_restarts_and_not_for_others(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT1H", repeat="once")
    for cart in ("k", "k", "other", "k"):
        desk.add("ada", cart=cart)
        desk.clock.advance(2 * HOUR)
        desk.fire()
        desk.restart()
    stopped = desk.changed(status="stopped", stopped_at=desk.now)
    desk.keep(stopped)
    desk.keep(desk.changed(status="running", running_since=desk.now), new_run=True)
    desk.add("ada", cart="k")
    desk.clock.advance(2 * HOUR)
    desk.fire()

    assert [reason for _, _, reason, _ in desk.outcomes()] == ["", "repeat", "", "repeat", "repeat"]
