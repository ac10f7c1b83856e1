"""Laws of the templates and settings of §4 that the oracle itself obeys over generated histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.oracle.budget import drawn
from tests.oracle.catalogue import TEMPLATES, processes_of, roles
from tests.oracle.oracle import ATTRIBUTION
from tests.oracle.strategies import EVERY, History, any_history, histories, watched
from tests.oracle.words import Arrival, Moment, Outcome, Process, Raise, Settings

INSTANT = tuple(name for name in EVERY if TEMPLATES[name].instant)


def set_to(history: History, **values: object) -> History:
    """The history with other settings, at every time."""
    moment = history.moment
    versions = tuple((since, replace(settings, **values)) for since, settings in moment.versions)  # type: ignore[arg-type]
    changed: Moment = replace(moment, settings=replace(moment.settings, **values), versions=versions)  # type: ignore[arg-type]
    return replace(history, moment=changed)


def by_process(raises: list[Raise]) -> Counter[Process]:
    return Counter(each.process for each in raises)


def signals_of(history: History, process: Process) -> list[Arrival]:
    """The signals that the process has in the end, in order."""
    firsts: dict[object, Arrival] = {}
    for arrival in history.arrivals:
        if arrival.profile == process.profile:
            firsts.setdefault(arrival.key, arrival)
    return processes_of(process.kind, list(firsts.values()))[process.id]


def decided(outcome: Outcome) -> Counter[object]:
    """Every decision without what was decided."""
    return Counter(
        (each.process, each.opened_at, each.last_activity_at, each.due_at, each.decided_at, each.last_signal)
        for each in [*outcome.raises, *outcome.suppressed]
    )


@drawn(40)
@given(history=any_history(edits=True))
def test_once_is_once(history: History) -> None:
    once = set_to(history, once=True)

    outcome = watched(once, once.simulated())

    assert all(count == 1 for count in by_process(outcome.raises).values())


@drawn(40)
@given(
    history=st.sampled_from(("booking_complete", "survey_complete", "game_start")).flatmap(
        lambda template: histories(template, edits=True, rich=True)
    )
)
def test_a_process_is_completed_or_started_once(history: History) -> None:
    outcome = watched(history, history.simulated())

    assert all(count == 1 for count in by_process(outcome.raises).values())


@drawn(40)
@given(history=histories("post_purchase", edits=True, rich=True))
def test_an_order_is_thanked_for_once(history: History) -> None:
    outcome = watched(history, history.simulated())

    orders = Counter((each.profile, each.order_id) for each in outcome.raises if each.order_id is not None)
    assert all(count == 1 for count in orders.values())


@drawn(40)
@given(history=any_history(), steps=st.integers(1, 6))
def test_each_raise_keeps_the_cool_down_from_all_raises_before(history: History, steps: int) -> None:
    cool = set_to(history, cool_down=steps * 30_000_000)

    outcome = watched(cool, cool.simulated())

    latest: dict[object, int] = {}
    for each in outcome.raises:
        assert each.due_at - latest.get(each.profile, -(10**18)) >= steps * 30_000_000
        latest[each.profile] = each.due_at


@drawn(40)
@given(history=any_history())
def test_nothing_is_due_in_quiet_hours(history: History) -> None:
    quiet = history.moment.settings.quiet
    assume(quiet is not None)
    assert quiet is not None

    outcome = watched(history, history.simulated())

    assert not any(quiet.hold(each.due_at) for each in [*outcome.raises, *outcome.suppressed])


@drawn(40)
@given(history=any_history())
def test_quiet_hours_only_put_off(history: History) -> None:
    settings = history.moment.settings
    instant = TEMPLATES[history.moment.type].instant

    outcome = history.simulated()

    for each in outcome.raises:
        without = (each.opened_at if instant else each.last_activity_at) + settings.duration
        if settings.maximum_wait is not None:
            without = min(without, each.opened_at + settings.maximum_wait)
        assert each.due_at >= without
        assert each.due_at == without or (settings.quiet is not None and settings.quiet.hold(without))


@drawn(40)
@given(history=any_history())
def test_nothing_is_raised_after_an_ender_that_was_known_before(history: History) -> None:
    outcome = watched(history, history.simulated())

    for each in outcome.raises:
        signals = signals_of(history, each.process)
        last = next(signal for signal in signals if signal.key == each.last_signal)
        played = zip(signals, roles(history.moment.type, signals, history.expiry), strict=True)
        named = TEMPLATES[history.moment.type].enders
        enders = [signal for signal, role in played if role == "ender" and signal.kind in named]
        assert not any(ender.order > last.order and ender.received_at <= each.decided_at for ender in enders)


@drawn(40)
@given(history=any_history())
def test_filters_change_neither_occurrences_nor_dues(history: History) -> None:
    open_to_all = set_to(
        history, minimum_value=None, categories=None, once=False, cool_down=None, minimum_views=1
    ).simulated()

    outcome = watched(history, history.simulated())

    assert decided(outcome) == decided(open_to_all)
    assert outcome.ended == open_to_all.ended


@drawn(40)
@given(history=any_history(edits=True))
def test_a_raise_is_recovered_once_and_in_its_window(history: History) -> None:
    outcome = watched(history, history.simulated())

    raised = {(each.process, each.due_at) for each in outcome.raises}
    found = Counter((each.process, each.due_at) for each in outcome.recovered)
    assert set(found) <= raised
    assert all(count == 1 for count in found.values())
    for each in outcome.recovered:
        signal = next(s for s in signals_of(history, each.process) if s.key == each.signal)
        assert signal.kind in TEMPLATES[history.moment.type].completes
        assert each.due_at < signal.time <= each.due_at + ATTRIBUTION
        assert (each.process, each.signal) not in outcome.contradictions


@drawn(40)
@given(history=any_history(edits=True))
def test_a_completing_signal_after_a_raise_that_nothing_contradicts_recovers_it(history: History) -> None:
    outcome = history.simulated()

    for signal, process in completing(history, outcome):
        before = [
            each
            for each in outcome.raises
            if each.process == process and each.due_at < signal.time <= each.due_at + ATTRIBUTION
        ]
        if before and all(each.decided_at < signal.received_at for each in outcome.raises if each.process == process):
            latest = max(each.due_at for each in before)
            assert (process, latest) in {(each.process, each.due_at) for each in outcome.recovered}


def completing(history: History, outcome: Outcome) -> Iterator[tuple[Arrival, Process]]:
    """The completing signals of processes that raised, but for those that contradict a raise."""
    for process in {each.process for each in outcome.raises}:
        for signal in signals_of(history, process):
            named = signal.kind in TEMPLATES[history.moment.type].completes
            if named and (process, signal.key) not in outcome.contradictions:
                yield signal, process


@drawn(40)
@given(history=st.sampled_from(INSTANT).flatmap(lambda template: histories(template, rich=True)))
def test_the_due_of_an_instant_moment_hangs_on_its_first_signal_alone(history: History) -> None:
    outcome = watched(history, history.simulated())

    settings: Settings = history.moment.settings
    for each in outcome.raises:
        if settings.quiet is None:
            assert each.due_at == each.opened_at + settings.duration
        assert each.opened_at <= each.last_activity_at <= each.due_at
