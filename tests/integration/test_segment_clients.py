"""Segment's HTTP API, spoken by its own clients, unmodified: sent is recorded, once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import rudderstack.analytics.client
import segment.analytics.client

from contracts.configurations import KeyState
from contracts.joining import JOINING_ID_PREFIX, decode_joining
from contracts.signals import Signal
from contracts.stitching import ANONYMOUS, IDENTIFIED_ID_PREFIX, decode_identified
from contracts.topology import partition_of, partition_queue
from services.ingestion.intake import MOST_ITEMS
from services.ingestion.wiring import Ingestion
from shared.broker import Delivery
from tests.support.ingestion import (
    ORIGIN,
    configuration,
    configure,
    recorded,
    settings_for,
    start_ingestion,
    wait_until,
)
from tests.support.way import Way, at_port

SERVER_KEY = "sk_1:secret"
MUG = {"product_id": "mug", "name": "Blue mug", "price": 12.5, "quantity": 1, "currency": "EUR"}


@dataclass(slots=True)
class Rig:
    """Ingestion behind a way, at a URL."""

    ingestion: Ingestion
    way: Way
    url: str

    def recorded(self, count: int) -> list[Signal]:
        """Wait for so many signals in the partitions; takes them."""
        return recorded(self.ingestion, count)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One process for all tests here; each takes what it recorded."""
    ingestion = start_ingestion(settings_for(tmp_path_factory.mktemp("segment"), MOMENTS_PARTITIONS="4"))
    configure(ingestion, configuration())
    way = Way(ingestion.app)
    with at_port(way) as port:
        yield Rig(ingestion, way, f"http://127.0.0.1:{port}")
    ingestion.close()


def segment_client(rig: Rig, interval: float = 0.1) -> Any:
    return segment.analytics.client.Client(
        SERVER_KEY, host=rig.url, on_error=_fail, upload_interval=interval, max_retries=8
    )


def rudder_client(rig: Rig, interval: float = 0.1) -> Any:
    return rudderstack.analytics.client.Client(
        SERVER_KEY, host=rig.url, on_error=_fail, upload_interval=interval, max_retries=8, gzip=True
    )


def _fail(error: Any, _items: Any) -> None:
    raise AssertionError(error)


def basic(key: str) -> str:
    return f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"


@pytest.mark.parametrize("make", [segment_client, rudder_client])
def test_what_a_client_sends_is_recorded_once(rig: Rig, make: Callable[[Rig], Any]) -> None:
    client = make(rig)

    client.identify("u-1", {"email": "ada@example.com"})
    client.track("u-1", "Product Viewed", MUG)
    client.track("u-1", "Product Added", {**MUG, "cart_id": "c-1"})
    client.track("u-1", "Something Else", {"a": 1})
    client.track("u-1", "Order Completed", {"order_id": "o-1", "products": [MUG]})
    client.page("u-1", None, "Home", {"url": "https://shop.example.com/"})
    client.shutdown()

    signals = rig.recorded(4)
    assert sorted(each.kind.name for each in signals) == ["cart/add", "cart/purchase", "page/view", "product/view"]
    assert {(each.id_type, each.profile) for each in signals} == {("external", "u-1")}
    assert len({each.id for each in signals}) == 4


@pytest.mark.parametrize("make", [segment_client, rudder_client])
def test_a_burst_of_503_loses_and_doubles_nothing(rig: Rig, make: Callable[[Rig], Any]) -> None:
    rig.way.refuse, rig.way.refused = 3, 0
    client = make(rig)

    for number in range(50):
        client.track(f"u-{number}", "Product Added", MUG)
    client.shutdown()

    signals = rig.recorded(50)
    assert rig.way.refused == 3
    assert sorted(each.profile for each in signals) == sorted(f"u-{number}" for number in range(50))


@pytest.mark.parametrize("make", [segment_client, rudder_client])
def test_batches_are_taken_as_large_as_a_client_makes_them(rig: Rig, make: Callable[..., Any]) -> None:
    """Segment's ends a batch behind 475 kB, RudderStack's behind 4 MB; what is refused for its size is lost to them."""
    client = make(rig, interval=2.0)
    texts = {f"text{n}": "x" * 7_900 for n in range(4)}

    for number in range(40):
        client.track(f"large-{number}", "Product Added", {**MUG, **texts})
    client.shutdown()

    assert sorted(each.profile for each in rig.recorded(40)) == sorted(f"large-{n}" for n in range(40))


