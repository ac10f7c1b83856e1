"""Trigger's REST, over what the real worker has written, and without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from contracts.times import DAY, HOUR, to_rfc3339
from services.trigger.api.cursors import cursor_text
from services.trigger.store.records import note_worker
from services.trigger.store.spools import SpoolRow, save_spools
from services.trigger.wiring import WORKER_AWAY, Trigger
from shared.clock import ManualClock
from shared.settings import Settings
from shared.store import connected
from tests.integration.trigger_rig import STACKS, Rig, running_rig, seconds, wait_until

MOMENT = "/api/v1/moments/m1"


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


@pytest.fixture
def trigger(rig: Rig) -> Iterator[Trigger]:
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    yield trigger
    trigger.close()


@pytest.fixture
def get(trigger: Trigger) -> Callable[..., Any]:
    client = trigger.app.test_client()

    def read(path: str, status: int = 200) -> Any:
        answer = client.get(path, headers={"Authorization": "Bearer a-token-for-the-tests"})
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    return read


def pages(get: Callable[..., Any], path: str) -> list[dict[str, Any]]:
    """All items of a list, read two at a time."""
    items: list[dict[str, Any]] = []
    page = get(f"{path}{'&' if '?' in path else '?'}limit=2")
    while True:
        items += page["items"]
        assert len(page["items"]) <= 2
        if page["next"] is None:
            return items
        page = get(f"{path}{'&' if '?' in path else '?'}limit=2&cursor={page['next']}")


def test_what_became_of_a_moments_waits_can_be_read(rig: Rig, get: Callable[..., Any]) -> None:
    rig.moment("m1", duration="PT2S", minimumValue={"amount": 5.0, "currency": "EUR"})
    rig.moment("m2", duration="PT2H")
    rig.start()
    for n in range(5):
        rig.send(rig.signal(f"rich{n}@example.com"), rig.signal(f"rich{n}@example.com"))
    for n in range(3):
        rig.add(f"poor{n}@example.com")
    rig.add("buyer@example.com")
    rig.purchase("buyer@example.com")
    rig.listen_until(lambda: len(rig.raised()) == 5 and len(rig.recorded()) == 8, "all outcomes")
    late = next(event for event in rig.events if event.profile == "rich0@example.com")
    contradiction = rig.signal("rich0@example.com", at=late.due_at - 1)
    rig.send(contradiction)
    wait_until(rig.applied, "the signals to be applied")

    raised = get(f"{MOMENT}/events")["items"]
    assert [item["id"] for item in raised] == [item["id"] for item in pages(get, f"{MOMENT}/events")]
    assert {item["id"] for item in raised} == rig.raised()
    assert {item["outcome"] for item in raised} == {"raised"}
    assert [item["decidedAt"] for item in raised] == sorted((item["decidedAt"] for item in raised), reverse=True)
    sent = {event.id: event.data for event in rig.events}
    assert {item["id"]: item["data"] for item in raised} == sent
    assert {item["dueAt"] for item in raised} == {data["dueAt"] for data in sent.values()}

    suppressed = pages(get, f"{MOMENT}/events?outcome=suppressed")
    assert [(item["outcome"], item["reason"], item["data"]) for item in suppressed] == [
        ("suppressed", "minimum_value", None)
    ] * 3
    assert {item["profile"]["id"] for item in suppressed} == {f"poor{n}@example.com" for n in range(3)}
    assert {item["process"]["id"] for item in [*suppressed, *raised]} == {"k"}
    assert {item["profile"]["id"] for item in raised} == {event.profile for event in rig.events}
    assert len(pages(get, f"{MOMENT}/events?outcome=all")) == 8

    assert get(f"{MOMENT}/ledger") == {
        "opened": 9,
        "slid": 5,
        "raised": 5,
        "pending": 0,
        "contradicted": 1,
        "ignored": 0,
        "ended": {"cart/purchase": 1},
        "suppressed": {"minimum_value": 3},
        "balanced": True,
    }
    assert get(f"{MOMENT}/contradictions")["items"] == [
        {
            "raiseId": late.id,
            "signal": {"source": "shop", "id": contradiction.id},
            "time": to_rfc3339(contradiction.time),
            "receivedAt": to_rfc3339(contradiction.received_at),
            "profile": {"idType": "email", "id": "rich0@example.com"},
            "process": {"kind": "cart", "id": "k"},
        }
    ]
    assert get(f"{MOMENT}/waits") == {"items": [], "next": None}
    waits = pages(get, "/api/v1/moments/m2/waits")
    assert len(waits) == 8
    assert get("/api/v1/moments/m2/ledger")["pending"] == 8


def test_a_pending_wait_shows_its_true_due(rig: Rig, get: Callable[..., Any]) -> None:
    rig.moment(duration="PT2H")
    rig.start()
    first = rig.add("ada@example.com")
    other = rig.add("bob@example.com")
    last = rig.add("ada@example.com")
    wait_until(rig.applied, "the signals to be applied")

    waits = {item["profile"]["id"]: item for item in pages(get, f"{MOMENT}/waits")}

    assert waits == {
        "ada@example.com": {
            "profile": {"idType": "email", "id": "ada@example.com"},
            "process": {"kind": "cart", "id": "k"},
            "openedAt": to_rfc3339(first.time),
            "lastActivityAt": to_rfc3339(last.time),
            "dueAt": to_rfc3339(last.time + 2 * HOUR),
        },
        "bob@example.com": {
            "profile": {"idType": "email", "id": "bob@example.com"},
            "process": {"kind": "cart", "id": "k"},
            "openedAt": to_rfc3339(other.time),
            "lastActivityAt": to_rfc3339(other.time),
            "dueAt": to_rfc3339(other.time + 2 * HOUR),
        },
    }


def test_the_metrics_are_those_of_the_scrape(rig: Rig, trigger: Trigger, get: Callable[..., Any]) -> None:
    rig.moment(duration="PT1H")
    rig.started()
    rig.add("ada@example.com")
    rig.add("bob@example.com")
    rig.purchase("bob@example.com")
    wait_until(rig.applied, "the signals to be applied")
    wait_until(lambda: rig.seen("trigger-1"), "the worker to tell that it lives")

    found = metrics(trigger.app.test_client())

    assert found['moments_waits_pending{moment="m1"}'] == 1
    assert found['moments_ledger_total{counter="opened",moment="m1",reason=""}'] == 2
    assert found['moments_ledger_total{counter="ended",moment="m1",reason="cart/purchase"}'] == 1
    assert found["moments_oldest_overdue_wait_seconds"] == 0
    assert found["moments_trigger_outbox_waiting"] == 0
    assert found["moments_trigger_database_up"] == 1
    assert 0 <= found["moments_trigger_worker_seen_seconds"] < 10
    checks = dict.fromkeys(("database", "worker", "spools", "erasures", "disk"), "ok")
    assert get("/readyz") == {"status": "ready", "checks": checks}


def metrics(client: FlaskClient) -> dict[str, float]:
    """Name with labels → value."""
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_an_overdue_wait_is_seen_in_the_metrics_while_the_worker_is_away(rig: Rig, trigger: Trigger) -> None:
    rig.moment(duration="PT2S")
    rig.start()
    rig.add("ada@example.com")
    wait_until(lambda: rig.pending() == 1, "a wait")
    rig.kill()

    wait_until(lambda: metrics(trigger.app.test_client())["moments_oldest_overdue_wait_seconds"] > 0, "an overdue wait")

    rig.start()
    rig.listen_until(lambda: rig.events, "the moment")


@pytest.fixture
def alone(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    """An installation without a worker, on each database."""
    made = Rig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url)
    yield made
    made.close()


def test_readiness_needs_a_worker_that_was_seen_lately(alone: Rig) -> None:
    clock = ManualClock(DAY)
    trigger = Trigger(alone.settings, clock)
    trigger.start()
    client = trigger.app.test_client()

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json(force=True)["errors"] == [{"pointer": "/worker", "reason": "no worker was seen yet"}]

    with connected(alone.database):
        note_worker(alone.rows, "trigger-1", clock.now(), [1, 2])
    clock.advance(WORKER_AWAY)
    assert client.get("/readyz").status_code == 200
    clock.advance(seconds(1))
    assert client.get("/readyz").get_json(force=True)["detail"] == "worker: no worker was seen for 16 s"
    assert client.get("/healthz").status_code == 200
    trigger.close()


@pytest.mark.parametrize("part", ["events", "ledger", "waits", "recoveries", "contradictions"])
def test_every_resource_needs_the_token_and_a_known_moment(alone: Rig, part: str) -> None:
    trigger = Trigger(alone.settings, alone.clock)
    trigger.start()
    client = trigger.app.test_client()

    assert client.get(f"{MOMENT}/{part}").status_code == 401
    assert client.get(f"{MOMENT}/{part}", headers={"Authorization": "Bearer wrong"}).status_code == 401
    answer = client.get(f"{MOMENT}/{part}", headers={"Authorization": "Bearer a-token-for-the-tests"})
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["type"] == "urn:moments:problem:unknown-moment"
    trigger.close()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("cursor=nonsense", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=kwHE", "cursor"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("outcome=lost", "outcome"),
        ("colour=red", "colour"),
    ],
)
def test_a_wrong_query_is_refused_with_the_parameter(alone: Rig, query: str, parameter: str) -> None:
    trigger = Trigger(alone.settings, alone.clock)
    trigger.start()

    answer = trigger.app.test_client().get(
        f"{MOMENT}/events?{query}", headers={"Authorization": "Bearer a-token-for-the-tests"}
    )

    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.get_json(force=True)["errors"]] == [parameter]
    trigger.close()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("events", (2**63, "id")),
        ("events", (1, "\0")),
        ("waits", (2**63, b"key", 1)),
        ("waits", (1, b"key", 2**63)),
        ("contradictions", (2**63, b"key", "source", "id")),
        ("contradictions", (1, b"key", "\0", "id")),
    ],
)
def test_a_forged_cursor_is_never_an_error_of_the_service(get: Callable[..., Any], part: str, place: Any) -> None:
    get(f"{MOMENT}/{part}?cursor={cursor_text(place)}", status=422)


def test_an_id_that_no_database_can_hold_is_unknown(get: Callable[..., Any]) -> None:
    get("/api/v1/moments/%00/events", status=404)


def test_without_its_database_the_service_says_so_and_comes_back(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "MOMENTS_DATA": str(tmp_path),
            "MOMENTS_TRIGGER_DATABASE_URL": "postgresql://moments@127.0.0.1:1/nowhere",
            "MOMENTS_ADMIN_TOKEN": "a-token-for-the-tests",
        }
    )
    trigger = Trigger(settings, ManualClock(DAY))
    trigger.start()
    client = trigger.app.test_client()

    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert metrics(client)["moments_trigger_database_up"] == 0
    answer = client.get(f"{MOMENT}/events", headers={"Authorization": "Bearer a-token-for-the-tests"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    trigger.close()


def test_machines_that_hold_raises_back_are_told_of(alone: Rig) -> None:
    clock = ManualClock(DAY)
    trigger = Trigger(alone.settings, clock)
    trigger.start()
    client = trigger.app.test_client()
    rows = [
        SpoolRow("shop-1", 7, DAY - seconds(90), DAY, 1200, "here"),
        SpoolRow("shop-2", 7, DAY + seconds(2), DAY, 0, "here"),
        SpoolRow("shop-3", 7, 0, 0, 9, "passed"),
        SpoolRow("shop-4", 7, 0, 0, 9, "left"),
    ]
    with connected(alone.database), alone.database.atomic():
        note_worker(alone.rows, "trigger-1", clock.now(), [1, 2])
        save_spools(alone.rows, rows)

    told = client.get("/readyz").get_json(force=True)["checks"]["spools"]
    found = metrics(client)
    trigger.close()

    assert told == ("raises wait for shop-1, 90 s behind: 1200 signals wait there; shop-3 was passed over")
    assert found['moments_spool_behind_seconds{machine="shop-1"}'] == 90
    assert found['moments_spool_behind_seconds{machine="shop-2"}'] == 0
    assert found['moments_spool_waiting{machine="shop-1"}'] == 1200
    assert [found[f'moments_spools{{state="{state}"}}'] for state in ("here", "left", "passed")] == [2, 1, 1]
