"""What was done between two signals stands in the order in which it was done, whatever the clock showed."""

from __future__ import annotations

from typing import Any

from contracts.moments import MomentState, SettingsVersion
from contracts.templates import templates
from services.trigger.engine.moment import compile_moment
from services.trigger.engine.turns import InForce, Recorded, in_order


def state(version: int, at: int, *, settings: int = 1, running: bool = True, after: int = 7) -> InForce:
    """A state of the moment with so many versions of its settings."""
    history = tuple(
        SettingsVersion(version=number, since=number, settings={"duration": "PT1H"})
        for number in range(1, settings + 1)
    )
    known = MomentState(
        id="m1",
        version=version,
        type="cart_abandon",
        configuration_id="c1",
        status="running" if running else "stopped",
        running_since=1,
        history=history,
    )
    moment = compile_moment(known, templates()["cart_abandon"])
    return InForce(after=after, at=at, moment=moment, version=version)


def decision(at: int, *, version: int | None = 1, after: int = 7, **given: Any) -> Recorded:
    values: dict[str, Any] = {"process": "k", "raise_id": str(at), "raised": True, "reason": "", "due": 0, **given}
    return Recorded(after=after, at=at, version=version, **values)


def stopped(at: int) -> Recorded:
    return decision(at, raised=False, reason="stopped")


def test_places_in_the_log_come_first() -> None:
    late, early = decision(1, after=9), state(5, 100, after=8)

    assert list(in_order([late, early])) == [early, late]


def test_states_take_effect_by_version_also_when_the_clock_stepped_back() -> None:
    edit, stop = state(2, 100, settings=2), state(3, 70, settings=2, running=False)

    assert list(in_order([stop, edit])) == [edit, stop]


def test_a_decision_stands_after_the_settings_that_it_names() -> None:
    first, edit = state(1, 10), state(2, 70, settings=2)
    before, after = decision(100), decision(60, version=2)

    assert list(in_order([after, before, edit, first])) == [first, before, edit, after]


def test_among_runs_with_the_same_settings_the_clock_decides() -> None:
    first, again = state(1, 10, after=3), state(2, 70)
    before, after = decision(60), decision(80)

    assert list(in_order([after, before, again, first])) == [first, before, again, after]


def test_nothing_is_decided_after_a_stop_but_by_a_new_run() -> None:
    run, stop, again = state(1, 10), state(2, 50, running=False), state(3, 80)
    before, after = decision(60), decision(90)

    assert list(in_order([run, stop, before])) == [run, before, stop]
    assert list(in_order([run, stop, again, after])) == [run, stop, again, after]
    assert list(in_order([run, stop, again, before])) == [run, before, stop, again]


def test_a_stop_records_its_waits_before_it_is_in_force() -> None:
    run, stop, again = state(1, 10), state(2, 50, running=False), state(3, 80)

    assert list(in_order([run, stop, again, stopped(50)])) == [run, stopped(50), stop, again]
    assert list(in_order([run, stop, again, stopped(80)])) == [run, stop, stopped(80), again]
    assert list(in_order([run, stop, stopped(40)])) == [run, stopped(40), stop]
    assert list(in_order([run, stopped(90)])) == [run, stopped(90)]


def test_what_names_no_settings_is_ordered_by_the_clock() -> None:
    first, edit = state(1, 10), state(2, 70, settings=2)

    assert list(in_order([edit, decision(40, version=None), first])) == [first, decision(40, version=None), edit]
    assert list(in_order([edit, decision(90, version=None), first])) == [first, edit, decision(90, version=None)]
