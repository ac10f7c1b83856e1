"""The lists behind a moment's numbers: by reason, by the time of the decision, and what was recovered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, to_rfc3339
from services.trigger.wiring import Trigger
from shared.settings import Settings
from tests.support.desk import START, Desk

TOKEN = "a-token-for-the-tests"
MOMENT = "/api/v1/moments/m1"
Get = Callable[..., Any]


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    made.close()


@pytest.fixture
def get(desk: Desk, tmp_path: Path, database_url: str) -> Iterator[Get]:
    environment = {"MOMENTS_DATA": str(tmp_path), "MOMENTS_TRIGGER_DATABASE_URL": database_url}
    environment["MOMENTS_ADMIN_TOKEN"] = TOKEN
    trigger = Trigger(Settings.from_environment(environment), desk.clock)
    trigger.start()
    client = trigger.app.test_client()

    def read(path: str, status: int = 200, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = client.get(f"{MOMENT}{path}", headers=headers, query_string=query)
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    yield read
    trigger.close()


def pages(get: Get, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a list, read one at a time."""
    items: list[dict[str, Any]] = []
    page = get(path, limit=1, **query)
    while page["next"] is not None:
        items += page["items"]
        page = get(path, limit=1, cursor=page["next"], **query)
    return items + page["items"]


def profiles(items: list[dict[str, Any]]) -> list[str]:
    return [item["profile"]["id"] for item in items]


def test_outcomes_are_found_by_reason_and_by_when_they_were_decided(desk: Desk, get: Get) -> None:
    desk.run(duration="PT1M", coolDown="PT1H")
    desk.add("a", "b")
    desk.clock.advance(2 * MINUTE)
    desk.fire()
    first = desk.now
    desk.add("a")
    desk.clock.advance(2 * MINUTE)
    desk.fire()
    second = desk.now
    desk.clock.advance(HOUR)
    desk.add("b")
    desk.clock.advance(2 * MINUTE)
    desk.fire()

    assert sorted(profiles(pages(get, "/events", outcome="all"))) == ["a", "a", "b", "b"]
    assert profiles(pages(get, "/events", outcome="suppressed", reason="cool_down")) == ["a"]
    assert profiles(pages(get, "/events", outcome="all", reason="cool_down")) == ["a"]
    assert pages(get, "/events", reason="cool_down") == []
    assert pages(get, "/events", outcome="all", reason="nobody") == []
    assert profiles(pages(get, "/events", **{"from": to_rfc3339(second)})) == ["b"]
    assert sorted(profiles(pages(get, "/events", to=to_rfc3339(second)))) == ["a", "b"]
    between = {"from": to_rfc3339(first + 1), "to": to_rfc3339(second + 1)}
    assert {item["decidedAt"] for item in pages(get, "/events", outcome="all", **between)} == {to_rfc3339(second)}
    assert get("/events", 422, reason="\0")["errors"][0]["parameter"] == "reason"
    assert get("/events", 422, **{"from": "yesterday"})["errors"][0]["parameter"] == "from"


def test_recoveries_are_listed_with_their_value_the_newest_first(desk: Desk, get: Get) -> None:
    desk.run(duration="PT1M")
    desk.add("ada", "bob", "eve")
    desk.clock.advance(2 * MINUTE)
    desk.fire()
    raised = {item["profile"]["id"]: item["id"] for item in get("/events")["items"]}
    (bought,) = desk.add("ada", kind="cart/purchase")
    earlier = desk.now
    desk.clock.advance(SECOND)
    desk.add("bob", kind="cart/purchase")

    items = pages(get, "/recoveries")

    assert profiles(items) == ["bob", "ada"]
    assert items[1] == {
        "raiseId": raised["ada"],
        "signal": {"source": "shop", "id": bought.id},
        "time": to_rfc3339(bought.time),
        "receivedAt": to_rfc3339(bought.received_at),
        "recordedAt": to_rfc3339(earlier),
        "value": [{"amount": 2.5, "currency": "EUR"}],
        "profile": {"idType": "email", "id": "ada"},
        "process": {"kind": "cart", "id": "k"},
    }
    assert profiles(pages(get, "/recoveries", to=to_rfc3339(desk.now))) == ["ada"]
    assert profiles(pages(get, "/recoveries", **{"from": to_rfc3339(desk.now)})) == ["bob"]
    assert pages(get, "/recoveries", **{"from": to_rfc3339(START + DAY)}) == []
