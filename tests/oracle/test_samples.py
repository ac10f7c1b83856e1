"""The oracle gives the figures that the customer states for the sample logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.oracle.oracle import simulate
from tests.oracle.rees46 import read
from tests.oracle.words import MINUTE, Moment, Settings

FOLDER = os.environ.get("MOMENTS_SAMPLE_DATA")

FIGURES = [
    ("cosmetics_2022_oct.csv", "cart_abandon", 10, 41, 36),
    ("cosmetics_2022_oct.csv", "cart_abandon", 5, 56, 38),
    ("cosmetics_2022_oct.csv", "cart_abandon", 30, 38, 36),
    ("cosmetics_2022_nov.csv", "cart_abandon", 10, 57, 50),
    ("cosmetics_2022_nov.csv", "cart_abandon", 5, 69, 51),
    ("cosmetics_2022_nov.csv", "cart_abandon", 30, 53, 48),
    ("multi_category_2019_10_01.csv", "cart_abandon", 10, 57, 55),
    ("cosmetics_2022_oct.csv", "browse_abandon", 10, 88, 75),
    ("cosmetics_2022_nov.csv", "browse_abandon", 10, 196, 139),
    pytest.param("multi_category_2019_10_01.csv", "browse_abandon", 10, 4857, 4311, marks=pytest.mark.soak),
]


@pytest.mark.skipif(not FOLDER, reason="MOMENTS_SAMPLE_DATA is not set")
@pytest.mark.parametrize(("name", "template", "minutes", "raises", "profiles"), FIGURES)
def test_a_sample_log_gives_the_stated_raises_and_profiles(
    name: str, template: str, minutes: int, raises: int, profiles: int
) -> None:
    arrivals = read(Path(FOLDER or "") / name)
    arrivals.sort(key=lambda arrival: arrival.came_at)

    outcome = simulate(arrivals, Moment(type=template, settings=Settings(duration=minutes * MINUTE)))

    found = (len(outcome.raises), len({each.profile for each in outcome.raises}))
    assert found == (raises, profiles)
    assert outcome.ledger.balances
    assert outcome.ledger.pending == 0
    assert outcome.ledger.contradicted == 0
