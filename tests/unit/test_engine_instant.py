"""Instant moments: the first signal sets the deadline, and each thing is told once (DOMAIN §4)."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.signals import Item, ProfileReference, Reference, Signal, SignalData, make_signal
from contracts.templates import templates, validate_settings
from contracts.times import HOUR, MINUTE, SECOND, to_datetime
from services.trigger.backtest import run_backtest
from services.trigger.replay import Outcome

START = 1_790_000_000 * SECOND
SITE = "shop.example.com"


def signal(kind: str, at: int, **fields: Any) -> Signal:
    """A signal received when it happened, `at` µs after the start."""
    data = SignalData(
        signal=kind,
        audience_configuration=Reference("backtest"),
        audience=Reference("audience"),
        profile=ProfileReference("email", "ada@example.com"),
        received_at=to_datetime(START + at),
        touchpoint="server",
        site=SITE,
        **fields,
    )
    return make_signal(id=f"{kind}@{at}", source="shop", time=START + at, data=data)


def outcomes(template: str, *signals: Signal, **settings: Any) -> list[Outcome]:
    """What a moment makes of signals."""
    declared = templates()[template]
    values, faults = validate_settings(declared, settings)
    assert faults == []
    return list(run_backtest(declared, values, signals))


def raised(found: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in found if outcome.decision.raised]


def reasons(found: list[Outcome]) -> list[str]:
    return [outcome.decision.reason for outcome in found]


MUG = Item(product_id="mug", quantity=2, price=12.5, currency="EUR", category="cups")
TEA = Item(product_id="tea", price=4.0, currency="EUR")


def test_a_purchase_is_raised_with_what_the_cart_held() -> None:
    found = outcomes(
        "post_purchase",
        signal("cart/add", 0, cart_id="c", items=(MUG,)),
        signal("cart/purchase", MINUTE, cart_id="c", order_id="o-1"),
    )

    (outcome,) = raised(found)
    assert outcome.process.process == "c"
    assert outcome.decision.due == START + MINUTE
    assert outcome.decision.content["orderId"] == "o-1"
    assert outcome.decision.content["total"] == 25.0
    assert [item["productId"] for item in outcome.decision.content["items"]] == ["mug"]


def test_the_items_that_the_purchase_names_are_what_was_bought() -> None:
    found = outcomes(
        "post_purchase",
        signal("cart/add", 0, cart_id="c", items=(MUG, TEA)),
        signal("cart/purchase", MINUTE, cart_id="c", items=(Item(product_id="mug"),)),
    )

    (outcome,) = raised(found)
    assert [(item["productId"], item["quantity"]) for item in outcome.decision.content["items"]] == [("mug", 1)]
    assert outcome.decision.content["total"] == 12.5


def test_an_order_is_raised_once_whatever_the_cart() -> None:
    found = outcomes(
        "post_purchase",
        signal("cart/purchase", 0, cart_id="c", order_id="o-1", items=(MUG,)),
        signal("cart/purchase", HOUR, cart_id="c", order_id="o-1", items=(MUG,)),
        signal("cart/purchase", 2 * HOUR, cart_id="d", order_id="o-1", items=(MUG,)),
        signal("cart/purchase", 3 * HOUR, cart_id="c", order_id="o-2", items=(TEA,)),
    )

    assert reasons(found) == ["", "repeat", "repeat", ""]


def test_without_an_order_a_cart_is_raised_once_until_it_is_opened_again() -> None:
    found = outcomes(
        "post_purchase",
        signal("cart/add", 0, cart_id="c", items=(MUG,)),
        signal("cart/purchase", MINUTE, cart_id="c"),
        signal("cart/purchase", HOUR, cart_id="c"),
        signal("cart/add", 2 * HOUR, cart_id="c", items=(TEA,)),
        signal("cart/purchase", 3 * HOUR, cart_id="c"),
    )

    assert reasons(found) == ["", "repeat", ""]
    assert [item["productId"] for item in found[-1].decision.content["items"]] == ["tea"]


def test_a_purchase_that_names_no_cart_is_not_that_of_a_cart_bought_before() -> None:
    found = outcomes(
        "post_purchase",
        signal("cart/add", 0, cart_id="old", items=(MUG,)),
        signal("cart/purchase", MINUTE, cart_id="old", order_id="o-1"),
        signal("cart/add", HOUR, cart_id="new", items=(TEA,)),
        signal("cart/purchase", 2 * HOUR, order_id="o-2"),
    )

    assert [(o.process.process, o.decision.content["orderId"]) for o in raised(found)] == [
        ("old", "o-1"),
        ("new", "o-2"),
    ]


def test_filters_judge_what_was_bought() -> None:
    bought = signal("cart/purchase", 0, cart_id="c", items=(MUG,))

    assert reasons(outcomes("post_purchase", bought, minimumValue={"amount": 26, "currency": "EUR"})) == [
        "minimum_value"
    ]
    assert reasons(outcomes("post_purchase", bought, minimumValue={"amount": 25, "currency": "EUR"})) == [""]
    assert reasons(outcomes("post_purchase", bought, categories=["plates"])) == ["categories"]
    assert reasons(outcomes("post_purchase", bought, categories=["cups"])) == [""]


def test_the_first_signal_sets_the_deadline_and_the_last_names_the_raise() -> None:
    found = outcomes(
        "booking_complete",
        signal("booking/complete", 0, booking_id="b", step="paid"),
        signal("booking/complete", 30 * MINUTE, booking_id="b", step="confirmed"),
        delay="PT1H",
    )

    (outcome,) = raised(found)
    assert outcome.decision.due == START + HOUR
    assert outcome.decision.last_activity_at == START + 30 * MINUTE
    assert outcome.decision.content["step"] == "confirmed"


@pytest.mark.parametrize(
    ("template", "kind", "field"),
    [
        ("booking_complete", "booking/complete", "booking_id"),
        ("survey_complete", "survey/complete", "survey_id"),
        ("game_start", "game/start", "game_id"),
    ],
)
def test_each_process_is_raised_once(template: str, kind: str, field: str) -> None:
    found = outcomes(
        template,
        signal(kind, 0, **{field: "x"}),
        signal(kind, HOUR, **{field: "x"}),
        signal(kind, 2 * HOUR, **{field: "y"}),
    )

    assert [(o.process.process, o.decision.reason) for o in found] == [("x", ""), ("x", "repeat"), ("y", "")]


def test_a_cancellation_during_the_delay_takes_the_welcome_back() -> None:
    signed_up = signal("newsletter/signup", 0, name="weekly")
    cancelled = signal("newsletter/cancel", 10 * MINUTE, name="weekly")

    assert outcomes("welcome", signed_up, cancelled, delay="PT1H") == []
    assert len(raised(outcomes("welcome", signed_up, cancelled, delay="PT1M"))) == 1
    elsewhere = signal("newsletter/cancel", 10 * MINUTE, name="daily")
    assert len(raised(outcomes("welcome", signed_up, elsewhere, delay="PT1H"))) == 1


def test_a_sign_up_during_the_delay_takes_the_goodbye_back() -> None:
    cancelled = signal("website/cancel", 0)

    assert outcomes("goodbye", cancelled, signal("website/signup", MINUTE), delay="PT1H") == []
    assert len(raised(outcomes("goodbye", cancelled, delay="PT1H"))) == 1


def test_only_the_chosen_kinds_are_welcomed() -> None:
    found = outcomes(
        "welcome",
        signal("website/signup", 0),
        signal("webinar/signup", 0, name="spring"),
        signal("event/signup", 0, name="fair"),
        kinds=["event", "webinar"],
    )

    assert sorted(o.process.process for o in raised(found)) == ["event:fair", "webinar:spring"]


def test_a_removal_during_the_delay_takes_the_welcome_to_the_app_back() -> None:
    installed = signal("app/install", 0, application_id="app")

    assert outcomes("welcome_app", installed, signal("app/uninstall", 1, application_id="app"), delay="PT1M") == []
    assert len(raised(outcomes("welcome_app", installed))) == 1
