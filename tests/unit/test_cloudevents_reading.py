"""CloudEvents over HTTP as signals: what is an event, what its headers say, and what is wrong with it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from contracts.signals import CATALOGUE
from services.ingestion.bodies import Body
from services.ingestion.cloudevents import Mode, asked_headers, decode_header, is_json, mode_of, read_events
from services.ingestion.refusals import Refusal

KIND = CATALOGUE["cart/add"]
DATA = {"email": "ada@example.com", "items": [{"productId": "mug", "quantity": 1}]}


def event(**more: Any) -> dict[str, Any]:
    known = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "signal.cart.add", "data": DATA}
    return {name: value for name, value in {**known, "time": "2026-11-23T10:15:30Z", **more}.items() if value != ...}


def headers(**more: str) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in {**event(data=...), **more}.items()}


def read(value: Any, mode: Mode = "structured", *, kind: Any = None, given: Any = None, clean: bool = True) -> Body:
    body = read_events(Body(value, clean=clean), mode, (given or {}).get, kind)
    assert isinstance(body, Body)
    return body


def pointers(body: Body, place: int = 0) -> list[str]:
    return [fault.pointer for fault in body.faults.get(place, ())]


@pytest.mark.parametrize(
    ("mimetype", "given", "mode"),
    [
        ("application/cloudevents+json", {}, "structured"),
        ("application/cloudevents+json", {"ce-id": "x"}, "structured"),
        ("application/cloudevents-batch+json", {}, "batched"),
        ("application/json", {"ce-id": ""}, "binary"),
        ("", {"ce-specversion": "0.3"}, "binary"),
        ("application/json", {}, None),
        ("application/json", {"ce-subject": "x", "traceparent": "x"}, None),
        ("application/cloudevents", {}, None),
    ],
)
def test_the_content_type_goes_before_the_headers(mimetype: str, given: dict[str, str], mode: str | None) -> None:
    assert mode_of(mimetype, given.get) == mode


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("plain", "plain"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%41%2525", "A%25"),
        ('"in quotes"', "in quotes"),
        (r'"a \"b\" \\ %41"', 'a "b" \\ A'),
        ('"open', '"open'),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("a+b", "a+b"),
        ("é".encode().decode("latin-1"), "é"),
        ("", ""),
        ("%00", "\0"),
        ("%FF", None),
        ("%ED%A0%80", None),
        ("\xe9", None),
    ],
)
def test_a_header_is_decoded_once_by_the_http_binding(sent: str, value: str | None) -> None:
    assert decode_header(sent) == value


def test_a_header_of_nothing_but_escapes_costs_no_more_than_its_length() -> None:
    hostile = '"' + r"\"" * 4000

    assert decode_header(hostile) == hostile


@pytest.mark.parametrize(
    ("content_type", "known"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.shop+json", True),
        ("text/json", True),
        ("text/plain", False),
        ("+json", False),
        ("", False),
        ("application/xml", False),
    ],
)
def test_data_is_json_by_its_media_type(content_type: str, known: bool) -> None:
    assert is_json(content_type) is known


def test_the_type_names_the_kind_where_the_data_does_not() -> None:
    assert read(event()).value["data"]["signal"] == "cart/add"
    assert read(event(data={**DATA, "signal": None})).value["data"]["signal"] == "cart/add"
    assert read(event(data={**DATA, "signal": "cart/remove"})).value["data"]["signal"] == "cart/remove"
    assert read(event(type="signal.tea.pour")).value["data"]["signal"] == "tea/pour"
    assert "signal" not in DATA


@pytest.mark.parametrize(
    "name", ["event.signal", "signal.cart", "signal.cart.add.now", "xsignal.cart.add", "signal..a"]
)
def test_another_type_names_no_kind(name: str) -> None:
    body = read(event(type=name))

    assert "signal" not in body.value["data"]
    assert not body.faults


def test_the_kind_of_the_path_stands_and_no_other_is_taken() -> None:
    assert not read(event(type="event.signal"), kind=KIND).faults
    assert pointers(read(event(type="signal.cart.remove"), kind=KIND)) == ["/data/signal"]
    batch = read([event(type="shop"), event(data={**DATA, "signal": "cart/remove"})], "batched", kind=KIND)

    assert batch.value[0]["data"]["signal"] == "cart/add"
    assert (pointers(batch, 0), pointers(batch, 1)) == ([], ["/data/signal"])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": ...}, "/specversion"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": 1.0}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"type": ...}, "/type"),
        ({"type": ""}, "/type"),
        ({"type": ["signal.cart.add"]}, "/type"),
        ({"datacontenttype": "text/plain"}, "/datacontenttype"),
        ({"datacontenttype": 7}, "/datacontenttype"),
        ({"data_base64": "e30="}, "/data_base64"),
        ({"data": ..., "data_base64": "%%%"}, "/data_base64"),
        ({"data": ..., "data_base64": "é"}, "/data_base64"),
        ({"data": ..., "data_base64": ""}, "/data_base64"),
        ({"data": ..., "data_base64": ["e30="]}, "/data_base64"),
        ({"data": ..., "data_base64": base64.b64encode(b"no json").decode()}, "/data_base64"),
        ({"data": ..., "data_base64": base64.b64encode(b"[" * 200_000).decode()}, "/data_base64"),
    ],
)
def test_what_is_no_event_has_a_fault(change: dict[str, Any], pointer: str) -> None:
    assert pointers(read(event(**change))) == [pointer]


def test_data_may_come_as_base64_of_json() -> None:
    sent = base64.b64encode(json.dumps(DATA).encode()).decode()

    body = read(event(data=..., data_base64=sent))

    assert body.value["data"] == {**DATA, "signal": "cart/add"}
    assert "data_base64" not in body.value
    assert (body.clean, body.faults) == (True, {})


def test_what_base64_hides_is_looked_at() -> None:
    sent = base64.b64encode(b'{"email": "\\u0000"}').decode()

    assert not read(event(data=..., data_base64=sent)).clean
    assert not read(event(), clean=False).clean


def test_names_in_lower_case_are_those_of_signals() -> None:
    value = read(event(sentat="2026-11-23T10:16:00Z", traceid="ab" * 16, colour="blue")).value

    assert (value["sentAt"], value["traceId"]) == ("2026-11-23T10:16:00Z", "ab" * 16)
    assert not {"sentat", "traceid"} & value.keys()


def test_headers_and_body_make_an_event() -> None:
    body = read(
        DATA, "binary", given=headers(source="%2Fshop%20one", sentat="2026-11-23T10:16:00Z", traceparent="00", o="x")
    )

    assert body.value == {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop one",
        "type": "signal.cart.add",
        "time": "2026-11-23T10:15:30Z",
        "sentAt": "2026-11-23T10:16:00Z",
        "traceparent": "00",
        "data": {**DATA, "signal": "cart/add"},
    }
    assert (body.clean, body.faults) == (False, {})


def test_a_header_that_cannot_be_decoded_is_a_fault() -> None:
    assert pointers(read(DATA, "binary", given=headers(id="%FF", sentat="%C0"))) == ["/id", "/sentAt"]


@pytest.mark.parametrize("value", [None, 7, "text", [], [1], True])
def test_what_is_no_object_is_left_to_the_signals_own_checks(value: Any) -> None:
    assert read(value, kind=KIND).value == value
    assert read([value], "batched").value == [value]
    assert read(value, "binary", given=headers()).value["data"] == value


@pytest.mark.parametrize("value", [{}, None, "text", 7])
def test_a_batch_that_is_no_array_is_refused(value: Any) -> None:
    refusal = read_events(Body(value, clean=True), "batched", {}.get, None)

    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (400, "malformed")


def test_each_event_of_a_batch_has_its_own_faults() -> None:
    body = read([event(), event(specversion="2.0"), 7, event(type=...)], "batched")

    assert {place: pointers(body, place) for place in body.faults} == {1: ["/specversion"], 3: ["/type"]}
    assert read([], "batched").value == []


def test_a_preflight_is_answered_for_the_attributes_asked_for_alone() -> None:
    assert asked_headers("X-Evil, CE-Id,ce-colour , ce-, ce-a_b, ce-colour, ce-é, *") == ["ce-id", "ce-colour"]
    assert asked_headers("") == []