@pytest.mark.parametrize(
    ("size", "headers", "status"),
    [
        (500_000, {}, 200),
        (500_001, {}, 413),
        (500_001, {"Authorization": basic("sk_1:wrong")}, 413),
        (500_001, {"Authorization": basic("pk_1"), "Origin": ORIGIN}, 413),
        (500_001, {"Authorization": basic(SERVER_KEY)}, 200),
        (4_096_000, {"X-Api-Key": SERVER_KEY}, 200),
        (4_096_001, {"X-Api-Key": SERVER_KEY}, 413),
        (4_096_001, {"X-Api-Key": SERVER_KEY, "Content-Encoding": "gzip"}, 413),
    ],
)
def test_only_a_server_that_shows_its_key_first_may_send_more_than_anybody(
    rig: Rig, size: int, headers: dict[str, str], status: int
) -> None:
    """Of the others a body is read before it is known who they are."""
    start = json.dumps({"writeKey": SERVER_KEY, "batch": []}).encode()
    body = start + b" " * (size - len(start))
    packed = gzip.compress(body, 1) if "Content-Encoding" in headers else body

    answer = rig.ingestion.app.test_client().post("/v1/batch", data=packed, headers=headers)

    assert answer.status_code == status
    assert answer.get_json()["success"] is (status == 200)


def post(rig: Rig, path: str, document: Any, **headers: str) -> Any:
    return rig.ingestion.app.test_client().post(path, data=json.dumps(document), headers=headers)


def test_a_browser_sends_by_the_short_path_with_the_key_in_the_body(rig: Rig) -> None:
    call = {
        "messageId": "b-1",
        "userId": "u-b",
        "event": "Product Added",
        "properties": MUG,
        "timestamp": "2026-11-23T10:00:00Z",
    }
    page = {"context": {"page": {"url": "https://shop.example.com/mugs"}}, "writeKey": "pk_1"}

    answer = post(rig, "/v1/t", call | page, Origin=ORIGIN, **{"Content-Type": "text/plain"})

    assert answer.get_json() == {"success": True, "accepted": 1}
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    (signal,) = rig.recorded(1)
    assert (signal.kind.name, signal.site, signal.data.touchpoint) == ("cart/add", "shop.example.com", "web")


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/t", "/v1/identify"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": basic("sk_1:wrong")}, 401),
        ({"Authorization": basic("sk_1")}, 401),
        ({"Authorization": "Basic %%%"}, 401),
        ({"Authorization": basic("pk_1"), "Origin": "https://evil.example.net"}, 403),
    ],
)
def test_a_wrong_key_is_told_in_the_words_of_its_clients(rig: Rig, path: str, headers: Any, status: int) -> None:
    answer = post(rig, path, {"batch": []}, **headers)

    assert answer.status_code == status
    assert answer.get_json()["success"] is False
    assert {"code", "message"} <= answer.get_json().keys()


@pytest.mark.parametrize("body", [[], "text", None, {"batch": {}}, {"batch": None}])
def test_what_is_no_batch_is_refused(rig: Rig, body: Any) -> None:
    assert post(rig, "/v1/batch", body, Authorization=basic(SERVER_KEY)).status_code == 400


def test_a_call_that_is_wrong_refuses_itself_alone(rig: Rig) -> None:
    good = {"type": "track", "messageId": "g", "userId": "u-g", "event": "Product Added", "properties": MUG}
    times = {"timestamp": "2026-11-23T10:00:00Z"}
    batch = [good | times, good | {"messageId": "x", "timestamp": "yesterday"}, 7, good | {"event": "Other"}]

    answer = post(rig, "/v1/batch", {"batch": batch}, Authorization=basic(SERVER_KEY))

    assert answer.status_code == 200
    document = answer.get_json()
    assert (document["accepted"], document["ignored"]) == (1, {"no_call": 1, "unknown_event": 1})
    assert [(each["id"], each["status"]) for each in document["refused"]] == [("x", 422)]
    assert [each.profile for each in rig.recorded(1)] == ["u-g"]


