"""The oracle satisfies every case that was worked out by hand, and its own laws."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.oracle.cases import CASES, START, Case, Expected
from tests.oracle.oracle import simulate
from tests.oracle.words import SECOND, Raise


def seconds(instant: int) -> float:
    return (instant - START) / SECOND


def seen(found: Raise, keep_last: bool) -> Expected:
    return Expected(
        process=found.process.id,
        opened=seconds(found.opened_at),
        activity=seconds(found.last_activity_at),
        due=seconds(found.due_at),
        decided=seconds(found.decided_at),
        content=found.content,
        views=found.views,
        last=found.last_signal[1] if keep_last else None,
        order=found.order_id,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_the_oracle_satisfies_the_case(case: Case) -> None:
    outcome = simulate(
        sorted(case.arrivals, key=lambda arrival: arrival.came_at), case.moment, case.expiry, case.run_out
    )

    keeps = [expected.last is not None for expected in case.raises] + [False] * len(outcome.raises)
    assert [seen(found, keep) for found, keep in zip(outcome.raises, keeps, strict=False)] == list(case.raises)
    ledger = outcome.ledger
    assert (ledger.opened, ledger.ended, ledger.suppressed, ledger.pending, ledger.contradicted) == (
        case.opened,
        case.ended,
        case.suppressed,
        case.pending,
        case.contradicted,
    )
    assert ledger.balances
    recoveries = [(seconds(each.due_at), each.signal[1], seconds(each.at)) for each in outcome.recovered]
    assert recoveries == list(case.recovered)


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_rule_has_a_case() -> None:
    rules = {"2.2", "4", "5", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "6.8", "6.9", "6.10", "6.11"}

    assert rules <= {case.rule for case in CASES}


def test_arrivals_out_of_order_are_refused() -> None:
    case = next(case for case in CASES if len({arrival.received_at for arrival in case.arrivals}) > 1)

    with pytest.raises(ValueError, match="sorted"):
        simulate(sorted(case.arrivals, key=lambda arrival: -arrival.received_at), case.moment)
