"""Webhooks end to end: an event on the exchange comes to a real endpoint, signed, once for each that wants it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.times import DAY, MINUTE
from contracts.topology import DEAD_LETTERS, JOURNEYS, UNROUTED, WEBHOOKS, WEBHOOKS_QUEUE, Binding
from services.trigger.webhooks.takeup import TakeUp
from services.trigger.wiring import Trigger
from shared.broker import BrokerError, Consumer, Delivery
from shared.clock import ManualClock
from shared.settings import Settings
from shared.store import connected
from tests.integration.trigger_rig import STACKS, running_rig
from tests.integration.webhook_rig import TOKEN, WEBHOOKS_PATH, WebhookRig, webhook_rig
from tests.support.endpoint import Endpoint, Reply, endpoint
from tests.support.forking import Forked, forge_of
from tests.support.postgres import PostgresNode
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQNode

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
        take_up = TakeUp(
            rig.subscriptions, rig.deliveries, rig.broker, rig.publisher, rig.clock, "t", lambda: None, 9, b""
        )
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


def test_one_process_binds_at_a_time_and_what_a_killed_one_left_bound_is_unbound(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clock = ManualClock(DAY)
    with webhook_rig(request, tmp_path, "embedded", clock) as rig, connected(rig.database):
        rig.subscribe("http://127.0.0.1:1025/", "moment.welcome")
        rig.broker.declare_queue(WEBHOOKS_QUEUE, [Binding(JOURNEYS, WEBHOOKS, "moment.goodbye")])
        rig.subscriptions.note_bound(["moment.goodbye"])
        assert rig.subscriptions.claim_binder("another", clock.now(), clock.now() + MINUTE)

        look_again(rig)
        rig.publish("moment.welcome")
        rig.publish("moment.goodbye")
        assert (rig.broker.depth(UNROUTED), rig.broker.depth(WEBHOOKS)) == (1, 1)

        clock.advance(MINUTE + 1)
        look_again(rig)
        rig.publish("moment.welcome")
        rig.publish("moment.goodbye")
        assert (rig.broker.depth(UNROUTED), rig.broker.depth(WEBHOOKS)) == (2, 2)
        assert rig.read("SELECT pattern FROM webhook_bindings") == [("moment.welcome",)]


def look_again(rig: WebhookRig) -> None:
    arguments = rig.subscriptions, rig.deliveries, rig.broker, rig.publisher, rig.clock, "this", lambda: None, 9, b""
    TakeUp(*arguments).look()


def test_bindings_that_a_new_broker_does_not_have_are_made_at_the_start(rig: WebhookRig, journey: Endpoint) -> None:
    rig.subscribe(journey.url, "moment.#")
    rig.run()
    rig.bound()
    rig.stop()
    rig.broker.delete_queue(WEBHOOKS)

    rig.run()
    wait_until(lambda: rig.publish("moment.welcome") and journey.received, "an event", 10)


def test_what_a_killed_worker_was_sending_is_sent_again_under_the_same_id(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kill_between_claim_and_record(request, tmp_path, "embedded")


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
    ):
        log = tmp_path / "worker.log"
        webhook = rig.subscribe(journey.url, "moment.#")
        worker = start_worker(rig, log)
        try:
            rig.bound()
            body = rig.publish("moment.cart_abandon", "the-event")
            wait_until(lambda: journey.received, f"the first request; see {log}", 30)
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
        assert secret not in log.read_bytes()


def start_worker(rig: WebhookRig, log: Path) -> Forked:
    environ = {**os.environ, **rig.environment, "MOMENTS_LOG_LEVEL": "debug"}
    return forge_of("services.trigger.worker").start(environ, log)


@pytest.mark.slow
@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_servers_that_go_and_come_back_lose_no_event(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    journey: Endpoint,
    rabbitmq_node: RabbitMQNode,
    postgres_node: PostgresNode,
) -> None:
    with webhook_rig(request, tmp_path, "servers", MOMENTS_WEBHOOK_TIMEOUT="1", **QUICK) as rig:
        rig.subscribe(journey.url, "moment.#")
        rig.run()
        rig.bound()
        rabbitmq_node.settle()
        for n in range(20):
            rig.publish("moment.welcome", f"a{n}")
        postgres_node.restart()
        for n in range(20):
            rig.publish("moment.welcome", f"b{n}")
        rabbitmq_node.restart()
        wait_until(lambda: rig.publisher.ready, "the broker to take messages", 60)
        for n in range(20):
            rig.publish("moment.welcome", f"c{n}")

        expected = {f"{letter}{n}" for letter in "abc" for n in range(20)}
        wait_until(lambda: set(journey.ids()) == expected, "every event", 60)
