"""Calls of Segment's API as signals, by the declared table."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.configurations import SegmentEvent
from contracts.signals import CATALOGUE
from services.ingestion.segment.mapping import CALLS, declared_table, extended, profile_of, to_signal
from services.ingestion.shapes import SHAPES

TABLE = declared_table()
BOTH = frozenset(("email", "external"))
MUG = {"product_id": "mug", "name": "Blue mug", "price": "12.50", "quantity": 2, "currency": "EUR", "colour": "blue"}


def track(event: str = "Product Added", properties: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": "m-1",
        "userId": "u-1",
        "event": event,
        "properties": MUG if properties is None else properties,
        "timestamp": "2026-11-23T10:15:30Z",
        "context": {"page": {"url": "https://shop.example.com:8443/mugs?x=1", "title": "Mugs"}},
        **more,
    }


def mapped(message: dict[str, Any], id_types: frozenset[str] = BOTH, sent_at: Any = "2026-11-23T10:15:31Z") -> Any:
    return to_signal(message, str(message["type"]), id_types, sent_at, TABLE)


def test_a_product_added_is_an_item_put_into_the_cart() -> None:
    assert mapped(track(properties={**MUG, "cart_id": "c-1"})) == {
        "id": "m-1",
        "time": "2026-11-23T10:15:30Z",
        "sentAt": "2026-11-23T10:15:31Z",
        "data": {
            "colour": "blue",
            "idType": "external",
            "customerId": "u-1",
            "signal": "cart/add",
            "cartId": "c-1",
            "site": "shop.example.com",
            "items": [{"productId": "mug", "name": "Blue mug", "price": 12.5, "quantity": 2, "currency": "EUR"}],
        },
    }


@pytest.mark.parametrize("price", ["NaN", "inf", "-Infinity", "1e400", "1_000", "١٢", "", "9" * 19])
def test_what_is_no_number_of_json_is_left_to_the_checks_of_signals(price: str) -> None:
    found = mapped(track(properties={**MUG, "price": price}))

    assert found["data"]["items"][0].get("price", "") == price


def test_an_order_completed_is_a_purchase_with_its_products() -> None:
    properties = {"order_id": "o-1", "currency": "EUR", "products": [{"sku": "a", "price": 5}, "no product"]}

    found = mapped(track("order completed ", properties))

    assert found["data"]["signal"] == "cart/purchase"
    assert found["data"]["orderId"] == "o-1"
    assert found["data"]["items"] == [{"productId": "a", "price": 5, "currency": "EUR"}]


def test_a_page_names_its_address_and_title() -> None:
    page = {"type": "page", "messageId": "m", "userId": "u", "name": "Home", "timestamp": "t", "properties": {}}

    found = mapped({**page, "context": {"page": {"url": "https://shop.example.com/"}}})

    assert found["data"] | {"url": "https://shop.example.com/", "title": "Home", "signal": "page/view"} == found["data"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (track("Video Played"), "unknown_event"),
        (track(event=None), "unknown_event"),  # type: ignore[arg-type]
        ({**track(), "type": "identify"}, "no_signal"),
        ({**track(), "type": "unheard of"}, "no_signal"),
        (track(userId=None), "no_profile"),
        (track(userId=""), "no_profile"),
        (track(userId=True), "no_profile"),
    ],
)
def test_what_is_no_signal_says_why(message: dict[str, Any], reason: str) -> None:
    assert mapped(message) == reason


@pytest.mark.parametrize(
    ("message", "id_types", "profile"),
    [
        ({"userId": "u-1", "traits": {"email": "a@b.c"}}, BOTH, {"idType": "external", "customerId": "u-1"}),
        ({"userId": 7}, BOTH, {"idType": "external", "customerId": 7}),
        ({"userId": "u", "traits": {"email": "a@b.c"}}, {"email"}, {"idType": "email", "email": "a@b.c"}),
        ({"userId": "a@b.c"}, {"email"}, {"idType": "email", "email": "a@b.c"}),
        ({"userId": "u", "context": {"traits": {"email": "a@b.c"}}}, {"email"}, {"idType": "email", "email": "a@b.c"}),
        ({"userId": "u", "traits": {"phone": "+49 30 1"}}, {"phone"}, {"idType": "phone", "phone": "+49 30 1"}),
        ({"userId": "u-1"}, {"email"}, None),
        ({"anonymousId": "x"}, BOTH, None),
    ],
)
def test_a_customer_is_named_as_the_audience_takes_it(message: Any, id_types: Any, profile: Any) -> None:
    assert profile_of(message, frozenset(id_types)) == profile


@pytest.mark.parametrize(
    "hostile", [None, [], "text", 7, {"products": {"a": 1}}, {"email": "evil@x.y", "signal": "a/b"}]
)
def test_strange_properties_break_nothing_and_name_nobody(hostile: Any) -> None:
    for event in TABLE.track:
        found = mapped(track(event, hostile or {}, context=hostile))

        assert isinstance(found, dict | str)
        if isinstance(found, dict):
            assert found["data"]["customerId"] == "u-1"
            assert found["data"]["signal"] in CATALOGUE


def test_the_clock_that_the_client_wrote_comes_first() -> None:
    found = mapped(track(originalTimestamp="first", sentAt="own"))

    assert (found["time"], found["sentAt"]) == ("first", "own")


def test_every_rule_fills_only_fields_that_its_kind_declares() -> None:
    for rule in (*TABLE.track.values(), *TABLE.calls.values()):
        assert not rule.items or rule.kind.items
        assert SHAPES[rule.kind.name]
    assert set(TABLE.calls) <= set(CALLS)


OWN = (
    SegmentEvent(event=" Basket Saved ", signal="cart/replace", items="basket.lines", fields={"cartId": "basket.ref"}),
    SegmentEvent(event="Product Added", signal="cart/add", items=".", fields={"items.productId": "code"}),
    SegmentEvent(event="Table Booked", signal="booking/complete", fields={"bookingId": "context.trip.id"}),
    SegmentEvent(event="Order Refunded"),
    SegmentEvent(event="From Tomorrow", signal="parcel/track"),
)


def test_a_configuration_has_events_of_its_own_before_the_declared_ones() -> None:
    own = extended(TABLE, OWN)
    basket = {"ref": "b-7", "lines": [{"sku": "mug", "quantity": "2"}]}

    def read(event: str, properties: dict[str, Any], **more: Any) -> Any:
        return to_signal(track(event, properties, **more), "track", BOTH, None, own)

    saved = read("BASKET saved", {"basket": basket, "cart_id": "other", "colour": "red"})
    added = read("Product Added", {"code": "c-1", "product_id": "p-1", "price": 3})
    plain = read("Product Added", {"product_id": "p-1"})
    booked = read("Table Booked", {"step": "paid"}, context={"trip": {"id": 9}})

    assert (saved["data"]["signal"], saved["data"]["cartId"]) == ("cart/replace", "b-7")
    assert saved["data"]["items"] == [{"productId": "mug", "quantity": 2}]
    assert (saved["data"]["basket"], saved["data"]["colour"]) == (basket, "red")
    assert added["data"]["items"] == [{"productId": "c-1", "price": 3}]
    assert plain["data"]["items"] == [{"productId": "p-1"}], "the declared places are looked at, too"
    assert (booked["data"]["signal"], booked["data"]["bookingId"]) == ("booking/complete", 9)
    assert read("Order Refunded", {"order_id": "1"}) == "unknown_event"
    assert read("From Tomorrow", {}) == "unknown_event", "a kind that a newer config knows is no fault"
    assert read("Product Viewed", {"product_id": "p"})["data"]["signal"] == "product/view"
    assert "basket saved" not in TABLE.track
