"""The engine decides as the slow, independent oracle does, on every history (DOMAIN §6)."""

from __future__ import annotations

import pytest
from hypothesis import given, note

from tests.oracle.budget import drawn
from tests.oracle.cases import CASES, Case
from tests.oracle.strategies import History, any_burst, any_history, watched
from tests.property.translation import Seen, replayed, seen_by_oracle


def check(found: Seen, expected: Seen, *, exact: bool = True) -> None:
    """`exact`: also how many waits were opened and ended for what reason.

    The engine knows a pending wait by the keys of its first and last signal, the oracle by every signal of it. Where
    late signals leave a wait no signal of its own inside that span, the engine lets it go on with the occurrence in
    its place; the oracle counts it as void and opens another. What is raised is the same, and so is the balance.
    """
    assert found.raises == expected.raises
    assert found.pending == expected.pending
    assert found.opened - sum(found.ended.values()) == expected.opened - sum(expected.ended.values())
    if exact:
        assert (found.opened, found.ended) == (expected.opened, expected.ended)
    suppressed = {name: n for name, n in found.counts.items() if name.startswith("suppressed:")}
    assert suppressed == expected.counts
    assert found.suppressed == expected.suppressed
    assert found.contradicted == expected.contradicted
    assert found.recovered == expected.recovered


def balances(found: Seen) -> bool:
    decided = sum(n for name, n in found.counts.items() if name == "raised" or name.startswith("suppressed:"))
    return found.opened == decided + sum(found.ended.values()) + found.pending


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_the_engine_satisfies_the_case(case: Case) -> None:
    arrivals = tuple(sorted(case.arrivals, key=lambda arrival: arrival.came_at))
    _, found = replayed(arrivals, case.moment, case.expiry, run_out=case.run_out)

    expected = History(arrivals=arrivals, moment=case.moment, expiry=case.expiry).simulated(case.run_out)
    check(found, seen_by_oracle(expected))


@drawn(200)
@given(history=any_history())
def test_engine_and_oracle_agree(history: History) -> None:
    expected = watched(history, history.simulated())

    note(repr(history))
    _, found = replayed(history.arrivals, history.moment, history.expiry)

    check(found, seen_by_oracle(expected), exact=False)
    assert balances(found)


@drawn(120)
@given(history=any_history(edits=True))
def test_engine_and_oracle_agree_on_edits(history: History) -> None:
    expected = watched(history, history.simulated())

    note(repr(history))
    _, found = replayed(history.arrivals, history.moment, history.expiry)

    check(found, seen_by_oracle(expected), exact=False)
    assert balances(found)


@drawn(40)
@given(pair=any_burst())
def test_the_order_of_arrival_changes_no_raise(pair: tuple[History, History]) -> None:
    first, second = (replayed(h.arrivals, h.moment, h.expiry)[1] for h in pair)

    assert first.raises == second.raises


@drawn(40)
@given(history=any_history())
def test_the_ledger_balances_at_every_instant(history: History) -> None:
    for length in range(len(history.arrivals) + 1):
        _, found = replayed(history.arrivals[:length], history.moment, history.expiry, run_out=False)

        assert balances(found)
