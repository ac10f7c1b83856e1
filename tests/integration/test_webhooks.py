"""Webhooks end to end: an event on the exchange comes to a real endpoint, signed, once for each that wants it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.topology import DEAD_LETTERS, UNROUTED, WEBHOOKS
from services.trigger.webhooks import takeup
from services.trigger.webhooks.takeup import TakeUp
from services.trigger.wiring import Trigger
from shared.broker import BrokerError, Consumer, Delivery
from shared.clock import stopwatch
from shared.settings import Settings
from shared.store import connected
from tests.integration.trigger_rig import ROOT, STACKS, running_rig
from tests.integration.webhook_rig import TOKEN, WEBHOOKS_PATH, WebhookRig, webhook_rig
from tests.support.endpoint import Endpoint, Reply, endpoint
from tests.support.processes import wait_until

QUICK = {"MOMENTS_WEBHOOK_RETRY_FACTOR": "0.01"}


@pytest.fixture(params=STACKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebhookRig]:
    with webhook_rig(request, tmp_path, request.param, **QUICK) as made:
        yield made


@pytest.fixture
def journey() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def test_an_event_comes_signed_to_every_webhook_that_wants_it(rig: WebhookRig, journey: Endpoint) -> None:
    rig.run()
    with endpoint() as other, endpoint() as off:
        all_moments = rig.subscribe(journey.url, "moment.#")
        exact = rig.subscribe(other.url, "signal.survey.start", "moment.*", "moment.cart_abandon")
        rig.subscribe(off.url, "#", enabled=False)
        rig.bound()

        raised = rig.publish("moment.cart_abandon", "11111111-0000-5000-8000-000000000001")
        recovered = rig.publish("moment.cart_abandon.recovered", "r1")
        survey = rig.publish("signal.survey.start", "s1")
        rig.publish("signal.cart.add", "s2")
        wait_until(lambda: len(journey.received) == 2 and len(other.received) == 2, "the events")

        assert {each.body for each in journey.received} == {raised, recovered}
        assert {each.body for each in other.received} == {raised, survey}
        assert set(journey.ids()) == {"11111111-0000-5000-8000-000000000001", "r1"}
        assert all(each.signed_with(all_moments["secret"]) for each in journey.received)
        assert all(each.signed_with(exact["secret"]) for each in other.received)
        assert not any(each.signed_with(exact["secret"]) for each in journey.received)
        wait_until(lambda: set(rig.states(all_moments).values()) == {"delivered"}, "the record")
        assert off.received == []
        assert rig.broker.depth(UNROUTED) == 0


@pytest.mark.parametrize("stack", STACKS)
def test_a_moment_that_the_worker_raises_and_the_signal_before_it_come_by_webhook(
    request: pytest.FixtureRequest, tmp_path: Path, journey: Endpoint, stack: str
) -> None:
    with running_rig(request, tmp_path, stack) as rig:
        rig.environment |= {"MOMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "MOMENTS_WEBHOOK_PLAIN_HTTP": "yes"}
        trigger = Trigger(Settings.from_environment(rig.environment), rig.clock)
        trigger.start()
        wanted = {"name": "Journey", "url": journey.url, "patterns": ["moment.*", "signal.cart.add"]}
        made = trigger.app.test_client().post(WEBHOOKS_PATH, json=wanted, headers={"Authorization": f"Bearer {TOKEN}"})
        trigger.close()
        rig.moment(duration="PT1S")
        rig.started()
        wait_until(lambda: rig.read("SELECT bound_revision FROM webhook_state")[0][0] == 1, "the bindings")
        added = rig.add("ada@example.com")

        rig.listen_until(lambda: rig.events and len(journey.received) >= 2, "the moment on both ways")
        by_type = {each.event["type"]: each for each in journey.received}
        assert set(by_type) == {"signal.cart.add", "moment.cart_abandon"}
        assert by_type["signal.cart.add"].webhook_id == added.id
        assert by_type["moment.cart_abandon"].webhook_id == rig.events[0].id
        assert by_type["moment.cart_abandon"].event["data"] == rig.events[0].data
        assert all(each.signed_with(made.get_json()["secret"]) for each in journey.received)


def test_what_the_broker_repeats_is_sent_once(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url, "moment.#")
    rig.run()
    rig.bound()

    for _ in range(3):
        rig.publish("moment.cart_abandon", "e")
    rig.publish("moment.cart_abandon", "e", source="elsewhere")
    rig.publish("moment.cart_abandon", "last")

    wait_until(lambda: "last" in rig.states(webhook), "the last event")
    wait_until(lambda: {each["state"] for each in rig.log(webhook)} == {"delivered"}, "the record")
    assert sorted(journey.ids()) == ["e", "e", "last"]
    assert sorted(each.event["source"] for each in journey.received) == ["elsewhere", "tests", "tests"]


class Forgetful:
    """A consumer that is lost when it should acknowledge."""

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner
        self.drop = inner.drop
        self.receive = inner.receive

    def ack(self, last: Delivery) -> None:
        """Fail."""
        raise BrokerError


def test_a_take_up_that_dies_before_its_acknowledgement_doubles_nothing(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url, "moment.#")
    with connected(rig.database):
        take_up = TakeUp(rig.subscriptions, rig.deliveries, rig.broker, rig.publisher, rig.clock, "t", lambda: None, 9)
        take_up.look()
        rig.publish("moment.cart_abandon", "e1")
        rig.publish("moment.cart_abandon", "e2")
        consumer = rig.broker.consumer([WEBHOOKS])
        with pytest.raises(BrokerError):
            take_until_lost(take_up, Forgetful(consumer))
        assert len(rig.log(webhook)) >= 1
        consumer.drop()
    rig.run()

    wait_until(lambda: set(rig.states(webhook).values()) == {"delivered"} and len(rig.states(webhook)) == 2, "both")
    wait_until(lambda: rig.broker.depth(WEBHOOKS) == 0, "the acknowledgement")
    assert sorted(journey.ids()) == ["e1", "e2"]


def take_until_lost(take_up: TakeUp, consumer: Forgetful) -> None:
    for _ in range(50):
        take_up.take_some(consumer)


def test_what_is_no_event_goes_to_the_dead_letters_and_holds_nothing_up(rig: WebhookRig, journey: Endpoint) -> None:
    rig.subscribe(journey.url, "moment.#")
    rig.run()
    rig.bound()

    for body in (b"no json", b"[]", b'{"id": 1}', b'{"id": "", "source": "x"}', b'{"id": "a\\u0000", "source": "x"}'):
        rig.publish_bytes("moment.cart_abandon", body)
    rig.publish("moment.cart_abandon", "good")

    wait_until(lambda: journey.ids() == ["good"], "the good one")
    wait_until(lambda: rig.broker.depth(DEAD_LETTERS) == 5, "the dead letters")


def test_bindings_follow_the_subscriptions(rig: WebhookRig, journey: Endpoint) -> None:
    rig.run()
    rig.publish("moment.game_start")
    assert rig.broker.depth(UNROUTED) == 1

    webhook = rig.subscribe(journey.url, "moment.game_start")
    rig.bound()
    rig.publish("moment.game_start", "one")
    wait_until(lambda: journey.ids() == ["one"], "the event")
    assert rig.broker.depth(UNROUTED) == 1

    webhook = rig.call("PATCH", f"/{webhook['id']}", etag='"1"', patterns=["moment.welcome"])
    rig.bound()
    rig.publish("moment.game_start")
    rig.publish("moment.welcome", "two")
    wait_until(lambda: journey.ids() == ["one", "two"], "the other event")
    assert rig.broker.depth(UNROUTED) == 2

    rig.call("DELETE", f"/{webhook['id']}", status=204)
    rig.bound()
    rig.publish("moment.welcome")
    assert rig.broker.depth(UNROUTED) == 3
    assert rig.broker.depth(WEBHOOKS) == 0


def test_bindings_that_a_new_broker_does_not_have_are_made_at_the_start(rig: WebhookRig, journey: Endpoint) -> None:
    rig.subscribe(journey.url, "moment.#")
    rig.run()
    rig.bound()
    rig.stop()
    rig.broker.delete_queue(WEBHOOKS)

    rig.run()
    wait_until(lambda: rig.publish("moment.welcome") and journey.received, "an event", 10)


def test_a_slow_endpoint_delays_no_other_and_each_is_bounded(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    held = threading.Event()
    bounds = {"MOMENTS_WEBHOOK_CONCURRENCY": "6", "MOMENTS_WEBHOOK_ENDPOINT_CONCURRENCY": "3"}
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

        wait_until(lambda: len(quick.received) == 20, "the quick endpoint", 4)
        assert slow.busy == 3
        held.set()
        wait_until(lambda: len(slow.received) == 20, "the slow endpoint")
        assert slow.busiest == 3
        assert quick.busiest <= 3


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
        assert stopwatch() - began < 6
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


def test_what_a_killed_worker_was_sending_is_sent_again_under_the_same_id(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for stack in ("embedded",):
        kill_between_claim_and_record(request, tmp_path, stack)


@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_what_a_killed_worker_was_sending_is_sent_again_on_servers_too(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kill_between_claim_and_record(request, tmp_path, "servers")


def kill_between_claim_and_record(request: pytest.FixtureRequest, tmp_path: Path, stack: str) -> None:
    held = threading.Event()
    with (
        webhook_rig(request, tmp_path, stack, MOMENTS_WEBHOOK_TIMEOUT="1") as rig,
        endpoint(lambda _: Reply(hold=held)) as journey,
        (tmp_path / "worker.log").open("ab") as log,
    ):
        webhook = rig.subscribe(journey.url, "moment.#")
        worker = start_worker(rig, log)
        try:
            rig.bound()
            body = rig.publish("moment.cart_abandon", "the-event")
            wait_until(lambda: journey.received, f"the first request; see {log.name}", 30)
            worker.kill()
            worker.wait()
            assert rig.log(webhook)[0]["state"] == "pending"
            assert rig.log(webhook)[0]["log"] == []

            held.set()
            worker = start_worker(rig, log)
            wait_until(lambda: rig.states(webhook) == {"the-event": "delivered"}, "the second request", 30)
        finally:
            worker.kill()
            worker.wait()

        assert journey.ids() == ["the-event", "the-event"]
        assert {each.body for each in journey.received} == {body}
        assert journey.received[1].signed_with(webhook["secret"])
        secret = webhook["secret"].encode()
        assert secret not in Path(log.name).read_bytes()


def start_worker(rig: WebhookRig, log: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.trigger.worker"],
        cwd=ROOT,
        env={**os.environ, **rig.environment, "PYTHONPATH": str(ROOT), "MOMENTS_LOG_LEVEL": "debug"},
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[arg-type]
        stderr=log,  # type: ignore[arg-type]
    )
