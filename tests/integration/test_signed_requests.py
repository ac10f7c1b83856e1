"""Requests that a server signs, over HTTP: each way in, packed or not, and what a copy of one does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from contracts.signatures import signature_of, signing_secret
from services.ingestion.wiring import Ingestion
from shared.clock import ManualClock
from tests.support.ingestion import PEPPER, configuration, configure, send, settings_for, signal, start_ingestion

NOON = 1_795_435_200
SECRET = signing_secret(PEPPER.encode(), "sk_1")


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock(NOON * 1_000_000)


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Ingestion]:
    """A process whose server key needs signed requests, with a tolerance of one minute."""
    settings = settings_for(
        tmp_path_factory.mktemp("ingestion"), MOMENTS_PARTITIONS="4", MOMENTS_SIGNATURE_SECONDS="60"
    )
    started = start_ingestion(settings, clock)
    *others, server = configuration().keys
    configure(started, configuration(keys=(*others, msgspec.structs.replace(server, signed=True))))
    yield started
    started.close()


def headers(body: bytes, path: str, at: int = NOON, **more: str) -> dict[str, str]:
    """The headers of a signed request."""
    signature = signature_of(SECRET, str(at), path, body)
    return {"Signal-Timestamp": str(at), "Signal-Signature": signature, **more}


def told(ingestion: Ingestion, body: bytes, path: str, given: dict[str, str], key: str | None = "sk_1") -> Any:
    """The status, and the code where it is refused as a whole."""
    answer = send(ingestion, body, path, key=key, headers=given)
    return answer.status_code, answer.get_json().get("code")


def test_every_way_in_takes_a_signed_request_and_no_other(ingestion: Ingestion) -> None:
    one, parcel = json.dumps(signal()).encode(), json.dumps({"key": "sk_1", "signals": [signal()]}).encode()
    call = json.dumps({"userId": "7", "event": "Product Viewed", "messageId": "m", "writeKey": "sk_1"}).encode()
    event = json.dumps({**signal(), "specversion": "1.0", "type": "signal.cart.add", "source": "s"}).encode()
    ways: list[tuple[bytes, str, str | None, dict[str, str]]] = [
        (one, "/v1/signals/cart/add", "sk_1", {}),
        (b"[" + one + b"]", "/v1/signals", "sk_1", {}),
        (gzip.compress(one), "/v1/signals", "sk_1", {"Content-Encoding": "gzip"}),
        (parcel, "/v1/signals", None, {"Content-Type": "text/plain"}),
        (event, "/v1/signals", "sk_1", {"Content-Type": "application/cloudevents+json"}),
        (call, "/v1/track", None, {}),
    ]

    for body, path, key, more in ways:
        assert told(ingestion, body, path, headers(body, path, **more), key) == (200, None)
        assert told(ingestion, body, path, more, key) == (401, "missing_signature")
        other = headers(body + b" ", path, **more)
        assert told(ingestion, body, path, other, key) == (401, "wrong_signature")


def test_an_event_whose_attributes_are_headers_is_not_covered_by_a_signature(ingestion: Ingestion) -> None:
    body, path = json.dumps(signal()["data"]).encode(), "/v1/signals"
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "signal.cart.add"}
    attributes["ce-time"] = "2026-11-23T10:15:30Z"

    assert told(ingestion, body, path, headers(body, path, **attributes)) == (401, "wrong_signature")


def test_a_copy_of_a_request_is_the_same_signal_again_and_then_too_old(
    ingestion: Ingestion, clock: ManualClock
) -> None:
    body, path = json.dumps([signal("copied")]).encode(), "/v1/signals"
    given = headers(body, path)

    first, second = (send(ingestion, body, path, key="sk_1", headers=given).get_json() for _ in range(2))
    clock.advance(61 * 1_000_000)
    late = told(ingestion, body, path, given)

    assert first == second == {"results": [{"id": "copied", "status": 200}]}
    assert late == (401, "stale_signature")
    clock.advance(-61 * 1_000_000)
