"""Laws that the oracle itself obeys over generated histories."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import inf

from hypothesis import given

from tests.oracle.budget import drawn
from tests.oracle.catalogue import cart_roles, processes_of
from tests.oracle.oracle import simulate
from tests.oracle.strategies import History, any_burst, any_history, histories, watched
from tests.oracle.words import Arrival, Outcome, Raise

Seen = tuple[object, ...]


def seen(each: Raise) -> Seen:
    content = tuple(sorted(each.content.items()))
    return (each.process, each.opened_at, each.last_activity_at, each.due_at, each.last_signal, content, each.views)


def decisions(outcome: Outcome) -> Counter[Seen]:
    """Raises and suppressions as they were decided, whatever their order."""
    decided = [(*seen(each), each.decided_at) for each in outcome.raises]
    decided += [
        (each.process, each.opened_at, each.due_at, each.decided_at, each.reason) for each in outcome.suppressed
    ]
    return Counter(decided)


def first_copies(history: History) -> tuple[Arrival, ...]:
    firsts: dict[object, Arrival] = {}
    for arrival in history.arrivals:
        firsts.setdefault((arrival.profile, arrival.key), arrival)
    return tuple(firsts.values())


@drawn(40)
@given(history=any_history(edits=True))
def test_the_ledger_balances_at_every_instant_and_at_the_end_nothing_is_pending(history: History) -> None:
    for count in range(len(history.arrivals) + 1):
        part = replace(history, arrivals=history.arrivals[:count])
        assert part.simulated(run_out=False).ledger.balances
    outcome = watched(history, history.simulated())

    assert outcome.ledger.balances
    assert outcome.ledger.pending == 0


@drawn(40)
@given(history=any_history())
def test_what_is_decided_never_changes_with_later_arrivals(history: History) -> None:
    outcome = history.simulated()

    for count in range(1, len(history.arrivals)):
        if history.arrivals[count - 1].came_at < history.arrivals[count].came_at:
            early = replace(history, arrivals=history.arrivals[:count]).simulated(run_out=False)
            assert early.raises == outcome.raises[: len(early.raises)]
            assert early.suppressed == outcome.suppressed[: len(early.suppressed)]
            assert early.ended == outcome.ended[: len(early.ended)]


@drawn(40)
@given(history=any_history())
def test_copies_after_the_first_change_nothing(history: History) -> None:
    outcome = watched(history, history.simulated())

    assert outcome == simulate(first_copies(history), history.moment, history.expiry)


@drawn(40)
@given(pair=any_burst())
def test_any_order_of_signals_received_at_one_instant_gives_the_same_decisions(pair: tuple[History, History]) -> None:
    first, second = pair

    assert decisions(watched(first, first.simulated())) == decisions(second.simulated())


@drawn(40)
@given(history=any_history(edits=True))
def test_no_raise_is_made_twice_nor_before_its_due(history: History) -> None:
    outcome = history.simulated()

    identities = [(each.process, each.last_signal) for each in outcome.raises]

    assert len(identities) == len(set(identities))
    assert all(each.decided_at >= max(each.due_at, each.last_activity_at) for each in outcome.raises)
    assert all(each.last_activity_at >= each.opened_at for each in outcome.raises)
    for each in outcome.raises:  # only an edit brings a due before the activity that was known
        assert each.due_at >= each.last_activity_at or history.moment.versions


@drawn(60)
@given(history=any_history(edits=True))
def test_nothing_is_raised_that_was_due_before_its_customer_was_known(history: History) -> None:
    outcome = watched(history, history.simulated())

    stitched = {(arrival.profile, arrival.key): arrival.stitched_at for arrival in first_copies(history)}
    for each in outcome.raises:
        assert (stitched[each.profile, each.last_signal] or 0) < each.due_at


@drawn(40)
@given(history=any_history())
def test_raises_of_one_process_do_not_overlap(history: History) -> None:
    raises = sorted(history.simulated().raises, key=lambda each: (each.process, each.opened_at))

    for first, second in pairwise(raises):
        assert first.process != second.process or first.last_activity_at < second.opened_at


@drawn(40)
@given(history=any_history())
def test_profiles_do_not_touch_each_other(history: History) -> None:
    together = decisions(history.simulated())

    apart: Counter[Seen] = Counter()
    for profile in {arrival.profile for arrival in history.arrivals}:
        own = tuple(arrival for arrival in history.arrivals if arrival.profile == profile)
        apart += decisions(replace(history, arrivals=own).simulated())

    assert together == apart


@drawn(40)
@given(history=histories("cart_abandon", in_time=True, copies=False, plain=True))
def test_signals_in_time_give_a_raise_for_every_gap_longer_than_the_duration(history: History) -> None:
    duration = history.moment.settings.duration
    expected = []
    for profile in {arrival.profile for arrival in history.arrivals}:
        own = [arrival for arrival in history.arrivals if arrival.profile == profile]
        for process_id, signals in processes_of("cart", own).items():
            acts = [
                (signal.time, role)
                for signal, role in zip(signals, cart_roles(signals, history.expiry), strict=True)
                if role != "content"
            ]
            for (time, role), (following, _) in pairwise([*acts, (inf, "")]):
                if role == "activity" and following > time + duration:
                    expected.append((profile, process_id, time, time + duration))

    outcome = watched(history, history.simulated())

    found = [(each.profile, each.process.id, each.last_activity_at, each.decided_at) for each in outcome.raises]
    assert sorted(found) == sorted(expected)
