"""The structs of the hot path and the marshmallow schemas accept and refuse the same signals (ARCHITECTURE §3.8)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts.signals import CATALOGUE, KINDS, Reference, decode_signal
from services.ingestion.admission import Admitted, Listener
from services.ingestion.bodies import Body, parse
from services.ingestion.fields import FIELDS
from services.ingestion.publication import body_of
from services.ingestion.reading import Accepted, Reception, find_faults, read_signal
from services.ingestion.refusals import Refusal
from services.ingestion.shapes import SHAPES

NOW = 1_795_428_930_000_000
ID_TYPES = frozenset({"email", "external", "phone", "deviceId", "appId"})
LISTENER = Listener("c1", (), ID_TYPES, Reference("c1", "Shop"), Reference("a1", "Customers"))
RECEPTION = Reception(Admitted(LISTENER, "sk_1", "server"), NOW)

IDENTIFIERS: list[Any] = [
    1.5,
    -(2.0**53),
    1e300,
    "x",
    "x" * 255,
    7,
    -7,
    2**53,
    "",
    "x" * 256,
    2**53 + 1,
    1.0,
    True,
    None,
    [],
    {},
    "a\0",
    "\ud800",
]
TEXTS: list[Any] = ["", "A thing", "ü" * 1024, "x" * 1025, 5, None, True, ["x"]]
NUMBERS: list[Any] = [0, 1, 2, 1.0, 1.5, -0.0, 10**9, 10**9 + 1, 1e12, 1e13, -1, 10**400, 1e400, "1", None, True, []]
TIMES: list[Any] = [
    "2026-11-23T10:15:30.123Z",
    "2026-11-23T10:15:30+02:00",
    "2026-11-23 10:15:30Z",
    "2026-11-23T10:15:30",
    "2026-11-23",
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-23T10:15:60Z",
    "2026-13-01T00:00:00Z",
    "",
    5,
    None,
    True,
]
VALUES: dict[str, list[Any]] = {
    **{name: IDENTIFIERS for name in FIELDS if name.endswith("Id")},
    **dict.fromkeys(("name", "category", "title", "version", "platform", "url", "imageUrl"), TEXTS),
    "price": NUMBERS,
    "quantity": NUMBERS,
    "step": [*TEXTS, *NUMBERS, -(2**53), 2**53 + 1],
    "level": [*TEXTS, *NUMBERS],
    "currency": ["EUR", "eur", "EURO", "EU", "E1R", "EUR\n", "", 5, None],
    "id": IDENTIFIERS,
    "source": IDENTIFIERS,
    "time": TIMES,
    "sentAt": TIMES,
    "specversion": ["1.0", "0.3", "1x0", "1.0\n", "", 1.0, None],
    "type": ["event.signal", "x" * 256, 5, None],
    "dataschema": ["evt:signal/v1", 5, None],
    "traceparent": ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "nonsense", 5, None],
    "traceId": ["a" * 32, "nonsense", 5, None],
    "site": ["shop.example.com", "Shop.Example.COM:443", "bücher.example", "", "a b", "x" * 256, 5, None],
    "idType": ["email", "external", "phone", "deviceId", "appId", "Email", "", 5, None, ["email"]],
    "email": ["ada@example.com", " ADA@Example.com ", "ada", "a@b", "", 5, None, "a\0@example.com"],
    "customerId": IDENTIFIERS,
    "phone": ["+49 30 123456", "030 123456", "", 5, None, "+" + "9" * 300],
    "deviceId": IDENTIFIERS,
    "appId": IDENTIFIERS,
    "signal": ["cart/add", "cart/remove", "", 5, None],
    "brand": ["acme", 2**53 + 1, {"a": {"b": [1]}}, "x" * 9000, 1e400, None],
    "attributes": [{"a": 1}, {"a": 2**54}, 5, None, []],
}
PLACES = {
    "envelope": ["id", "source", "time", "sentAt", "specversion", "type", "dataschema", "traceparent", "traceId"],
    "item": ["productId", "quantity", "price", "currency", "name", "category", "url", "imageUrl", "brand", "a.b"],
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def valid_signal(name: str) -> dict[str, Any]:
    """A signal of the kind that has all declared fields."""
    kind = CATALOGUE[name]
    shape = SHAPES[name]
    data: dict[str, Any] = {"site": "shop.example.com", "email": "ada@example.com", "brand": "acme"}
    for field in shape.declared["email"] & FIELDS.keys():
        data[field] = VALUES[field][1] if field.endswith("Id") or field == "price" else "EUR"
    if kind.items:
        data["items"] = [{"productId": "p1", "quantity": 2, "price": 9.99, "currency": "EUR"}, {"productId": 7}]
    return {"id": "s1", "time": "2026-11-23T10:15:30.123Z", "specversion": "1.0", "data": data}


@st.composite
def mutated_signals(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid signal of some kind after up to four changes, each small or arbitrary."""
    kind = draw(st.sampled_from(KINDS))
    item = copy.deepcopy(valid_signal(kind.name))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from(["envelope", "data", "data", "item", "lines"]))
        data = item.get("data")
        target: Any = item
        names = PLACES["envelope"]
        if place == "lines" and isinstance(data, dict):
            data["items"] = draw(st.sampled_from([[], None, {}, [3], [[]], [{}], [{"productId": "p", "quantity": 0}]]))
            continue
        if place != "envelope" and isinstance(data, dict):
            target, names = data, sorted(VALUES.keys() - {"id", "source", "time"})
            lines = data.get("items")
            if place == "item" and isinstance(lines, list) and lines and isinstance(lines[0], dict):
                target, names = lines[0], PLACES["item"]
        name = draw(st.sampled_from(names))
        if draw(st.booleans()):
            target[name] = draw(st.sampled_from(VALUES.get(name, TEXTS)) | ANYTHING)
        else:
            target.pop(name, None)
    return kind.name, item


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_full_signal_of_every_kind_is_taken_by_both(kind: Any) -> None:
    item = valid_signal(kind.name)

    outcome = read_signal(item, kind, RECEPTION, clean=True)

    assert isinstance(outcome, Accepted), outcome
    assert SHAPES[kind.name].schema.validate(item) == {}


