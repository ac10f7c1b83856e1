"""What becomes of a delivery in days: attempts, pauses, dead letters, disabling, secrets; the clock is moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import peewee
import pytest

from contracts.times import DAY, HOUR, MINUTE, SECOND, from_rfc3339, to_rfc3339
from services.trigger.webhooks.forgetting import forget_profile
from services.trigger.webhooks.store.deliveries import DeliveryRows
from services.trigger.webhooks.verdicts import DELAYS
from shared.clock import ManualClock, SystemClock
from shared.store import connected
from tests.integration.webhook_rig import WebhookRig
from tests.support.endpoint import Endpoint, Reply, endpoint


@pytest.fixture
def clock() -> ManualClock:
    """It stands at the present: signatures are verified against the machine's."""
    return ManualClock(SystemClock().now())


@pytest.fixture
def rig(tmp_path: Path, database_url: str, clock: ManualClock) -> Iterator[WebhookRig]:
    """On each database; nothing here goes through the broker."""
    made = WebhookRig(tmp_path, f"embedded://{tmp_path}/broker.db", database_url, clock)
    yield made
    made.close()


@pytest.fixture
def journey() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def outcomes(rig: WebhookRig) -> dict[str, float]:
    """What was counted, by outcome, of the only webhook."""
    counted = {name: value for name, value in rig.metrics().items() if "outcomes_total" in name}
    return {name.partition('outcome="')[2].partition('"')[0]: value for name, value in counted.items() if value}


