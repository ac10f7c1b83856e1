"""Ingestion over HTTP, with a real broker behind it (issue: bad input; ARCHITECTURE §4)."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.configurations import KeyState
from contracts.signals import KINDS, decode_signal
from contracts.topology import partition_queue
from services.ingestion.wiring import Ingestion
from shared.broker import Delivery
from shared.clock import ManualClock
from tests.support.ingestion import (
    ORIGIN,
    configuration,
    configure,
    publish_state,
    send,
    settings_for,
    signal,
    start_ingestion,
    statuses,
    wait_until,
)
from tests.support.rabbitmq import RabbitMQNode

WEB = {"Origin": ORIGIN}


@pytest.fixture
def ingestion(broker_url: str, tmp_path: Path) -> Iterator[Ingestion]:
    """A process with one configuration, on each broker."""
    started = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="4"))
    configure(started, configuration())
    yield started
    started.close()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingestion]:
    """One process for many tests that leave nothing behind."""
    started = start_ingestion(settings_for(tmp_path_factory.mktemp("ingestion"), MOMENTS_PARTITIONS="4"))
    configure(started, configuration())
    yield started
    started.close()


def published(ingestion: Ingestion, count: int, partitions: int = 4) -> list[Delivery]:
    """The signals that lie in the partitions."""
    queues = [partition_queue(number) for number in range(partitions)]
    consumer = ingestion.broker.consumer(queues)
    deliveries: list[Delivery] = []

    def enough() -> bool:
        if arrived := consumer.receive(1000, 0.2):
            deliveries.extend(arrived)
            consumer.ack(arrived[-1])
        return len(deliveries) >= count

    wait_until(enough)
    consumer.drop()
    return deliveries


def test_an_accepted_signal_lies_in_its_partition(ingestion: Ingestion) -> None:
    response = send(ingestion, signal("s1"), "/v1/signals/cart/add")

    assert response.status_code == 200
    assert response.get_json() == {"results": [{"id": "s1", "status": 200}]}
    (delivery,) = published(ingestion, 1)
    read = decode_signal(delivery.body)
    assert (read.id, read.source, read.profile, read.configuration) == ("s1", "sk_1", "ada@example.com", "c1")
    assert delivery.routing_key == "signal.cart.add"


def test_each_item_of_an_array_has_its_own_result(ingestion: Ingestion) -> None:
    items = [
        signal("s1"),
        signal("s2", email="no"),
        3,
        signal("s4", signal="cart/fly"),
        signal("s5", site="evil.test"),
        signal("s6", signal="cart/purchase"),
        signal("s7", name="x" * 70_000, signal="newsletter/signup"),
        signal("s8", items=[{"productId": "p", "name": "x" * 1000}] * 70),
    ]

    response = send(ingestion, items)

    assert response.status_code == 200
    assert statuses(response) == [200, 422, 422, 404, 403, 200, 422, 413]
    results = response.get_json()["results"]  # type: ignore[index]
    assert [result["id"] for result in results] == ["s1", "s2", None, "s4", "s5", "s6", "s7", "s8"]
    assert results[1]["errors"] == [{"pointer": "/data/email", "reason": "must be an e-mail address."}]
    assert {delivery.message_id for delivery in published(ingestion, 2)} == {"s1", "s6"}


def test_every_kind_of_the_catalogue_is_taken_from_a_server(ingestion: Ingestion) -> None:
    for kind in KINDS:
        ids = dict.fromkeys((*kind.required, kind.id_field or "cartId"), "x")
        response = send(ingestion, signal(kind.name, signal=kind.name, **ids), f"/v1/signals/{kind.name}")

        assert response.status_code == 200, (kind.name, response.get_json())
    assert {delivery.routing_key for delivery in published(ingestion, len(KINDS))} == {k.routing_key for k in KINDS}


def test_an_array_of_2500_is_taken_and_of_2501_is_too_large(ingestion: Ingestion) -> None:
    items = [
        {"id": str(n), "time": "2026-11-23T10:15:30Z", "data": {"signal": "page/view", "email": "ada@example.com"}}
        for n in range(2501)
    ]

    assert send(ingestion, items).status_code == 413
    response = send(ingestion, items[:2500])
    assert statuses(response) == [200] * 2500
    assert len({delivery.message_id for delivery in published(ingestion, 2500)}) == 2500


def test_one_signal_or_none_may_be_sent_to_the_batch_endpoint(embedded: Ingestion) -> None:
    assert statuses(send(embedded, signal())) == [200]
    assert statuses(send(embedded, [])) == []


def test_the_faults_of_many_bad_signals_are_listed_up_to_a_bound(embedded: Ingestion) -> None:
    bad = signal("s", email="no", items=[{"price": -1}] * 10)

    results = send(embedded, [bad] * 1000).get_json()["results"]  # type: ignore[index]

    assert {result["status"] for result in results} == {422}
    assert len(results[0]["errors"]) == 21
    assert 1000 <= sum(len(result.get("errors", ())) for result in results) < 1021
    assert "e-mail" in results[-1]["reason"]


def test_gzip_bodies_are_read_and_bombs_are_refused(embedded: Ingestion) -> None:
    headers = {"Content-Encoding": "gzip"}

    assert statuses(send(embedded, gzip.compress(json.dumps([signal()]).encode()), headers=headers)) == [200]
    assert send(embedded, gzip.compress(b" " * 100_000_000), headers=headers).status_code == 413
    assert send(embedded, b"no gzip", headers=headers).status_code == 400
    assert send(embedded, b"{}", headers={"Content-Encoding": "br"}).status_code == 415


@pytest.mark.parametrize(("size", "expected"), [(500_000, 400), (500_001, 413), (2_000_000, 413)])
@pytest.mark.parametrize("path", ["/v1/signals", "/v1/signals/cart/add", "/v1/signals/cart/fly"])
def test_a_body_of_unknown_length_is_never_cut_in_silence(
    embedded: Ingestion, path: str, size: int, expected: int
) -> None:
    response = embedded.app.test_client().post(
        path,
        input_stream=io.BytesIO(b" " * size),
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Content-Type": "application/json", "X-Api-Key": "sk_1:secret"},
    )

    assert response.status_code == (404 if path.endswith("fly") and expected == 400 else expected)


@pytest.mark.parametrize("path", ["/v1/signals", "/v1/signals/cart/add"])
@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"NaN", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[" * 50_000, {}, 400),
        (b" " * 500_001, {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Type": ""}, 415),
        (b"{}", {"X-Api-Key": ""}, 401),
        (b"{}", {"X-Api-Key": "pk_unknown"}, 401),
        (b"{}", {"X-Api-Key": "sk_1:wrong"}, 401),
        (b"{}", {"X-Api-Key": "pk_1"}, 403),
        (b"{}", {"X-Api-Key": "pk_1", "Origin": "null"}, 403),
        (b"{}", {"X-Api-Key": "pk_1", "Origin": "https://evil.test"}, 403),
    ],
)
def test_a_request_that_cannot_be_read_or_admitted_is_refused_as_a_whole(
    embedded: Ingestion, path: str, body: bytes, headers: dict[str, str], expected: int
) -> None:
    response = send(embedded, body, path, headers=headers)

    assert response.status_code == expected
    assert response.content_type == "application/problem+json"
    document = response.get_json()
    assert document is not None
    assert (document["status"], "code" in document) == (expected, True)


@pytest.mark.parametrize(
    ("path", "body", "key", "expected"),
    [
        ("/v1/signals/cart/fly", signal(), "sk_1:secret", 404),
        ("/v1/signals/nothing", signal(), "sk_1:secret", 404),
        ("/v1/signals/cart/add", signal(email="no"), "sk_1:secret", 422),
        ("/v1/signals/cart/add", [signal()], "sk_1:secret", 422),
        ("/v1/signals/cart/add", signal(site="evil.test"), "sk_1:secret", 403),
        ("/v1/signals/order/ship", signal(), "ak_1", 403),
        ("/v1/signals/cart/add", signal(items=[{"productId": "p", "name": "x" * 1000}] * 70), "ak_1", 413),
    ],
)
def test_the_single_endpoint_answers_with_the_signals_own_status(
    embedded: Ingestion, path: str, body: Any, key: str, expected: int
) -> None:
    response = send(embedded, body, path, key=key)

    assert response.status_code == expected
    assert response.content_type == "application/problem+json"


def test_a_preflight_allows_what_any_configuration_allows(embedded: Ingestion) -> None:
    client = embedded.app.test_client()

    for path in ("/v1/signals", "/v1/signals/cart/add", "/v1/signals/what/ever", "/elsewhere"):
        allowed = client.options(path, headers=WEB)
        foreign = client.options(path, headers={"Origin": "https://evil.test"})

        assert allowed.status_code == 204
        assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "x-api-key" in allowed.headers["Access-Control-Allow-Headers"].lower()
        assert int(allowed.headers["Access-Control-Max-Age"]) > 0
        assert "Access-Control-Allow-Origin" not in foreign.headers
        assert "Origin" in foreign.headers["Vary"]
    assert client.options("/v1/signals").status_code == 204


def test_an_answer_echoes_the_origin_only_for_the_keys_own_configuration(embedded: Ingestion) -> None:
    other = configuration(
        id="c2", domains=("other.example.com",), keys=(KeyState(id="pk_2", type="web", enabled=False),)
    )
    configure(embedded, other)

    own = send(embedded, signal(), key="pk_1", headers=WEB)
    disabled = send(embedded, signal(), key="pk_2", headers={"Origin": "https://other.example.com"})
    foreign = send(embedded, signal(), key="pk_1", headers={"Origin": "https://other.example.com"})
    unknown = send(embedded, signal(), key="pk_3", headers=WEB)
    unread = send(embedded, b'{"key": "pk_1", ', key=None, headers={**PLAIN, **WEB})
    stranger = send(embedded, signal(), key="pk_3", headers={"Origin": "https://evil.test"})

    assert (own.status_code, own.headers.get("Access-Control-Allow-Origin")) == (200, ORIGIN)
    assert disabled.status_code == 403
    assert disabled.headers.get("Access-Control-Allow-Origin") == "https://other.example.com"
    assert (foreign.status_code, foreign.headers.get("Access-Control-Allow-Origin")) == (403, None)
    assert (unknown.status_code, unknown.headers.get("Access-Control-Allow-Origin")) == (401, ORIGIN)
    assert (unread.status_code, unread.headers.get("Access-Control-Allow-Origin")) == (400, ORIGIN)
    assert (stranger.status_code, stranger.headers.get("Access-Control-Allow-Origin")) == (401, None)
    assert all("Origin" in answer.headers["Vary"] for answer in (own, disabled, foreign, unknown))


def test_other_methods_are_refused_with_what_is_allowed(embedded: Ingestion) -> None:
    client = embedded.app.test_client()

    for response in (client.get("/v1/signals"), client.delete("/v1/signals/cart/add"), client.put("/v1/signals/x/y")):
        assert response.status_code == 405
        assert "POST" in response.headers["Allow"]


def test_the_api_document_describes_every_kind(embedded: Ingestion) -> None:
    document = embedded.app.test_client().get("/openapi.json").get_json()

    assert document is not None
    for kind in KINDS:
        operation = document["paths"][f"/v1/signals/{kind.name}"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].startswith("#/components/schemas/")
        assert operation["security"] == [{"signalKey": []}]
        assert {"200", "400", "401", "403", "413", "415", "422", "503"} <= operation["responses"].keys()
    assert "signalKey" in document["components"]["securitySchemes"]
    assert document["paths"]["/v1/signals"]["post"]["requestBody"]


def test_what_is_counted_is_shown_as_metrics(embedded: Ingestion) -> None:
    send(embedded, [signal(), signal(email="no")])

    page = embedded.app.test_client().get("/metrics").get_data(as_text=True)

    assert 'moments_signals_accepted_total{kind="cart/add",touchpoint="server"}' in page
    assert 'moments_signals_refused_total{code="invalid"}' in page
    assert "moments_signals_confirm_seconds_bucket" in page


def test_refusals_are_logged_without_bodies(embedded: Ingestion) -> None:
    send(embedded, signal(email="secret@nowhere"), "/v1/signals/cart/add", key="pk_refused_key")

    wait_until(lambda: any(row.key_prefix == "pk_refus" for row in embedded.store.refusals()))
    row = next(row for row in embedded.store.refusals() if row.key_prefix == "pk_refus")
    assert (row.status, row.code, row.kind, row.count) == (401, "unknown_key", "cart/add", 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
NESTED = st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth)
PLACES = [("id",), ("time",), ("sentAt",), ("source",), ("data",)] + [
    ("data", name) for name in ("items", "email", "site", "signal", "idType", "note", "attributes", "cartId")
]


@st.composite
def hostile_bodies(draw: st.DrawFn) -> bytes:
    """Arbitrary bytes, arbitrary JSON, and signals with something arbitrary at one place."""
    shape = draw(st.sampled_from(["bytes", "json", "place", "place", "nested", "number"]))
    if shape == "bytes":
        return draw(st.binary(max_size=100))
    if shape == "json":
        return json.dumps(draw(JSON)).encode()
    item = signal()
    *outer, last = draw(st.sampled_from(PLACES))
    target: dict[str, Any] = item["data"] if outer else item
    target[last] = "@@@"
    wrapped = [item] if draw(st.booleans()) else item
    if shape == "place":
        inside = json.dumps(draw(JSON))
    elif shape == "nested":
        inside = draw(NESTED)
    else:
        inside = draw(
            st.sampled_from(["1" + "0" * 400, "1" + "0" * 5000, "1e999", "-1e999", "NaN", "Infinity", "-0.0"])
        )
    return json.dumps(wrapped).replace('"@@@"', inside).encode()


@given(body=hostile_bodies(), path=st.sampled_from(["/v1/signals", "/v1/signals/cart/add", "/v1/signals/page/view"]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_makes_the_service_fail(embedded: Ingestion, body: bytes, path: str) -> None:
    response = send(embedded, body, path)

    assert response.status_code in {200, 400, 413, 422}, response.get_data()
    document = json.loads(response.get_data())
    if response.status_code == 200:
        assert {result["status"] for result in document["results"]} <= {200, 403, 404, 413, 422}


@given(
    key=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    origin=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_makes_the_service_fail(embedded: Ingestion, key: str, origin: str) -> None:
    headers = {"X-Api-Key": key, "Origin": f"https://{origin}"}

    assert send(embedded, signal(), headers=headers).status_code == 401
    assert embedded.app.test_client().options("/v1/signals", headers={"Origin": f"https://{origin}"}).status_code == 204


def test_a_broker_that_is_away_means_503_and_not_ready(tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL="amqp://guest:guest@127.0.0.1:1/"))
    configure(ingestion, configuration())

    single = send(ingestion, signal(), "/v1/signals/cart/add")
    batch = send(ingestion, [signal(), signal("s2")])
    mixed = send(ingestion, [signal(), signal(email="no")])
    ready = ingestion.app.test_client().get("/readyz")
    ingestion.close()

    assert (single.status_code, batch.status_code, mixed.status_code, ready.status_code) == (503, 503, 200, 503)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in (single, batch, mixed))
    assert statuses(batch) == [503, 503]
    assert statuses(mixed) == [503, 422]
    assert "broker" in ready.get_data(as_text=True)


def test_a_stuck_embedded_broker_means_503_until_it_is_free_again(tmp_path: Path) -> None:
    ingestion = start_ingestion(settings_for(tmp_path))
    configure(ingestion, configuration())
    assert statuses(send(ingestion, signal("s1"))) == [200]
    client = ingestion.app.test_client()
    wait_until(lambda: client.get("/readyz").status_code == 200)

    blocker = sqlite3.connect(tmp_path / "broker.db", isolation_level=None)
    blocker.execute("begin immediate")
    stuck = send(ingestion, signal("s2"))
    unready = client.get("/readyz")
    blocker.execute("rollback")
    blocker.close()

    assert stuck.status_code == 503
    assert unready.status_code == 503
    wait_until(lambda: send(ingestion, signal("s2")).status_code == 200)
    wait_until(lambda: client.get("/readyz").status_code == 200)
    ingestion.close()


@pytest.mark.rabbitmq
@pytest.mark.slow
def test_a_killed_rabbitmq_means_503_until_it_is_back(
    rabbitmq_node: RabbitMQNode, rabbitmq_url: str, tmp_path: Path
) -> None:
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=rabbitmq_url, MOMENTS_PARTITIONS="4"))
    publish_state(ingestion, configuration())
    wait_until(lambda: ingestion.app.test_client().get("/readyz").status_code == 200)
    rabbitmq_node.settle()
    acknowledged = [n for n in range(50) if send(ingestion, signal(str(n))).status_code == 200]

    rabbitmq_node.kill()
    wait_until(lambda: send(ingestion, signal("lost")).status_code == 503)
    assert ingestion.app.test_client().get("/readyz").status_code == 503
    rabbitmq_node.ensure_running()
    wait_until(lambda: send(ingestion, signal("back")).status_code == 200, 60)
    wait_until(lambda: ingestion.app.test_client().get("/readyz").status_code == 200, 30)

    found = {delivery.message_id for delivery in published(ingestion, len(acknowledged) + 1)}
    assert {*map(str, acknowledged), "back"} <= found
    ingestion.close()


def parcel(*signals: dict[str, Any], key: str = "pk_1", **more: Any) -> bytes:
    return json.dumps({"key": key, "signals": list(signals), **more}).encode()


PLAIN = {"Content-Type": "text/plain;charset=UTF-8", "Origin": ORIGIN}


def test_a_parcel_is_taken_without_a_header_and_answered_to_its_origin(embedded: Ingestion) -> None:
    answer = send(embedded, parcel(signal("p1"), signal("p2", email="no")), key=None, headers=PLAIN)

    assert statuses(answer) == [200, 422]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        ("pk_1", "https://evil.example.net", 403),
        ("pk_1", "https://shop.example.com.evil.io", 403),
        ("pk_1", "null", 403),
        ("pk_unknown", ORIGIN, 401),
        ("sk_1", ORIGIN, 401),
    ],
)
def test_a_parcel_is_admitted_by_the_rules_of_every_request(
    embedded: Ingestion, key: str, origin: str, status: int
) -> None:
    answer = send(embedded, parcel(signal("p3"), key=key), key=None, headers={**PLAIN, "Origin": origin})

    assert answer.status_code == status
    assert key not in answer.get_data(as_text=True)


def test_a_parcel_corrects_the_senders_clock(ingestion: Ingestion) -> None:
    late = {"time": "2020-01-01T00:00:00Z"}

    send(ingestion, parcel({**signal("p4"), **late}, sentAt="2020-01-01T00:00:10Z"), key=None, headers=PLAIN)

    (delivery,) = published(ingestion, 1)
    read = decode_signal(delivery.body)
    assert read.received_at - read.time == 10_000_000


def test_only_the_batch_takes_plain_text(embedded: Ingestion) -> None:
    assert send(embedded, parcel(signal()), "/v1/signals/cart/add", headers=PLAIN).status_code == 415
    assert send(embedded, b"no json", key=None, headers=PLAIN).status_code == 400


def test_the_sdk_is_kept_for_good_under_its_version_and_shortly_under_its_alias(embedded: Ingestion) -> None:
    client = embedded.app.test_client()
    alias = client.get("/sdk/signals.js")
    version = alias.headers["ETag"].partition('"')[2].rstrip('"')

    kept = client.get(f"/sdk/signals-{version}.js", headers={"Accept-Encoding": "gzip"})

    assert "immutable" in kept.headers["Cache-Control"]
    assert gzip.decompress(kept.data) == alias.data
    assert "max-age=300" in alias.headers["Cache-Control"]
    assert client.get("/sdk/signals.js", headers={"If-None-Match": alias.headers["ETag"]}).status_code == 304
    older = client.get("/sdk/signals-000000000000.js")
    assert (older.status_code, older.headers["Location"]) == (302, "/sdk/signals.js")
    assert "immutable" not in older.headers["Cache-Control"]
    assert kept.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.fixture(params=["0"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ingestion]:
    """A process that takes five signals at once of a key, four of an address and three of a profile; behind so many
    proxies."""
    rates = {"MOMENTS_LIMIT_KEY": "5", "MOMENTS_LIMIT_ADDRESS": "4", "MOMENTS_LIMIT_PROFILE": "3"}
    more = {"MOMENTS_LIMIT_BURST_SECONDS": "1", "MOMENTS_TRUSTED_PROXIES": request.param}
    clock = ManualClock(1_800_000_000_000_000)
    started = start_ingestion(settings_for(tmp_path, MOMENTS_PARTITIONS="4", **rates, **more), clock)
    configure(started, configuration())
    yield started
    started.close()


def test_a_key_that_sends_too_much_is_told_when_to_come_again(limited: Ingestion) -> None:
    first = send(limited, [signal(f"s{number}") for number in range(5)])
    second = send(limited, signal("s6"), "/v1/signals/cart/add")

    assert statuses(first) == [200] * 5
    assert (second.status_code, second.headers["Retry-After"]) == (429, "1")
    assert second.get_json()["code"] == "rate_limited"


def test_an_address_is_limited_with_public_keys_alone(limited: Ingestion) -> None:
    web = [signal(f"w{number}", email=f"{number}@example.com") for number in range(4)]

    assert statuses(send(limited, web, key="pk_1", headers=WEB)) == [200] * 4
    assert send(limited, signal("w5"), key="pk_1", headers=WEB).status_code == 429
    assert send(limited, signal("w6"), key="ak_1").status_code == 429
    assert send(limited, signal("w7")).status_code == 200


def test_one_profile_cannot_be_told_of_without_end(limited: Ingestion) -> None:
    answer = send(limited, [signal(f"p{number}") for number in range(4)], key="pk_1", headers=WEB)

    assert statuses(answer) == [200, 200, 200, 429]
    assert answer.headers["Retry-After"] == "1"


def test_guessing_keys_has_an_end(limited: Ingestion) -> None:
    answers = [send(limited, signal(), key=f"pk_guess{number}").status_code for number in range(6)]

    assert answers == [401] * 4 + [429] * 2


@pytest.mark.parametrize("limited", ["0", "1"], indirect=True)
def test_nobody_gets_round_the_limit_of_an_address_by_inventing_others(
    limited: Ingestion, request: pytest.FixtureRequest
) -> None:
    """Whatever stands in front of what the nearest proxy wrote came from the client."""
    behind = request.node.callspec.params["limited"] == "1"

    def ask(invented: str, told: str) -> int:
        chain = f"{invented}, {told}" if behind else invented
        named = {"X-Forwarded-For": chain, "X-Real-Ip": invented, "Forwarded": f"for={invented}"}
        return send(limited, signal(), key="pk_guess", headers=named).status_code

    answers = [ask(f"192.0.2.{number}", "198.51.100.7") for number in range(6)]

    assert answers == [401] * 4 + [429] * 2
    assert ask("192.0.2.99", "198.51.100.8") == (401 if behind else 429)


def test_segment_clients_are_told_to_wait_in_their_own_words(limited: Ingestion) -> None:
    call = {"type": "track", "userId": "u", "event": "Cart Viewed", "timestamp": "2026-11-23T10:00:00Z"}
    batch = {"writeKey": "sk_1:secret", "batch": [call | {"messageId": str(number)} for number in range(9)]}

    assert send(limited, batch, "/v1/batch", key=None).status_code == 200
    answer = send(limited, batch, "/v1/batch", key=None)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.get_json()["success"] is False