@given(mutated_signals())
@settings(max_examples=600, deadline=None)
@example(
    (
        "cart/add",
        {
            "id": "s",
            "time": "2026-11-23T10:15:30Z",
            "data": {"email": "a@b.de", "items": [{"productId": "p", "quantity": 0}]},
        },
    )
)
def test_structs_and_schemas_accept_and_refuse_the_same_signals(drawn: tuple[str, Any]) -> None:
    name, item = drawn
    shape = SHAPES[name]

    outcome = read_signal(item, CATALOGUE[name], RECEPTION, clean=False)
    faults = find_faults(item, shape, RECEPTION)
    unexplained = [fault for fault in faults if fault.reason == "The signal is not valid."]

    event("accepted" if isinstance(outcome, Accepted) else "refused")
    if isinstance(outcome, Accepted):
        assert len(faults) == len(unexplained) == 1
        assert decode_signal(body_of(outcome)).id == item["id"]
    else:
        assert outcome.status == 422
        assert outcome.faults == faults
        assert not unexplained


@given(st.sampled_from(KINDS), ANYTHING)
@settings(max_examples=200, deadline=None)
def test_arbitrary_json_is_refused_with_faults_at_pointers(kind: Any, value: Any) -> None:
    for item in (value, {"id": "s", "time": "2026-11-23T10:15:30Z", "data": value}):
        outcome = read_signal(item, kind, RECEPTION, clean=False)

        assert isinstance(outcome, Refusal)
        assert outcome.faults
        assert all(fault.pointer == "" or fault.pointer.startswith("/") for fault in outcome.faults)
        json.dumps([fault.pointer for fault in outcome.faults]).encode()


@given(st.binary(max_size=50) | st.text(max_size=50).map(lambda text: json.dumps(text).encode()))
@settings(deadline=None)
def test_parsing_arbitrary_bytes_ends_in_a_body_or_a_refusal(data: bytes) -> None:
    outcome = parse(data)

    assert isinstance(outcome, Body | Refusal)
    if isinstance(outcome, Refusal):
        assert outcome.status == 400


def documented_schema(kind: Any) -> Draft202012Validator:
    """What the API document says of a kind of signal."""
    spec = APISpec("ingestion", "v1", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Signal", schema=SHAPES[kind.name].schema)
    document = spec.to_dict()
    return Draft202012Validator({"$ref": "#/components/schemas/Signal", **document})


NOT_IN_JSON_SCHEMA = {"email", "customerId", "phone", "deviceId", "appId", "idType", "site", "signal", "brand",
                      "attributes", "time", "sentAt"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_api_document_accepts_and_refuses_the_same_fields(kind: Any) -> None:
    schema = documented_schema(kind)
    places: list[tuple[str, ...]] = [(name,) for name in PLACES["envelope"]]
    places += [("data", name) for name in SHAPES[kind.name].declared["email"] & FIELDS.keys()]
    places += [("data", "items", name) for name in PLACES["item"] if kind.items and name in FIELDS]
    compared = 0
    for *outer, name in places:
        for value in () if name in NOT_IN_JSON_SCHEMA else VALUES[name]:
            item = valid_signal(kind.name)
            target: Any = item["data"]["items"][0] if len(outer) == 2 else item["data"] if outer else item
            target[name] = value
            if value in ("a\0", "\ud800") or value in (1e400,):
                continue

            outcome = read_signal(item, kind, RECEPTION, clean=False)

            assert schema.is_valid(item) is isinstance(outcome, Accepted), (outer, name, value)
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_api_document_asks_for_the_same_fields(kind: Any) -> None:
    schema = documented_schema(kind)
    for place in ("id", "time", "source", "data", *valid_signal(kind.name)["data"]):
        item = valid_signal(kind.name)
        target = item if place in {"id", "time", "source", "data"} else item["data"]
        target.pop(place, None)

        outcome = read_signal(item, kind, RECEPTION, clean=True)

        assert schema.is_valid(item) is isinstance(outcome, Accepted) or place == "email"
