"""CloudEvents over HTTP, made by the `cloudevents` package, unmodified: sent is recorded, once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cloudevents.v1.conversion
import cloudevents.v1.http
import pytest
import requests
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from contracts.configurations import KeyState
from contracts.signals import Signal
from contracts.times import from_datetime
from services.ingestion.admission import hash_secret
from services.ingestion.wiring import Ingestion
from tests.support.ingestion import (
    ORIGIN,
    PEPPER,
    configuration,
    configure,
    recorded,
    settings_for,
    start_ingestion,
)
from tests.support.way import at_port

TIME = datetime(2026, 11, 23, 10, 15, 30, 123000, tzinfo=UTC)
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class Rig:
    """Ingestion at a URL."""

    ingestion: Ingestion
    url: str

    def post(self, path: str, body: bytes, headers: Mapping[str, str], key: str = "sk_1:secret") -> requests.Response:
        """Send as a client does."""
        return requests.post(self.url + path, data=body, headers={**headers, "X-Api-Key": key}, timeout=20)

    def recorded(self, count: int) -> list[Signal]:
        """Take exactly so many signals."""
        found = recorded(self.ingestion, count)
        assert len(found) == count
        return found


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One process for all tests here; each takes what it recorded."""
    ingestion = start_ingestion(settings_for(tmp_path_factory.mktemp("cloudevents"), MOMENTS_PARTITIONS="4"))
    configure(ingestion, configuration())
    with at_port(ingestion.app) as port:
        yield Rig(ingestion, f"http://127.0.0.1:{port}")
    ingestion.close()


def data(**more: Any) -> dict[str, Any]:
    return {"email": "ada@example.com", "items": [{"productId": "mug", "quantity": 1}], "colour": "blue", **more}


def event(id: str = "e-1", content: Any = None, **more: Any) -> CloudEvent:
    attributes = {"id": id, "type": "signal.cart.add", "source": "/shop one/€", "time": TIME, **more}
    return CloudEvent(attributes, data() if content is None else content)


def essence(signal: Signal) -> tuple[str, str, str, int, str, Any]:
    return signal.id, signal.kind.name, signal.source, signal.time, signal.profile, signal.data.attributes


@pytest.mark.parametrize("path", ["/v1/signals", "/v1/signals/cart/add"])
@pytest.mark.parametrize("typed", [{}, {"datacontenttype": "application/json; charset=utf-8"}])
@pytest.mark.parametrize("make", [http.to_structured_event, http.to_binary_event])
def test_an_event_is_recorded_once(rig: Rig, path: str, typed: dict[str, str], make: Any) -> None:
    message = make(event(**typed))

    answer = rig.post(path, message.body, message.headers)

    assert (answer.status_code, answer.json()) == (200, {"results": [{"id": "e-1", "status": 200}]})
    (signal,) = rig.recorded(1)
    assert essence(signal) == (
        "e-1",
        "cart/add",
        "/shop one/€",
        from_datetime(TIME),
        "ada@example.com",
        {"colour": "blue"},
    )


@pytest.mark.parametrize("path", ["/v1/signals", "/v1/signals/cart/add"])
def test_a_batch_is_recorded_once_each(rig: Rig, path: str) -> None:
    written = [JSONFormat().write(event(f"b-{number}", source="/shop")) for number in range(50)]

    answer = rig.post(path, b"[" + b",".join(written) + b"]", {"content-type": BATCHED})

    assert answer.status_code == 200
    assert [each["status"] for each in answer.json()["results"]] == [200] * 50
    assert sorted(each.id for each in rig.recorded(50)) == sorted(f"b-{number}" for number in range(50))


@pytest.mark.parametrize("make", [cloudevents.v1.conversion.to_structured, cloudevents.v1.conversion.to_binary])
def test_the_first_version_of_the_package_is_understood(rig: Rig, make: Any) -> None:
    old = cloudevents.v1.http.CloudEvent({"id": "o-1", "type": "event.signal", "source": "shop"}, data())

    headers, body = make(old)
    answer = rig.post("/v1/signals/cart/add", body, headers)

    assert answer.status_code == 200
    (signal,) = rig.recorded(1)
    assert (signal.id, signal.kind.name, signal.source) == ("o-1", "cart/add", "shop")


def test_data_as_base64_is_read(rig: Rig) -> None:
    message = http.to_structured_event(event("x-1", json.dumps(data(signal="cart/remove")).encode()))
    assert b"data_base64" in message.body

    answer = rig.post("/v1/signals", message.body, message.headers)

    assert answer.status_code == 200
    assert [each.kind.name for each in rig.recorded(1)] == ["cart/remove"]


HEADERS = {"ce-specversion": "1.0", "ce-id": "h-1", "ce-type": "signal.cart.add", "ce-time": "2026-11-23T10:15:30Z"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ce-id": None}, "/id"),
        ({"ce-id": ""}, "/id"),
        ({"ce-id": "x" * 256}, "/id"),
        ({"ce-id": "%00"}, "/id"),
        ({"ce-id": "%FF"}, "/id"),
        ({"ce-source": "%ED%A0%80"}, "/source"),
        ({"ce-type": None}, "/type"),
        ({"ce-time": None}, "/time"),
        ({"ce-time": "yesterday"}, "/time"),
        ({"ce-time": "2026-11-23T10:15:30"}, "/time"),
        ({"ce-specversion": None}, "/specversion"),
        ({"ce-specversion": "0.3"}, "/specversion"),
        ({"ce-sentat": "soon"}, "/sentAt"),
        ({"ce-type": "signal.cart.remove"}, "/data/signal"),
    ],
)
def test_a_wrong_header_is_a_fault_of_the_signal(rig: Rig, change: dict[str, str | None], pointer: str) -> None:
    headers = {name: value for name, value in {**HEADERS, **change}.items() if value is not None}

    answer = rig.post("/v1/signals/cart/add", json.dumps(data()).encode(), headers)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


