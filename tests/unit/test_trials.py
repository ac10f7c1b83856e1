"""A back-test as trigger tells of it, ready to be drawn."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.config.ui.trials import Trial, trial_of

COLUMN: dict[str, Any] = {
    "settings": {},
    "opened": 9,
    "pending": 1,
    "raised": 5,
    "ended": {"cart/clear": 1, "emptied": 0},
    "suppressed": {"minimum_value": 2, "stopped": 0},
    "recovered": 1,
    "recoveredShare": 0.2,
    "profiles": {"decided": 7, "raised": 4},
    "days": [{"day": "2026-11-20", "raised": 5, "suppressed": 2, "recovered": 1}],
}


def job(state: str, **fields: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": "j",
        "state": state,
        "reason": None,
        "endedAt": None,
        "progress": {"total": 100, "read": 100, "replayed": 50},
        "request": {"momentId": "m", "from": "2026-11-19T10:00:00Z", "to": "2026-11-21T00:00:00Z"},
        "result": None,
        **fields,
    }


def test_progress_counts_reading_and_replaying() -> None:
    found = trial_of(job("running"))

    assert (found.share, found.goes_on, found.wanted) == (0.75, True, None)


@pytest.mark.parametrize(
    ("state", "id", "goes_on"),
    [
        ("queued", "j", True),
        ("running", "j", True),
        ("away", "j", True),
        ("away", "", False),
        ("done", "j", False),
        ("failed", "j", False),
        ("cancelled", "j", False),
        ("gone", "j", False),
    ],
)
def test_it_is_asked_for_again_only_while_more_is_to_come(state: str, id: str, goes_on: bool) -> None:
    assert Trial(state=state, id=id).goes_on is goes_on


def test_a_failure_keeps_its_reason() -> None:
    assert trial_of(job("failed", reason="The disk is full.")).reason == "The disk is full."


def test_a_result_has_every_day_its_reasons_and_what_differs() -> None:
    other = {**COLUMN, "days": [{"day": "2026-11-19", "raised": 8, "suppressed": 0, "recovered": 0}]}
    result = {
        "signals": 40,
        "base": COLUMN,
        "compared": other,
        "comparison": {"onlyInBase": 3, "onlyInCompared": 6},
    }

    found = trial_of(job("done", result=result))

    assert found.days == (date(2026, 11, 19), date(2026, 11, 20))
    assert found.wanted is not None
    assert found.wanted.reasons == (("suppressed", "minimum_value", 2), ("ended", "cart/clear", 1))
    assert (found.wanted.profiles, found.wanted.days) == (4, {date(2026, 11, 20): 5})
    assert (found.most, found.only_wanted, found.only_running, found.signals) == (8, 3, 6, 40)


def test_a_result_without_comparison_has_one_column() -> None:
    found = trial_of(job("done", result={"signals": 0, "base": COLUMN, "compared": None, "comparison": None}))

    assert (found.running, found.only_wanted, found.most) == (None, 0, 5)
