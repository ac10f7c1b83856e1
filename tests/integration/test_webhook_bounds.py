"""Bounds of sending: no endpoint delays another, nothing is sent by two, what waits and what is underway is limited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.trigger.webhooks import takeup
from shared.clock import stopwatch
from tests.integration.trigger_rig import STACKS
from tests.integration.webhook_rig import WebhookRig, webhook_rig
from tests.support.endpoint import Endpoint, Reply, endpoint
from tests.support.processes import stretched, wait_until

QUICK = {"MOMENTS_WEBHOOK_RETRY_FACTOR": "0.01"}


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebhookRig]:
    with webhook_rig(request, tmp_path, request.param, **QUICK) as made:
        yield made


@pytest.fixture
def journey() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def test_a_slow_endpoint_delays_no_other_and_each_is_bounded(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    held = threading.Event()
    bounds = {"MOMENTS_WEBHOOK_CONCURRENCY": "6", "MOMENTS_WEBHOOK_ENDPOINT_CONCURRENCY": "3"}
    bounds["MOMENTS_WEBHOOK_TIMEOUT"] = "30"
    with (
        webhook_rig(request, tmp_path, "embedded", **bounds) as rig,
        endpoint(lambda _: Reply(hold=held)) as slow,
        endpoint() as quick,
    ):
        rig.run()
        slow_one, quick_one = rig.subscribe(slow.url), rig.subscribe(quick.url)
        rig.take(slow_one["id"], *(f"s{n}" for n in range(20)))
        wait_until(lambda: slow.busy == 3, "the slow endpoint to be busy")
        rig.take(quick_one["id"], *(f"q{n}" for n in range(20)))

        wait_until(lambda: len(quick.received) == 20, "the quick endpoint", 20)
        assert slow.busy == 3
        held.set()
        wait_until(lambda: len(slow.received) == 20, "the slow endpoint")
        assert slow.busiest == 3
        assert quick.busiest <= 3


def test_no_more_requests_than_allowed_are_underway_in_all(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    held = threading.Event()
    bounds = {"MOMENTS_WEBHOOK_CONCURRENCY": "4", "MOMENTS_WEBHOOK_ENDPOINT_CONCURRENCY": "3"}
    with (
        webhook_rig(request, tmp_path, "embedded", MOMENTS_WEBHOOK_TIMEOUT="30", **bounds) as rig,
        endpoint(lambda _: Reply(hold=held)) as slow,
    ):
        webhooks = [rig.subscribe(slow.url) for _ in range(3)]
        for each in webhooks:
            rig.take(each["id"], *(f"e{n}" for n in range(5)))
        rig.run()
        wait_until(lambda: slow.busy == 4, "all places to be taken")
        rig.take(webhooks[0]["id"], "another")
        held.set()

        wait_until(lambda: len(slow.received) == 16, "every event")
        assert slow.busiest == 4


def test_slow_endpoints_with_much_to_get_starve_nobody(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    bounds = {"MOMENTS_WEBHOOK_CONCURRENCY": "4", "MOMENTS_WEBHOOK_ENDPOINT_CONCURRENCY": "4"}
    with (
        webhook_rig(request, tmp_path, "embedded", **bounds) as rig,
        endpoint(lambda _: Reply(hold=threading.Event(), most=0.2)) as slow,
        endpoint() as quick,
    ):
        slow_one, quick_one = rig.subscribe(slow.url), rig.subscribe(quick.url)
        rig.take(slow_one["id"], *(f"s{n}" for n in range(200)))
        rig.run()
        wait_until(lambda: len(slow.received) >= 4, "the slow endpoint to have all places")
        rig.take(quick_one["id"], "q")

        wait_until(lambda: quick.received, "the quick endpoint")
        assert len(slow.received) < 80


def test_what_waits_is_bounded_and_the_oldest_go(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeup, "_COUNT_EVERY", 50)
    held = threading.Event()
    with (
        webhook_rig(request, tmp_path, "embedded", MOMENTS_WEBHOOK_MOST_WAITING="100") as rig,
        endpoint(lambda _: Reply(hold=held)) as away,
    ):
        webhook = rig.subscribe(away.url, "moment.#")
        rig.run()
        rig.bound()
        for n in range(250):
            rig.publish("moment.welcome", f"e{n}")
        wait_until(lambda: "e249" in rig.states(webhook), "the last event")
        count = f'moments_webhook_outcomes_total{{outcome="dropped",webhook="{webhook["id"]}"}}'
        wait_until(lambda: rig.metrics().get(count, 0) > 100, "the oldest to go")

        waiting = {each["eventId"] for each in rig.call("GET", f"/{webhook['id']}/deliveries?limit=500")["items"]}
        assert len(waiting) == 250 - rig.metrics()[count]
        assert 100 <= len(waiting) < 150
        assert {f"e{n}" for n in range(160, 250)} <= waiting
        held.set()


def test_a_stop_gives_what_is_underway_a_little_time(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    held = threading.Event()
    with webhook_rig(request, tmp_path, "embedded") as rig, endpoint(lambda _: Reply(hold=held)) as slow:
        webhook = rig.subscribe(slow.url)
        rig.take(webhook["id"], "e")
        rig.run()
        wait_until(lambda: slow.busy, "the request")
        threading.Timer(0.3, held.set).start()
        rig.stop()
        assert rig.states(webhook) == {"e": "delivered"}

        held.clear()
        rig.take(webhook["id"], "other")
        rig.run()
        wait_until(lambda: slow.busy, "the request")
        began = stopwatch()
        rig.stop()
        assert stopwatch() - began < stretched(6)
        assert rig.states(webhook)["other"] == "pending"
        held.set()


def test_an_endpoint_that_fails_is_asked_one_at_a_time(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url)
    journey.answer = lambda _: Reply(500)
    dispatcher = rig.dispatcher()
    rig.take(webhook["id"], "first")
    rig.turn(dispatcher)
    rig.take(webhook["id"], *(f"e{n}" for n in range(9)))

    rig.turn(dispatcher)

    assert len(journey.received) == 2


def test_two_workers_never_send_the_same_at_once(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], *(f"e{n}" for n in range(300)))

    threads = [threading.Thread(target=send_all, args=(rig, webhook["id"])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(journey.ids()) == sorted(f"e{n}" for n in range(300))
    assert rig.read("SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'") == [(300,)]
    assert rig.metrics()[f'moments_webhook_outcomes_total{{outcome="delivered",webhook="{webhook["id"]}"}}'] == 300


def send_all(rig: WebhookRig, subscription_id: str) -> None:
    dispatcher = rig.dispatcher()
    sql = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"
    while rig.read(sql)[0][0]:
        rig.turn(dispatcher)