def test_attempts_follow_the_schedule_for_three_days_and_then_it_is_dead(
    rig: WebhookRig, clock: ManualClock, journey: Endpoint
) -> None:
    journey.answer = lambda _: Reply(500)
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e")
    dispatcher, began, times = rig.dispatcher(), clock.now(), []

    for delay in DELAYS:
        times.append(clock.now())
        rig.turn(dispatcher)
        (delivery,) = rig.log(webhook)
        assert delivery["state"] == "pending"
        assert from_rfc3339(delivery["nextAttemptAt"]) == clock.now() + delay
        clock.advance(delay - 1)
        rig.turn(dispatcher)
        clock.advance(1)
    times.append(clock.now())
    rig.turn(dispatcher)

    (delivery,) = rig.log(webhook, "dead")
    assert delivery["attempts"] == len(journey.received) == len(DELAYS) + 1
    assert [from_rfc3339(each["at"]) for each in delivery["log"]] == times
    assert {(each["status"], each["error"]) for each in delivery["log"]} == {(500, "HTTP 500 Internal Server Error")}
    assert set(journey.ids()) == {"e"}
    assert [int(each.headers["webhook-timestamp"]) for each in journey.received] == [at // SECOND for at in times]
    assert from_rfc3339(delivery["finishedAt"]) - began == sum(DELAYS)
    assert outcomes(rig) == {"failed": len(times), "dead": 1}
    clock.advance(30 * DAY)
    rig.turn(dispatcher)
    assert len(journey.received) == len(times)


def test_an_endpoint_that_recovers_gets_what_failed(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(500 if len(journey.received) < 3 else 204, body=b"")
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e")
    dispatcher = rig.dispatcher()

    for delay in DELAYS[:3]:
        rig.turn(dispatcher)
        clock.advance(delay)

    (delivery,) = rig.log(webhook)
    assert (delivery["state"], [each["status"] for each in delivery["log"]]) == ("delivered", [500, 500, 204])
    assert rig.call("GET", f"/{webhook['id']}")["failingSince"] is None
    assert outcomes(rig) == {"failed": 2, "delivered": 1}


def test_retry_after_pauses_the_whole_webhook(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(429, {"Retry-After": "3600"})
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "first")
    dispatcher = rig.dispatcher()
    rig.turn(dispatcher)
    rig.take(webhook["id"], "second")
    journey.answer = lambda _: Reply(200)

    clock.advance(HOUR - 1)
    rig.turn(dispatcher)
    assert journey.ids() == ["first"]

    clock.advance(1)
    for _ in range(2):
        rig.turn(dispatcher)
    assert sorted(journey.ids()) == ["first", "first", "second"]
    assert set(rig.states(webhook).values()) == {"delivered"}


def test_gone_disables_the_webhook_and_keeps_the_event(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(410)
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e1")
    dispatcher = rig.dispatcher()
    rig.turn(dispatcher)

    shown = rig.call("GET", f"/{webhook['id']}")
    assert (shown["enabled"], shown["disabledReason"], shown["version"]) == (False, "gone", 2)
    assert from_rfc3339(shown["disabledAt"]) == clock.now()
    assert rig.states(webhook) == {"e1": "dead"}
    assert outcomes(rig) == {"failed": 1, "dead": 1, "disabled": 1}
    assert rig.metrics()['moments_webhooks{state="disabled"}'] == 1

    rig.take(webhook["id"], "e2")
    clock.advance(DAY)
    rig.turn(dispatcher)
    assert len(journey.received) == 1

    journey.answer = lambda _: Reply(200)
    shown = rig.call("PATCH", f"/{webhook['id']}", etag='"2"', enabled=True)
    assert (shown["enabled"], shown["disabledReason"], shown["disabledAt"]) == (True, None, None)
    rig.turn(dispatcher)
    assert rig.states(webhook) == {"e1": "dead", "e2": "delivered"}


def fail_once_a_day(rig: WebhookRig, clock: ManualClock, webhook: object, days: range) -> None:
    for day in days:
        rig.take(webhook["id"], f"day-{day}")  # type: ignore[index]
        rig.turn(rig.dispatcher())
        clock.advance(DAY)


def test_five_days_of_nothing_but_failures_disable_it(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(500)
    webhook = rig.subscribe(journey.url)
    began = clock.now()

    fail_once_a_day(rig, clock, webhook, range(5))
    shown = rig.call("GET", f"/{webhook['id']}")
    assert (shown["enabled"], from_rfc3339(shown["failingSince"])) == (True, began)

    fail_once_a_day(rig, clock, webhook, range(5, 6))
    shown = rig.call("GET", f"/{webhook['id']}")
    assert (shown["enabled"], shown["disabledReason"]) == (False, "failing")
    assert from_rfc3339(shown["disabledAt"]) == began + 5 * DAY
    assert outcomes(rig)["disabled"] == 1


def test_one_success_interrupts_the_failures(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(500)
    webhook = rig.subscribe(journey.url)

    fail_once_a_day(rig, clock, webhook, range(4))
    journey.answer = lambda _: Reply(200)
    rig.turn(rig.dispatcher())
    journey.answer = lambda _: Reply(500)
    fail_once_a_day(rig, clock, webhook, range(4, 9))

    assert sorted(rig.states(webhook).values()) == ["delivered"] + ["pending"] * 8
    assert rig.call("GET", f"/{webhook['id']}")["enabled"]


def kill_some(rig: WebhookRig, webhook: object, journey: Endpoint, *event_ids: str) -> None:
    """Make dead letters: as gone, then enabled again."""
    journey.answer = lambda _: Reply(410)
    for event_id in event_ids:
        rig.take(webhook["id"], event_id)  # type: ignore[index]
        rig.turn(rig.dispatcher())
        version = rig.call("GET", f"/{webhook['id']}")["version"]  # type: ignore[index]
        rig.call("PATCH", f"/{webhook['id']}", etag=f'"{version}"', enabled=True)  # type: ignore[index]
    journey.answer = lambda _: Reply(200)
    journey.received.clear()


def test_dead_letters_are_sent_again_one_since_a_time_or_all(
    rig: WebhookRig, clock: ManualClock, journey: Endpoint
) -> None:
    webhook = rig.subscribe(journey.url)
    kill_some(rig, webhook, journey, "old1", "old2", "old3")
    clock.advance(HOUR)
    since = to_rfc3339(clock.now())
    kill_some(rig, webhook, journey, "new1", "new2")
    path, dispatcher = f"/{webhook['id']}", rig.dispatcher()
    dead = {each["eventId"]: each["id"] for each in rig.log(webhook, "dead")}
    assert list(dead) == ["new2", "new1", "old3", "old2", "old1"]

    shown = rig.call("POST", f"{path}/deliveries/{dead['old2']}/redeliver", 202)
    assert (shown["state"], shown["attempts"], shown["event"]["id"]) == ("pending", 0, "old2")
    rig.turn(dispatcher)
    assert journey.ids() == ["old2"]

    assert rig.call("POST", f"{path}/redeliver", 202, since=since) == {"redelivered": 2}
    rig.turn(dispatcher)
    assert sorted(journey.ids()) == ["new1", "new2", "old2"]

    assert rig.call("POST", f"{path}/redeliver", 202) == {"redelivered": 2}
    rig.turn(dispatcher)
    assert sorted(journey.ids()) == ["new1", "new2", "old1", "old2", "old3"]
    assert rig.log(webhook, "dead") == []
    assert rig.call("POST", f"{path}/redeliver", 202) == {"redelivered": 0}

    (first, second) = rig.call("GET", f"{path}/deliveries/{dead['old2']}")["log"]
    assert (first["status"], second["status"]) == (410, 200)
    rig.call("POST", f"{path}/deliveries/{dead['old2']}/redeliver", 202)
    rig.turn(dispatcher)
    assert journey.ids().count("old2") == 2


def test_many_dead_letters_are_sent_again_in_parts(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], *(f"e{n}" for n in range(1_203)))
    with connected(rig.database):
        rig.rows.execute("UPDATE webhook_deliveries SET state = 'dead', next_at = NULL, finished_at = 1")

    assert rig.call("POST", f"/{webhook['id']}/redeliver", 202) == {"redelivered": 1_203}


def test_a_new_secret_and_the_former_one_both_sign_for_the_overlap(
    rig: WebhookRig, clock: ManualClock, journey: Endpoint
) -> None:
    webhook = rig.subscribe(journey.url)
    former = webhook["secret"]
    shown = rig.call("POST", f"/{webhook['id']}/rotate-secret", 201, overlapSeconds=60)
    present = shown["secret"]
    assert present != former
    assert from_rfc3339(shown["previousSecretUntil"]) == clock.now() + MINUTE
    dispatcher = rig.dispatcher()

    rig.take(webhook["id"], "both")
    rig.turn(dispatcher)
    clock.advance(MINUTE - 1)
    rig.take(webhook["id"], "still")
    rig.turn(dispatcher)
    clock.advance(1)
    rig.take(webhook["id"], "one")
    rig.turn(dispatcher)

    signed = [(each.signed_with(former), each.signed_with(present)) for each in journey.received]
    assert signed == [(True, True), (True, True), (False, True)]

    latest = rig.call("POST", f"/{webhook['id']}/rotate-secret", 201, overlapSeconds=0)["secret"]
    rig.take(webhook["id"], "at once")
    rig.turn(dispatcher)
    assert journey.received[-1].signed_with(latest)
    assert not journey.received[-1].signed_with(present)


def test_a_claim_that_ran_out_is_taken_over_and_its_late_failure_changes_nothing(
    rig: WebhookRig, clock: ManualClock, journey: Endpoint
) -> None:
    journey.answer = lambda _: Reply(500)
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e")
    slow, other = rig.dispatcher(), rig.dispatcher()
    with connected(rig.database):
        slow.turn()
        rig.turn(other)
        assert len(rig.log(webhook)[0]["log"]) == 0
        clock.advance(15 * SECOND)
        rig.turn(other)
        slow.wake.wait(60)  # its answer may come after that of the other
        slow.record()

    (delivery,) = rig.log(webhook)
    assert (delivery["state"], delivery["attempts"], len(delivery["log"])) == ("pending", 1, 2)
    assert from_rfc3339(delivery["nextAttemptAt"]) == clock.now() + 5 * SECOND


def test_a_late_success_counts_whoever_has_the_claim(rig: WebhookRig, clock: ManualClock, journey: Endpoint) -> None:
    journey.answer = lambda _: Reply(200 if len(journey.received) == 1 else 500)
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e")
    slow, other = rig.dispatcher(), rig.dispatcher()
    with connected(rig.database):
        slow.turn()
        slow.wake.wait(60)
        clock.advance(15 * SECOND)
        other.turn()
        other.wake.wait(60)
        slow.record()
        assert rig.states(webhook) == {"e": "delivered"}
        other.record()

    assert rig.states(webhook) == {"e": "delivered"}
    assert len(journey.received) == 2
    assert outcomes(rig) == {"delivered": 1, "failed": 1}


def test_what_came_back_is_recorded_after_a_fault_of_the_store(
    rig: WebhookRig, journey: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = rig.subscribe(journey.url)
    rig.take(webhook["id"], "e")
    dispatcher = rig.dispatcher()

    def broken(*_: object) -> None:
        raise peewee.OperationalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(DeliveryRows, "add_attempts", broken)
        with pytest.raises(peewee.OperationalError):
            rig.turn(dispatcher)
    rig.turn(dispatcher)

    assert rig.states(webhook) == {"e": "delivered"}
    assert journey.ids() == ["e"]
    assert outcomes(rig) == {"delivered": 1}


def test_a_name_that_leads_inside_by_now_is_refused_when_it_is_sent_to(
    rig: WebhookRig,
) -> None:
    """Loopback is allowed here, link-local is not; the name is judged by its address at every attempt."""
    webhook = rig.subscribe("http://a.example:8080/")
    rig.take(webhook["id"], "e")
    dispatcher = rig.dispatcher()
    sender = dispatcher._sender
    sender._guard._resolve = lambda *_: ["169.254.169.254"]  # type: ignore[assignment]

    rig.turn(dispatcher)

    (delivery,) = rig.log(webhook)
    assert (delivery["state"], delivery["log"][0]["status"]) == ("pending", None)
    assert "169.254.169.254 is link-local" in delivery["log"][0]["error"]


def test_what_is_old_is_forgotten_and_what_is_wanted_is_kept(
    rig: WebhookRig, clock: ManualClock, journey: Endpoint
) -> None:
    webhook, held, gone = (rig.subscribe(journey.url) for _ in range(3))
    dispatcher, began = rig.dispatcher(), clock.now()
    rig.take(webhook["id"], "delivered")
    rig.turn(dispatcher)
    rig.call("PATCH", f"/{held['id']}", etag='"1"', enabled=False)
    for each in (webhook, held, gone):
        rig.take(each["id"], "waiting")
    rig.call("DELETE", f"/{gone['id']}", 204)
    clock.advance(HOUR)
    rig.take(held["id"], "younger")

    assert rig.forget(began) == 1  # that of the webhook that is no more
    assert rig.states(webhook) == {"delivered": "delivered", "waiting": "pending"}
    assert rig.forget(began + MINUTE) == 2
    assert rig.states(webhook) == {"waiting": "pending"}
    assert rig.states(held) == {"younger": "pending"}
    assert rig.read("SELECT count(*) FROM webhook_attempts") == [(0,)]


def test_what_is_about_a_profile_can_be_erased(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url)
    ada, bob = b"a" * 16, b"b" * 16
    rig.take(webhook["id"], "sent", profile=ada)
    rig.turn(rig.dispatcher())
    rig.take(webhook["id"], "waiting", profile=ada)
    rig.take(webhook["id"], "other", profile=bob)

    with connected(rig.database), rig.database.atomic():
        assert sum(forget_profile(rig.deliveries, ada)) == 2

    assert rig.states(webhook) == {"other": "pending"}
    assert rig.read("SELECT count(*) FROM webhook_attempts") == [(0,)]


def test_the_answer_to_what_was_forgotten_meanwhile_is_that_of_no_other(rig: WebhookRig, journey: Endpoint) -> None:
    webhook = rig.subscribe(journey.url)
    ada, bob = b"a" * 16, b"b" * 16
    rig.take(webhook["id"], "erased", profile=ada)
    dispatcher = rig.dispatcher()
    with connected(rig.database):
        dispatcher.turn()
        dispatcher.wake.wait(60)
        with rig.database.atomic():
            assert sum(forget_profile(rig.deliveries, ada)) == 1
        rig.take(webhook["id"], "other", profile=bob)
        dispatcher.record()

    assert rig.states(webhook) == {"other": "pending"}
    assert rig.read("SELECT count(*) FROM webhook_attempts") == [(0,)]
    rig.turn(dispatcher)
    assert [each.event["id"] for each in journey.received] == ["erased", "other"]
