"""The analytics of moments by REST, over what the real worker has counted (DOMAIN §8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from contracts.times import DAY, HOUR, MINUTE, from_rfc3339, to_rfc3339
from services.trigger.api.analytics import counts_document
from services.trigger.api.periods import MOST_POINTS
from services.trigger.engine.effects import Effects
from services.trigger.store.records import add_counts
from services.trigger.wiring import Trigger
from shared.clock import ManualClock
from shared.store import connected
from tests.integration.trigger_rig import STACKS, Rig, running_rig, wait_until

MOMENT = "/api/v1/moments/m1/analytics"
TOKEN = {"Authorization": "Bearer a-token-for-the-tests"}
NOON = from_rfc3339("2026-11-26T12:00:00Z")

Get = Callable[..., Any]


def getter(trigger: Trigger) -> Get:
    client = trigger.app.test_client()

    def read(path: str, status: int = 200) -> Any:
        answer = client.get(path, headers=TOKEN)
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    return read


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with running_rig(request, tmp_path, request.param) as made:
        yield made


def test_the_numbers_are_those_of_the_ledger_and_the_outcomes(rig: Rig) -> None:
    rig.moment("m1", duration="PT2S", minimumValue={"amount": 5.0, "currency": "EUR"})
    rig.moment("m2", duration="PT2H")
    rig.start()
    for n in range(4):
        rig.send(rig.signal(f"rich{n}@example.com"), rig.signal(f"rich{n}@example.com"))
    rig.add("poor@example.com")
    rig.add("buyer@example.com")
    rig.purchase("buyer@example.com")
    rig.listen_until(lambda: len(rig.raised()) == 4 and len(rig.recorded()) == 5, "all outcomes")
    rig.add(
        "rich0@example.com", at=next(event for event in rig.events if event.profile == "rich0@example.com").due_at - 1
    )
    wait_until(rig.applied, "the signals to be applied")
    wait_until(lambda: not rig.read("SELECT 1 FROM outbox WHERE sent_at IS NULL"), "the outbox to be empty")
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    get = getter(trigger)

    document = get(f"{MOMENT}?period=PT1H")

    expected = {
        "signals": 12,
        "opened": 6,
        "slid": 4,
        "raised": 4,
        "contradicted": 1,
        "recovered": 0,
        "ignored": 0,
        "ended": {"cart/purchase": 1},
        "suppressed": {"minimum_value": 1},
        "recoveredValue": {},
    }
    assert document["totals"] == expected
    assert sum(point["raised"] for point in document["series"]) == 4
    assert document["granularity"] == "minute"
    assert len(document["series"]) == 60
    assert document["now"] == {"pending": 0, "nextDueAt": None}
    assert document["funnel"] == {
        "opened": 6,
        "raised": 4,
        "recovered": 0,
        "raisedRate": 0.6667,
        "recoveredRate": 0.0,
    }
    lateness = document["lateness"]
    assert lateness["count"] == 4
    assert 0 < lateness["p50"] <= lateness["p95"] <= lateness["p99"] < 10_000
    assert document["distinctProfiles"] == 4
    assert [item["id"] for item in document["latest"]] == [
        item["id"] for item in get("/api/v1/moments/m1/events?outcome=all")["items"]
    ]
    for granularity in ("minute", "hour", "day"):
        assert get(f"{MOMENT}?period=P1D&granularity={granularity}")["totals"] == expected

    other = get("/api/v1/moments/m2/analytics")
    assert other["now"]["pending"] == len(get("/api/v1/moments/m2/waits?limit=50")["items"]) == 5
    dues = [item["dueAt"] for item in get("/api/v1/moments/m2/waits?limit=50")["items"]]
    assert other["now"]["nextDueAt"] == min(dues)
    overview = {item["momentId"]: item for item in get("/api/v1/moments/analytics")["items"]}
    assert overview.keys() == {"m1", "m2"}
    assert (overview["m1"]["raised"], overview["m1"]["pending"], overview["m2"]["pending"]) == (4, 0, 5)
    assert len(overview["m1"]["raisedByHour"]) == 24
    assert sum(overview["m1"]["raisedByHour"]) == 4
    trigger.close()


@pytest.fixture
def alone(tmp_path: Path, database_url: str) -> Iterator[Rig]:
    """An installation without a worker, on each database, that knows the moment m1."""
    made = Rig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url)
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON + 30 * MINUTE + 17)


@pytest.fixture
def trigger(alone: Rig, clock: ManualClock) -> Iterator[Trigger]:
    from services.trigger.store.records import save_moment

    with connected(alone.database):
        save_moment(alone.rows, alone.moment("m1"))
    trigger = Trigger(alone.settings, clock)
    trigger.start()
    yield trigger
    trigger.close()


def count(rig: Rig, now: int, **counts: int) -> None:
    with connected(rig.database), rig.database.atomic():
        add_counts(rig.rows, {("m1", name): value for name, value in counts.items()}, 0, now)


PERIODS: list[tuple[str, int, int, str]] = [
        ("", NOON - 23 * HOUR, NOON + HOUR, "hour"),
        ("period=PT1H", NOON - 29 * MINUTE, NOON + 31 * MINUTE, "minute"),
        ("period=PT1S", NOON + 30 * MINUTE, NOON + 31 * MINUTE, "minute"),
        ("period=P30D", NOON - 12 * HOUR - 29 * DAY, NOON + 12 * HOUR, "day"),
        ("period=P7D", NOON + HOUR - 7 * DAY, NOON + HOUR, "hour"),
        ("period=P7D&granularity=day", NOON - 12 * HOUR - 6 * DAY, NOON + 12 * HOUR, "day"),
        ("from=2026-11-26T10:00:30Z", NOON - 2 * HOUR, NOON + 31 * MINUTE, "minute"),
        ("from=2026-11-26T10:00:30Z&to=2026-11-26T11:00:00Z", NOON - 2 * HOUR, NOON - HOUR, "minute"),
        ("from=2026-11-26T10:00:30Z&to=2026-11-26T11:00:01Z", NOON - 2 * HOUR, NOON - HOUR + MINUTE, "minute"),
        ("from=2026-11-20T10:30:00%2B02:00&to=2030-01-01T00:00:00Z", NOON - 4 * HOUR - 6 * DAY, NOON + HOUR, "hour"),
        ("from=2026-11-20T10:30:00Z&to=2026-11-20T10:40:00Z", NOON - 2 * HOUR - 6 * DAY, NOON - HOUR - 6 * DAY, "hour"),
        ("from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", from_rfc3339("2026-01-01T00:00:00Z"),
         from_rfc3339("2026-01-02T00:00:00Z"), "day"),
    ]  # fmt: skip


def test_a_period_is_answered_in_whole_buckets(trigger: Trigger) -> None:
    get = getter(trigger)
    for query, start, end, granularity in PERIODS:
        document = get(f"{MOMENT}?{query}")

        assert (document["from"], document["to"]) == (to_rfc3339(start), to_rfc3339(end)), query
        assert document["granularity"] == granularity, query
        span = {"minute": MINUTE, "hour": HOUR, "day": DAY}[granularity]
        assert [point["at"] for point in document["series"]] == [to_rfc3339(at) for at in range(start, end, span)]
        assert document["asOf"] == to_rfc3339(NOON + 30 * MINUTE + 17)


REFUSED: list[tuple[str, str]] = [
    ("from=yesterday", "from"),
    ("from=2026-11-26T10:00:00", "from"),
    ("to=9999999-11-26T10:00:00Z", "to"),
    ("period=1d", "period"),
    ("period=PT0S", "period"),
    ("period=P401D", "period"),
    ("period=P1D&from=2026-11-26T10:00:00Z", "period"),
    ("granularity=week", "granularity"),
    ("period=P2D&granularity=minute", "granularity"),
    ("from=2026-11-26T13:00:00Z", "from"),
    ("from=2026-11-26T10:00:00Z&to=2026-11-26T10:00:00Z", "from"),
    ("from=2026-11-24T10:00:00Z&to=2026-11-24T11:00:00Z&granularity=minute", "from"),
    ("from=2026-08-01T10:00:00Z&to=2026-08-02T11:00:00Z&granularity=hour", "from"),
    ("from=2024-08-01T10:00:00Z&to=2024-08-02T11:00:00Z", "from"),
    ("from=0001-01-01T00:00:00Z", "from"),
    ("colour=red", "colour"),
]


def test_a_period_that_cannot_be_answered_is_refused_with_the_parameter(trigger: Trigger) -> None:
    get = getter(trigger)
    for query, parameter in REFUSED:
        document = get(f"{MOMENT}?{query}", 422)

        assert [fault["parameter"] for fault in document["errors"]] == [parameter], query
        assert document["errors"][0]["reason"]


def test_the_most_points_are_given_and_not_one_more(trigger: Trigger) -> None:
    get = getter(trigger)
    start = NOON + 31 * MINUTE - MOST_POINTS * MINUTE

    assert len(get(f"{MOMENT}?from={to_rfc3339(start)}&granularity=minute")["series"]) == MOST_POINTS
    get(f"{MOMENT}?from={to_rfc3339(start - 1000)}&granularity=minute", 422)


def test_only_what_lies_in_the_period_is_counted(trigger: Trigger, alone: Rig) -> None:
    for hour in range(48):
        count(alone, NOON - hour * HOUR, opened=1, raised=1)
    count(alone, NOON, **{"recovered": 1, "recovered_value:EUR": 12_340_000, "recovered_value:XXX": 1})
    query = f"from={to_rfc3339(NOON - 3 * HOUR)}&to={to_rfc3339(NOON)}&granularity=hour"

    document = getter(trigger)(f"{MOMENT}?{query}")

    assert [(point["opened"], point["raised"]) for point in document["series"]] == [(1, 1)] * 3
    assert document["totals"]["opened"] == 3
    assert document["totals"]["recoveredValue"] == {}
    now = getter(trigger)(MOMENT)
    assert now["totals"]["recoveredValue"] == {"EUR": 12.34, "XXX": 0.000001}
    assert now["funnel"]["recoveredRate"] == round(1 / 24, 4)
    assert counts_document({})["recovered_value"] == {}


def test_a_plus_sign_may_stand_unescaped(trigger: Trigger) -> None:
    get = getter(trigger)
    start = "2026-11-26T11:00:00+01:00"

    assert get(f"{MOMENT}?from={start}")["from"] == get(f"{MOMENT}?from={quote(start)}")["from"]


def test_everything_needs_the_token_and_a_known_moment(trigger: Trigger) -> None:
    for path in (MOMENT, "/api/v1/moments/analytics", "/api/v1/moments/m1/stream"):
        assert trigger.app.test_client().get(path).status_code == 401
    for path in ("/api/v1/moments/m9/analytics", "/api/v1/moments/%00/analytics", "/api/v1/moments/m9/stream"):
        getter(trigger)(path, 404)


def test_the_overview_leaves_out_what_was_deleted(trigger: Trigger, alone: Rig) -> None:
    from services.trigger.store.records import save_moment

    assert [item["momentId"] for item in getter(trigger)("/api/v1/moments/analytics")["items"]] == ["m1"]
    with connected(alone.database):
        save_moment(alone.rows, alone.change("m1", deleted=True))
    assert getter(trigger)("/api/v1/moments/analytics")["items"] == []


def test_effects_of_any_name_reach_the_document_when_it_knows_them() -> None:
    effects = Effects()
    effects.count("m1", "ended:void")
    document = counts_document({name: value for (_, name), value in effects.counts.items()} | {"unrecorded:stopped": 3})
    assert document["ended"] == {"void": 1}
    assert "unrecorded" not in document
