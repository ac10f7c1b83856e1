"""Each common setting suppresses or moves with a recorded reason, to its boundary, on both databases (DOMAIN §4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.signals import Item
from contracts.times import DAY, HOUR, MINUTE
from tests.support.desk import Desk

EUR_50 = {"minimumValue": {"amount": 50, "currency": "EUR"}}
CENTS = {"minimumValue": {"amount": 0.3, "currency": "EUR"}}
MUGS = {"categories": ["mugs", "lamps"]}


def item(
    price: float | None = 10, quantity: int = 1, currency: str | None = "EUR", category: str | None = None
) -> Item:
    """A line of a cart."""
    name = f"{price}-{currency}-{category}"
    return Item(product_id=name, price=price, quantity=quantity, currency=currency, category=category)


JUDGED: list[tuple[str, dict[str, Any], list[Item], str]] = [
    ("equal is enough", EUR_50, [item(50)], ""),
    ("a cent less is not", EUR_50, [item(49.99)], "minimum_value"),
    ("pieces count", EUR_50, [item(25, 2)], ""),
    ("lines count together", EUR_50, [item(30), item(20)], ""),
    ("an item without a price counts 0", EUR_50, [item(None, 9), item(49)], "minimum_value"),
    ("another currency is not counted", EUR_50, [item(1000, currency="USD"), item(49)], "minimum_value"),
    ("nor is none", EUR_50, [item(1000, currency=None)], "minimum_value"),
    ("decimal fractions are exact", CENTS, [item(0.1), item(0.2)], ""),
    ("and exactly less", CENTS, [item(0.1), item(0.19999)], "minimum_value"),
    ("nothing is worth at least nothing", {"minimumValue": {"amount": 0, "currency": "EUR"}}, [item(None)], ""),
    ("any item may match", MUGS, [item(category="plates"), item(category="lamps")], ""),
    ("one must", MUGS, [item(category="plates"), item()], "categories"),
    ("letters count as they are", MUGS, [item(category="Mugs")], "categories"),
    ("both must hold, the value is judged first", {**EUR_50, **MUGS}, [item(1)], "minimum_value"),
    ("and then the categories", {**EUR_50, **MUGS}, [item(60)], "categories"),
]


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    assert made.differences() == []
    made.close()


@pytest.mark.parametrize(
    ("settings", "items", "reason"), [case[1:] for case in JUDGED], ids=[case[0] for case in JUDGED]
)
def test_content_is_judged_at_the_raise(
    tmp_path: Path, settings: dict[str, Any], items: list[Item], reason: str
) -> None:
    desk = Desk(f"sqlite:///{tmp_path}/trigger.db")
    desk.run(since=desk.now - DAY, duration="PT1H", **settings)
    added = desk.add("ada", items=items)[0]

    desk.clock.advance(HOUR)
    assert desk.fire() == (reason == "")

    assert desk.outcomes() == [("ada", reason == "", reason, added.time + HOUR)]
    desk.close()


def test_what_is_suppressed_is_final_for_that_occurrence_and_later_activity_may_raise(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT1H", **EUR_50)
    desk.add("ada", items=[item(20)])
    desk.clock.advance(HOUR)
    desk.fire()
    desk.keep(desk.edited(minimumValue=None))
    assert desk.fire() == 0

    desk.clock.advance(MINUTE)
    desk.add("ada", items=[item(20)])
    desk.clock.advance(HOUR)
    assert desk.fire() == 1

    assert [reason for _, _, reason, _ in desk.outcomes()] == ["minimum_value", ""]


def test_filters_are_those_in_force_at_the_raise(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT1H")
    desk.add("ada", items=[item(20)])
    desk.clock.advance(30 * MINUTE)
    desk.keep(desk.edited(**EUR_50))

    desk.clock.advance(30 * MINUTE)
    desk.fire()

    assert [reason for _, _, reason, _ in desk.outcomes()] == ["minimum_value"]


def test_sites_are_judged_at_the_opening_by_the_settings_in_force_then(desk: Desk) -> None:
    """Other sites open no wait; a wait that is open goes on whatever the sites become."""
    desk.run(since=desk.now - DAY, duration="PT1H", sites=["*.example.com"])
    desk.add("ada", site="shop.example.com")
    desk.add("bob", site="shop.example.org")
    desk.add("carl", site="example.com")
    assert [profile for _, profile in desk.dues()] == ["ada"]

    desk.clock.advance(MINUTE)
    desk.keep(desk.edited(sites=["shop.example.org"]))
    desk.add("ada", site="shop.example.com")
    desk.add("bob", site="shop.example.org")
    desk.clock.advance(2 * HOUR)

    assert desk.fire() == 2
    assert [profile for profile, _, _, _ in desk.outcomes()] == ["ada", "bob"]


def test_a_maximum_wait_bounds_sliding_from_the_opening_also_when_it_is_shorter_than_the_duration(desk: Desk) -> None:
    desk.run(since=desk.now - DAY, duration="PT1H", maximumWait="PT90M")
    opened = desk.now
    for _ in range(4):
        desk.add("ada")
        desk.clock.advance(20 * MINUTE)
    desk.clock.set(opened + 90 * MINUTE)
    assert desk.fire() == 1
    desk.keep(desk.edited(maximumWait="PT10M"))
    again = desk.add("bob")[0]
    desk.clock.advance(10 * MINUTE)

    assert desk.fire() == 1
    assert [(profile, due) for profile, _, _, due in desk.outcomes()] == [
        ("ada", opened + 90 * MINUTE),
        ("bob", again.time + 10 * MINUTE),
    ]