def test_all_faults_of_an_event_are_told_together(rig: Rig) -> None:
    body = json.dumps({"specversion": "0.3", "type": "signal.cart.add", "data": {"items": []}}).encode()

    answer = rig.post("/v1/signals", body, {"Content-Type": STRUCTURED})

    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    pointers = [fault["pointer"] for fault in result["errors"]]
    assert result["status"] == 422
    assert {"/specversion", "/id", "/time", "/data/items", "/data/email"} == set(pointers)
    assert len(pointers) == 5


def test_one_wrong_event_refuses_itself_alone(rig: Rig) -> None:
    good = json.loads(JSONFormat().write(event("g-1")))
    batch = [good | {"id": "w-1", "specversion": "2.0"}, good, 7, good | {"id": "w-2", "type": "signal.tea.pour"}]

    answer = rig.post("/v1/signals", json.dumps(batch).encode(), {"Content-Type": BATCHED})

    assert [(each["id"], each["status"]) for each in answer.json()["results"]] == [
        ("w-1", 422),
        ("g-1", 200),
        (None, 422),
        ("w-2", 404),
    ]
    assert [each.id for each in rig.recorded(1)] == ["g-1"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/xml", b"<a/>", 415),
        ("application/cloudevents+xml", b"<a/>", 415),
        ("application/json", b"", 400),
        (BATCHED, b"{}", 400),
        (STRUCTURED, b"[", 400),
    ],
)
@pytest.mark.parametrize("path", ["/v1/signals", "/v1/signals/cart/add"])
def test_what_is_no_json_is_refused_as_a_whole(
    rig: Rig, path: str, content_type: str, body: bytes, status: int
) -> None:
    assert rig.post(path, body, {**HEADERS, "Content-Type": content_type}).status_code == status


def test_a_wrong_key_is_told_whatever_the_mode(rig: Rig) -> None:
    for message in (http.to_structured_event(event()), http.to_binary_event(event())):
        assert rig.post("/v1/signals", message.body, message.headers, key="sk_1:wrong").status_code == 401
    assert rig.post("/v1/signals/cart/add", b"[{}, 7]", {"Content-Type": BATCHED}, key="sk_9").status_code == 401


@pytest.mark.parametrize("make", [http.to_binary_event, http.to_structured_event])
@pytest.mark.parametrize(("given", "status"), [(True, 200), (False, 403), (..., 403)])
def test_the_package_says_that_a_customer_consents(rig: Rig, make: Any, given: Any, status: int) -> None:
    """As an attribute of the event, which its binary mode writes as the text `True`."""
    key = KeyState(id="sk_3", type="server", enabled=True, secret_hash=hash_secret(PEPPER.encode(), "secret"))
    configure(rig.ingestion, configuration(), configuration(id="c3", consent_required=True, keys=(key,)))
    attributes = {"type": "signal.cart.add", "source": "/shop", "id": "e-consent"}
    message = make(CloudEvent(attributes | ({} if given is ... else {"consent": given}), data()))

    answer = rig.post("/v1/signals/cart/add", message.body, message.headers, key="sk_3:secret")

    assert answer.status_code == status
    if status == 200:
        rig.recorded(1)


def test_a_browser_may_send_the_attributes(rig: Rig) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Headers": "ce-id,ce-colour,x-evil"}

    answer = requests.options(rig.url + "/v1/signals", headers=asked, timeout=20)

    allowed = answer.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert {"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-colour", "x-api-key"} <= set(allowed)
    assert "x-evil" not in allowed


def test_an_attribute_of_another_name_is_taken_and_not_kept(rig: Rig) -> None:
    headers = {**HEADERS, "ce-subject": "x", "ce-data": "evil", "ce-data_base64": "e30=", "ce-touchpoint": "web"}

    answer = rig.post("/v1/signals", json.dumps(data()).encode(), headers)

    assert answer.status_code == 200
    (signal,) = rig.recorded(1)
    assert (signal.data.touchpoint, signal.data.attributes) == ("server", {"colour": "blue"})


def test_base64_that_is_nested_without_end_is_a_fault(rig: Rig) -> None:
    deep = base64.b64encode(b"[" * 100_000).decode()
    body = json.dumps([{**json.loads(JSONFormat().write(event())), "data": None, "data_base64": deep}]).encode()

    answer = rig.post("/v1/signals", body, {"Content-Type": BATCHED})

    assert [each["status"] for each in answer.json()["results"]] == [422]


def test_the_api_document_names_the_content_types(rig: Rig) -> None:
    document = requests.get(rig.url + "/openapi.json", timeout=20).json()

    for path in ("/v1/signals", "/v1/signals/cart/add"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert list(content) == ["application/json", STRUCTURED, BATCHED]
        signal, event_schema = content[STRUCTURED]["schema"]["allOf"]
        assert signal["$ref"].startswith("#/components/schemas/")
        assert event_schema["required"] == ["specversion", "type"]
        assert content[BATCHED]["schema"]["items"]["allOf"][0] == signal
