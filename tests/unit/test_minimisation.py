"""What a configuration does not want to have: signals without consent, and fields that it did not declare."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.signals import CATALOGUE, Reference
from contracts.times import from_rfc3339
from services.ingestion.admission import Admitted, Listener
from services.ingestion.minimisation import consents, tellable
from services.ingestion.reading import Accepted, Reception, read_signal
from services.ingestion.refusals import Refusal
from services.ingestion.segment.mapping import declared_table, to_signal

NOW = from_rfc3339("2026-11-23T10:16:00Z")


def reception(*, consent_required: bool = False, attributes: frozenset[str] | None = None) -> Reception:
    listener = Listener(
        *("c1", ("shop.example.com",), frozenset(("email",)), Reference("c1", "Shop"), Reference("a1", "Customers")),
        consent_required=consent_required,
        attributes=attributes,
    )
    return Reception(Admitted(listener, "sk_1", "server"), NOW)


def sent(data: Any = None, **envelope: Any) -> dict[str, Any]:
    lines = [{"productId": "p1"}]
    return {
        "id": "s1",
        "time": "2026-11-23T10:15:30Z",
        **envelope,
        "data": {"email": "ada@example.com", "items": lines, **(data or {})},
    }


def read(item: Any, by: Reception, kind: str | None = "cart/add") -> Any:
    return read_signal(item, None if kind is None else CATALOGUE[kind], by, clean=True)


def attributes(item: Any, *declared: str, kind: str = "cart/add") -> dict[str, Any]:
    outcome = read(item, reception(attributes=frozenset(declared)), kind)
    assert isinstance(outcome, Accepted), outcome
    return outcome.data.attributes


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (sent(consent=True), True),
        (sent({"consent": True}), True),
        (sent({"consent": True}, consent=None), True),
        (sent({"consent": "granted"}, consent=True), True),
        (sent({"consent": True}, consent=False), False),
        (sent({"consent": False}, consent=True), False),
        (sent({"consent": True}, consent="true"), False),
        (sent(consent="true"), False),
        (sent(consent="True"), False),
        (sent(consent=1.0), False),
        (sent(consent={"analytics": True}), False),
        (sent(), False),
        (sent(consent=False), False),
        (sent(consent=1), False),
        (sent(consent="yes"), False),
        (sent(consent=[True]), False),
        (sent(consent=None), False),
        (sent({"consent": "true"}), False),
        (sent({"consent": 1}), False),
        ([], False),
        (None, False),
        ({"data": [{"consent": True}]}, False),
    ],
)
def test_a_signal_consents_only_when_it_says_so(item: Any, expected: bool) -> None:
    assert consents(item) is expected

    outcome = read(item, reception(consent_required=True))
    assert (isinstance(outcome, Refusal) and outcome.code == "no_consent") is not expected
    unasked = read(item, reception())
    assert not (isinstance(unasked, Refusal) and unasked.code == "no_consent")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (sent(), "does not say that its customer consents"),
        (sent(consent=False), "says that its customer does not consent"),
        (sent(consent="true"), "must be the JSON value true, not a text"),
        (sent({"consent": 1}), "must be the JSON value true, not a text"),
    ],
)
def test_whoever_writes_consent_in_another_way_is_told_how(item: Any, words: str) -> None:
    assert words in read(item, reception(consent_required=True)).reason


@pytest.mark.parametrize("item", [sent({"email": "no"}), sent({"signal": "cart/eat"}), {"id": 7}, "x"])
@pytest.mark.parametrize("kind", ["cart/add", None])
def test_without_consent_nothing_else_is_said_of_a_signal(item: Any, kind: str | None) -> None:
    outcome = read(item, reception(consent_required=True), kind)

    assert (outcome.code, outcome.faults) == ("no_consent", ())


def test_only_declared_attributes_are_kept_and_those_of_lines_by_their_own_names() -> None:
    lines = [{"productId": "p1", "size": "L", "note": "x"}, {"productId": "p2"}, {"productId": "p3", "note": "y"}]
    item = sent(
        {
            "items": lines,
            "campaign": "autumn",
            "phone": "+491701234567",
            "attributes": {"city": "Ulm", "born": "1990"},
            "ip": "192.0.2.1",
            "consent": True,
        }
    )

    assert attributes(item) == {}
    assert attributes(item, "campaign", "born") == {"campaign": "autumn", "born": "1990"}
    assert attributes(item, "items.size") == {"items": [{"size": "L"}, {}, {}]}
    assert attributes(item, "size", "items.colour") == {}
    assert attributes(item, "items") == {"items": [{"size": "L", "note": "x"}, {}, {"note": "y"}]}
    view = sent({"productId": "p1", "items": "none"})
    assert attributes(view, kind="product/view") == {}
    assert attributes(view, "items", kind="product/view") == {"items": "none"}


def test_declared_fields_are_kept_whatever_is_declared_beside_them() -> None:
    outcome = read(sent({"cartId": "c", "orderId": "o"}), reception(attributes=frozenset()))

    assert (outcome.data.cart_id, outcome.data.order_id, outcome.data.items[0].product_id) == ("c", "o", "p1")


def test_of_a_refused_signal_no_more_is_told_than_would_have_been_kept() -> None:
    lines = [{"productId": "p1", "size": "L", "note": "x"}, "none"]
    item = sent({"items": lines, "campaign": "autumn", "phone": "1", "attributes": {"city": "Ulm", "born": "1990"}})

    def told(kind: str = "cart/add", **rules: Any) -> Any:
        return tellable(item, kind, **{"consent_required": False, "declared": None, **rules})

    assert told() is item
    assert told(consent_required=True) == {}
    for named, rest in (("cart/add", {"data": {"signal": "cart/add"}}), ("ada@example.com", {}), (7, {})):
        refused = tellable(sent({"signal": named}), "", consent_required=True, declared=None)
        assert refused == rest
    assert told(declared=frozenset(("born", "items.size"))) == {
        **item,
        "data": {
            "email": "ada@example.com",
            "items": [{"size": "L", "productId": "p1"}, {}],
            "attributes": {"born": "1990"},
        },
    }
    assert told("cart/eat", declared=frozenset(("campaign",)))["data"] == {
        "email": "ada@example.com",
        "attributes": {},
        "campaign": "autumn",
    }
    nobody = {"data": {"signal": "page/view", "idType": "anonymous", "anonymousId": "a-1", "email": "ada@example.com"}}
    kept = tellable(nobody, "", consent_required=False, declared=frozenset())
    assert kept == {"data": {"signal": "page/view", "idType": "anonymous", "anonymousId": "a-1"}}
    assert tellable("x", "", consent_required=False, declared=frozenset()) == "x"
    assert tellable({"data": 7}, "", consent_required=False, declared=frozenset()) == {"data": 7}


@pytest.mark.parametrize(
    ("context", "properties", "expected"),
    [
        ({"consent": True}, {}, True),
        ({}, {"consent": True}, True),
        ({"consent": {"categoryPreferences": {"Advertising": True, "Analytics": True}}}, {}, True),
        ({"consent": {"categoryPreferences": {"Advertising": False, "Analytics": True}}}, {}, False),
        ({"consent": {"categoryPreferences": {}}}, {}, False),
        ({"consent": {"categoryPreferences": {"Analytics": "true"}}}, {}, False),
        ({"consent": {"categoryPreferences": {"Analytics": False}}}, {"consent": True}, False),
        ({"consent": {"categoryPreferences": [True]}}, {"consent": True}, True),
        ({"consent": {"categoryPreferences": {"Analytics": True}}}, {"consent": "granted"}, True),
        ({"consent": False}, {"consent": True}, False),
        ({"consent": "yes"}, {}, False),
        ({"consent": "true"}, {}, False),
        ({"consent": [True]}, {}, False),
        ({}, {}, False),
    ],
)
def test_a_call_of_segment_consents_by_its_context_or_a_property(
    context: Any, properties: dict[str, Any], expected: bool
) -> None:
    call = {
        **{"type": "track", "event": "Product Added", "messageId": "m", "timestamp": "2026-11-23T10:15:30Z"},
        "context": {"traits": {"email": "ada@example.com"}, **context},
        "properties": {"product_id": "p1", **properties},
    }

    signal = to_signal(call, "track", frozenset(("email",)), None, declared_table())

    assert consents(signal) is expected