@pytest.mark.parametrize(
    ("kinds", "identified"),
    [(None, 4), (("product/view", "identify"), 4), (("product/view",), 0), (("identify",), 4)],
)
def test_a_limited_key_tells_who_a_visitor_is_only_where_identify_is_among_its_kinds(
    rig: Rig, kinds: tuple[str, ...] | None, identified: int
) -> None:
    key = KeyState(id="pk_few", type="web", enabled=True, kinds=kinds)
    configure(rig.ingestion, configuration(), configuration(id=f"c-{kinds}", keys=(key,)))
    viewed = {"event": "Product Viewed", "properties": MUG, "timestamp": "2026-11-23T10:00:00Z"}
    page = {"context": {"page": {"url": "https://shop.example.com/"}}}
    calls = [
        {"type": "identify", "anonymousId": "a-1", "userId": "u-1", "messageId": "i"},
        {"type": "alias", "previousId": "a-2", "userId": "u-1", "messageId": "a"},
        {"type": "track", "anonymousId": "a-3", "userId": "u-1", "messageId": "t", **viewed, **page},
        {"type": "group", "anonymousId": "a-4", "userId": "u-1", "messageId": "g"},
    ]

    answer = post(rig, "/v1/batch", {"batch": calls}, Origin=ORIGIN, **{"X-Api-Key": "pk_few"}).get_json()

    lies = kinds is None or "product/view" in kinds
    assert (answer.get("identified", 0), answer["accepted"]) == (identified, int(lies))
    refused = [] if identified else [("i", 403, "kind_not_of_key"), ("a", 403, "kind_not_of_key")]
    refused += [] if lies else [("t", 403, "kind_not_of_key")]
    assert sorted((each["id"], each["status"], each["code"]) for each in answer.get("refused", [])) == sorted(refused)
    assert sorted(told(rig, wanted=2 * identified + int(lies))) == [f"a-{n}" for n in range(1, identified + 1)]
    configure(rig.ingestion, configuration(version=2, id=f"c-{kinds}", deleted=True))


@pytest.mark.parametrize("clock", ["\ud800", "soon", 7, None, {}, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("field", ["sentAt", "timestamp", "originalTimestamp"])
def test_who_a_visitor_is_counts_from_its_receipt_where_no_time_can_be_read(rig: Rig, clock: Any, field: str) -> None:
    call = {"type": "identify", "anonymousId": "a-t", "userId": "u-t", "messageId": "t", field: clock}

    answer = post(rig, "/v1/batch", {"batch": [call]}, Authorization=basic(SERVER_KEY))

    assert (answer.status_code, answer.get_json()["identified"]) == (200, 1)
    assert told(rig, wanted=2) == ["a-t"]


def told(rig: Rig, wanted: int) -> list[str]:
    """The anonymous ids of which the partitions were told whose they are; takes all that lies there.

    Of each the profile's partition was told from which one something may join it.
    """
    consumer = rig.ingestion.broker.consumer([partition_queue(number) for number in range(4)])
    found: list[Delivery] = []

    def enough() -> bool:
        if arrived := consumer.receive(1000, 0.05):
            found.extend(arrived)
            consumer.ack(arrived[-1])
        return len(found) >= wanted

    wait_until(enough)
    consumer.drop()
    assert len(found) == wanted
    people = [decode_identified(each.body) for each in found if each.message_id.startswith(IDENTIFIED_ID_PREFIX)]
    joinings = [each for each in found if each.message_id.startswith(JOINING_ID_PREFIX)]
    sources = [(each.queue, decode_joining(each.body).source) for each in joinings]
    assert sorted(sources) == sorted(
        (
            partition_queue(partition_of(each.configuration, each.id_type, each.profile, 4)),
            partition_of(each.configuration, ANONYMOUS, each.anonymous, 4),
        )
        for each in people
    )
    return [each.anonymous for each in people]


def test_the_web_client_is_told_where_to_send(rig: Rig) -> None:
    answer = rig.ingestion.app.test_client().get("/v1/projects/pk_1/settings", base_url="https://signals.example.com")

    found = answer.get_json()["integrations"]["Segment.io"]
    assert (found["apiKey"], found["apiHost"], found["protocol"]) == ("pk_1", "signals.example.com/v1", "https")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.get_json()["metrics"] == {"sampleRate": 0}


def test_the_largest_batch_may_tell_of_each_call_whose_it_is(rig: Rig) -> None:
    """Each then is a signal and two words of its identity: more than a publisher takes at once."""
    call = {"type": "track", "event": "Product Viewed", "properties": MUG, "timestamp": "2026-11-23T10:00:00Z"}
    batch = [{**call, "userId": f"m-{n}", "anonymousId": f"n-{n}", "messageId": f"o-{n}"} for n in range(MOST_ITEMS)]

    answer = post(rig, "/v1/batch", {"batch": batch}, Authorization=basic(SERVER_KEY))

    taken = {"success": True, "accepted": MOST_ITEMS, "identified": MOST_ITEMS}
    assert (answer.status_code, answer.get_json()) == (200, taken)
    rig.recorded(MOST_ITEMS)
