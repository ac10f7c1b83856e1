"""What a browser is told over HTTP: whose Origin is echoed, and that no cache mixes the answers up (DOMAIN §3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from contracts.configurations import KeyState
from services.ingestion.wiring import Ingestion
from shared.clock import ManualClock
from tests.support.ingestion import ORIGIN, configuration, configure, send, settings_for, signal, start_ingestion

PLACES = ("/v1/signals", "/v1/signals/cart/add", "/v1/signals/what/ever", "/v1/batch", "/v1/t", "/elsewhere")
DOMAINS = ("shop.example.com", "*.example.org", "xn--bcher-kva.example")
ORIGINS = [
    (ORIGIN, True),
    ("http://SHOP.example.com:8080", True),
    ("https://shop.example.com.", True),
    ("https://a.b.example.org", True),
    ("https://xn--bcher-kva.example", True),
    ("https://example.org", False),
    ("https://evilexample.org", False),
    ("https://shop.example.com.evil.io", False),
    ("https://evilshop.example.com", False),
    ("https://shop.example.com@evil.io", False),
    ("https://shop.example.com/", False),
    ("https://shop.example.com, https://evil.io", False),
    ("https://shop.example.com https://shop.example.com", False),
    ("https://shop%2eexample.com", False),
    ("https://shop.example.com\xa0", False),
    ("ftp://shop.example.com", False),
    ("http://[::1]", False),
    ("null", False),
    ("", False),
    (None, False),
]


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingestion]:
    """One process with two configurations: the second has another domain and a disabled web key."""
    started = start_ingestion(settings_for(tmp_path_factory.mktemp("origins"), MOMENTS_PARTITIONS="4"))
    off = (KeyState(id="pk_2", type="web", enabled=False),)
    configure(started, configuration(domains=DOMAINS), configuration(id="c2", domains=("two.example.com",), keys=off))
    yield started
    started.close()


def preflight(ingestion: Ingestion, path: str, origin: str | None, **more: str) -> TestResponse:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-api-key"}
    return ingestion.app.test_client().options(path, headers={**asked, **_origin(origin), **more})


def _origin(origin: str | None) -> dict[str, str]:
    return {} if origin is None else {"Origin": origin}


def told(answer: TestResponse) -> str | None:
    """The Origin that may read the answer; in passing, what holds for every answer."""
    assert "Origin" in {name.strip() for value in answer.headers.getlist("Vary") for name in value.split(",")}
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS)
def test_an_origin_is_echoed_as_it_came_or_not_at_all(ingestion: Ingestion, origin: str | None, allowed: bool) -> None:
    asked = preflight(ingestion, "/v1/signals/cart/add", origin)
    sent = send(ingestion, signal(), "/v1/signals/cart/add", key="pk_1", headers=_origin(origin))

    assert (asked.status_code, sent.status_code) == (204, 200 if allowed else 403)
    assert told(asked) == told(sent) == (origin if allowed else None)


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("key", [{}, {"X-Api-Key": "pk_unknown"}, {"X-Api-Key": "sk_1:wrong"}])
def test_a_preflight_is_answered_before_any_key_is_looked_at_and_is_kept_for_two_hours(
    ingestion: Ingestion, path: str, key: Mapping[str, str]
) -> None:
    answer = preflight(ingestion, path, ORIGIN, **key)

    assert (answer.status_code, told(answer)) == (204, ORIGIN)
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    headers = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"content-type", "x-api-key", "content-encoding"} <= set(headers)


def test_a_preflight_of_a_stranger_is_told_nothing_that_could_be_kept(ingestion: Ingestion) -> None:
    answer = preflight(ingestion, "/v1/signals", "https://evil.io")

    assert (answer.status_code, told(answer)) == (204, None)
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    ("body", "path", "headers", "status", "read"),
    [
        (signal(), "/v1/signals", {"X-Api-Key": "pk_1"}, 200, True),
        (b"{", "/v1/signals", {"X-Api-Key": "pk_1"}, 400, True),
        (signal(), "/v1/signals", {}, 401, True),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_unknown"}, 401, True),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_1:secret"}, 401, True),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_2"}, 403, False),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_2", "Origin": "https://two.example.com"}, 403, True),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_1", "Origin": "https://two.example.com"}, 403, False),
        (signal(site="evil.io"), "/v1/signals/cart/add", {"X-Api-Key": "pk_1"}, 403, True),
        (signal(), "/v1/signals/cart/fly", {"X-Api-Key": "pk_1"}, 404, True),
        (signal(), "/elsewhere", {"X-Api-Key": "pk_1"}, 404, True),
        (b" " * 500_001, "/v1/signals", {"X-Api-Key": "pk_1"}, 413, True),
        (signal(), "/v1/signals", {"X-Api-Key": "pk_1", "Content-Type": "text/html"}, 415, True),
        (signal(email="no"), "/v1/signals/cart/add", {"X-Api-Key": "pk_1"}, 422, True),
        ({"batch": []}, "/v1/batch", {"X-Api-Key": "pk_unknown"}, 401, True),
        ({"batch": []}, "/v1/batch", {"X-Api-Key": "pk_1"}, 200, True),
    ],
)
def test_every_answer_varies_by_origin_and_is_read_by_the_sites_of_its_key_alone_where_it_is_known(
    ingestion: Ingestion, body: Any, path: str, headers: Mapping[str, str], status: int, read: bool
) -> None:
    origin = headers.get("Origin", ORIGIN)

    answer = send(ingestion, body, path, key=None, headers={"Origin": origin, **headers})

    assert (answer.status_code, told(answer)) == (status, origin if read else None)


def test_a_refusal_for_too_much_can_be_read_by_the_page_with_its_time_to_wait(tmp_path: Path) -> None:
    rates = {"MOMENTS_LIMIT_ADDRESS": "1", "MOMENTS_LIMIT_BURST_SECONDS": "1"}
    limited = start_ingestion(settings_for(tmp_path, **rates), ManualClock(1_800_000_000_000_000))
    configure(limited, configuration())

    first = send(limited, signal("s1"), key="pk_1", headers=_origin(ORIGIN))
    second = send(limited, signal("s2"), key="pk_1", headers=_origin(ORIGIN))
    stranger = send(limited, signal("s3"), key="pk_unknown", headers=_origin("https://evil.io"))
    asked = preflight(limited, "/v1/signals", ORIGIN)
    limited.close()

    assert [answer.status_code for answer in (first, second, stranger, asked)] == [200, 429, 429, 204]
    assert [told(answer) for answer in (first, second, stranger, asked)] == [ORIGIN, ORIGIN, None, ORIGIN]
    assert "Retry-After" in second.headers
    assert "Retry-After" in second.headers["Access-Control-Expose-Headers"]
