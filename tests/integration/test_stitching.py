"""Anonymous customers from their clients to the raise: ingestion and the worker as they run, and real clients."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
import segment.analytics.client
from werkzeug.serving import make_server

from contracts.erasures import subject_of
from contracts.signals import Signal, decode_signal
from contracts.stitching import ANONYMOUS
from contracts.suppressions import SuppressionState
from contracts.times import SECOND, to_datetime
from contracts.topology import CONFIGURATION, JOURNEYS, STATE_SUPPRESSION, Binding, Queue, partition_of
from contracts.wire import encode
from services.ingestion.wiring import Ingestion
from services.trigger.store.anonymous import MOST_HELD
from services.trigger.wiring import Trigger
from shared.broker import Message
from shared.clock import SystemClock
from tests.integration.trigger_rig import (
    CONFIGURATION_ID,
    PARTITIONS,
    SITE,
    STACKS,
    Rig,
    running_rig,
    wait_until,
)
from tests.support.ingestion import configuration, configure, settings_for, start_ingestion
from tests.support.processes import stretched

SERVER_KEY = "sk_1:secret"
LISTENER = "listener"
PAGE = {"page": {"url": f"https://{SITE}/"}}


@dataclass(slots=True)
class House:
    """Trigger's worker on its own, ingestion behind a URL, and a journey that binds every signal."""

    rig: Rig
    ingestion: Ingestion
    url: str

    def client(self) -> Any:
        """Segment's own client for Python."""
        return segment.analytics.client.Client(SERVER_KEY, host=self.url, upload_interval=0.05, on_error=_fail)

    def post(self, *calls: dict[str, Any]) -> dict[str, Any]:
        """Post calls in one batch; the answer."""
        answer = self.ingestion.app.test_client().post(
            "/v1/batch", json={"batch": calls, "writeKey": "sk_1:secret"}, headers={"X-Api-Key": SERVER_KEY}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def suppress(self, state: SuppressionState) -> None:
        """Tell trigger, as config does, whose signals are refused; the worker knows when this returns."""
        self.rig.publisher.publish(
            Message(exchange=CONFIGURATION, routing_key=STATE_SUPPRESSION, body=encode(state), message_id=state.id)
        ).result(60)
        known = (state.version, state.deleted)
        sql = "SELECT version, deleted FROM suppressions"
        wait_until(lambda: known in [(version, bool(deleted)) for version, deleted in self.rig.read(sql)], "the word")

    def held(self) -> int:
        """How many signals are held."""
        return int(self.rig.read("SELECT count(*) FROM anonymous_signals WHERE handed_at IS NULL")[0][0])

    def signals(self) -> list[Signal]:
        """What stands in the log."""
        return [decode_signal(bytes(body)) for (body,) in self.rig.read("SELECT body FROM signals ORDER BY sequence")]

    def of(self, profile: str) -> Counter[str]:
        """Event ids of a profile in the log, with how often each stands there."""
        return Counter(signal.id for signal in self.signals() if signal.profile == profile)

    def counts(self) -> Counter[str]:
        """The counters of anonymous customers."""
        found = self.rig.read("SELECT counter, sum(value) FROM anonymous_counts GROUP BY counter")
        return Counter({counter: int(value) for counter, value in found})


def _fail(error: Any, _items: Any) -> None:
    raise AssertionError(error)


@pytest.fixture(scope="module", params=STACKS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests of a stack; each has customers of its own. The audit looks at it at the end."""
    folder: Path = tmp_path_factory.mktemp("stitching")
    with running_rig(request, folder, request.param) as rig:
        settings = settings_for(
            folder / "data",
            MOMENTS_PARTITIONS=str(PARTITIONS),
            MOMENTS_BROKER_URL=rig.environment["MOMENTS_BROKER_URL"],
        )
        rig.broker.declare_queue(Queue(LISTENER), [Binding(JOURNEYS, LISTENER, "signal.#")])
        ingestion = start_ingestion(settings)
        configure(ingestion, configuration(version=5))
        server = make_server("127.0.0.1", 0, ingestion.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        wait_until(lambda: ingestion.publisher.ready, "the broker")
        rig.started()
        state = rig.moment(duration="PT2S")
        wait_until(lambda: rig.knows(state), "the moment")
        yield House(rig, ingestion, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        server.server_close()
        thread.join()
        ingestion.close()


def new(what: str) -> str:
    """A name that nobody else has."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


def added(
    anonymous: str = "", *, user: str = "", cart: str = "k", at: datetime | None = None, **more: Any
) -> dict[str, Any]:
    """A call that puts a mug into a cart, `at` some time, else now."""
    return {
        "type": "track",
        "event": "Product Added",
        "messageId": str(uuid.uuid4()),
        "timestamp": (at or now()).isoformat(),
        "properties": {"product_id": "mug", "price": 9.5, "quantity": 1, "cart_id": cart},
        "context": PAGE,
        **({"anonymousId": anonymous} if anonymous else {}),
        **({"userId": user} if user else {}),
        **more,
    }


def identified(anonymous: str, user: str, *, at: datetime | None = None) -> dict[str, Any]:
    """A call that says who an anonymous customer is."""
    stamp = (at or now()).isoformat()
    return {
        "type": "identify",
        "messageId": str(uuid.uuid4()),
        "anonymousId": anonymous,
        "userId": user,
        "timestamp": stamp,
    }


def now() -> datetime:
    """This instant."""
    return to_datetime(SystemClock().now())


def test_what_an_anonymous_customer_left_is_raised_once_it_is_known_who_that_is(house: House) -> None:
    anonymous, user, client = new("a"), new("u"), house.client()
    at = now()

    client.track(
        event="Product Added", anonymous_id=anonymous, properties=added()["properties"], context=PAGE, timestamp=at
    )
    client.flush()
    wait_until(lambda: house.counts()["held"] >= 1 and house.held() >= 1, "the signal to be held")
    before = house.of(user)
    client.identify(user, {"plan": "pro"}, anonymous_id=anonymous)
    client.shutdown()

    house.rig.listen_until(lambda: house.rig.profiles()[user], "the raise")
    (event,) = [event for event in house.rig.events if event.profile == user]
    assert before == Counter()
    assert abs(event.due_at - _micros(at) - 2 * SECOND) < stretched(1) * SECOND
    assert event.data["profile"] == {"idType": "external", "id": user}
    assert list(house.of(user).values()) == [1]
    (signal,) = [each for each in house.signals() if each.profile == user]
    assert signal.data.anonymous_id == anonymous
    assert signal.received_at < signal.stitched_at


def test_what_was_due_before_it_was_known_who_the_customer_is_is_not_raised(house: House) -> None:
    anonymous, user = new("a"), new("u")
    long_ago = now() - timedelta(hours=1)

    house.post(added(anonymous, at=long_ago), added(anonymous, at=long_ago + timedelta(seconds=1)))
    house.post(identified(anonymous, user), added(user=user, cart="other"))

    house.rig.listen_until(lambda: house.rig.profiles()[user], "the raise of the other cart")
    assert house.of(user).total() == 3
    assert house.rig.profiles()[user] == 1


def test_signals_after_the_identity_is_known_are_raised_like_others(house: House) -> None:
    anonymous, user = new("a"), new("u")

    house.post(identified(anonymous, user))
    call = added(anonymous)
    house.post(call)

    house.rig.listen_until(lambda: house.rig.profiles()[user], "the raise")
    (signal,) = [each for each in house.signals() if each.profile == user]
    assert (signal.id, signal.stitched_at) == (call["messageId"], 0)


def test_what_is_repeated_is_recorded_once_and_goes_to_one_person(house: House) -> None:
    anonymous, first, second = new("a"), new("u"), new("v")
    calls = [added(anonymous) for _ in range(3)]

    for _ in range(2):
        house.post(*calls)
        house.post(*reversed(calls))
    for _ in range(2):
        house.post(identified(anonymous, first))
        house.post(*calls)
    wait_until(lambda: house.of(first).total() == 3, "the signals")
    house.post(identified(anonymous, second, at=now() - timedelta(hours=2)))  # told too late: they went to the first
    house.post(*calls, added(user=second, cart="own"))

    wait_until(lambda: house.of(second).total() == 1, "the last signal")
    assert house.of(first) == Counter({call["messageId"]: 1 for call in calls})


def test_two_anonymous_ids_of_one_person_make_one_cart(house: House) -> None:
    phone, laptop, user = new("a"), new("a"), new("u")

    house.post(added(phone), added(laptop))
    house.post(identified(phone, user), {**identified("", user), "type": "alias", "previousId": laptop})

    house.rig.listen_until(lambda: house.rig.profiles()[user], "the raise")
    (event,) = [event for event in house.rig.events if event.profile == user]
    assert event.data["content"]["items"][0]["quantity"] == 2
    assert len(event.data["signalIds"]) == 2


def test_one_anonymous_id_of_two_people_gives_each_what_happened_in_their_time(house: House) -> None:
    anonymous, first, second = new("a"), new("u"), new("v")
    start = now() - timedelta(minutes=10)
    calls = [added(anonymous, cart=f"c{n}", at=start + timedelta(minutes=n)) for n in (0, 2, 4, 6)]
    people = [identified(anonymous, first, at=start + timedelta(minutes=3))]
    people += [identified(anonymous, second, at=start + timedelta(minutes=5))]

    house.post(*calls[:2], people[0], calls[2], people[1], calls[3])
    late = added(anonymous, cart="late", at=start + timedelta(minutes=4, seconds=30))
    house.post(late)

    wait_until(lambda: house.of(first).total() + house.of(second).total() == 5, "all signals")
    assert set(house.of(first)) == {*(call["messageId"] for call in calls[:3]), late["messageId"]}
    assert set(house.of(second)) == {calls[3]["messageId"]}


def test_what_is_held_survives_the_death_of_the_worker(house: House) -> None:
    anonymous, user = new("a"), new("u")
    held = house.held()
    house.post(added(anonymous), added(anonymous))
    wait_until(lambda: house.held() == held + 2, "the signals to be held")

    house.rig.kill()
    house.post(identified(anonymous, user))
    house.rig.started()

    wait_until(lambda: house.of(user).total() == 2, "the signals")
    assert house.held() == held


def test_the_latest_signals_are_held_and_the_others_are_counted(house: House) -> None:
    anonymous, user = new("a"), new("u")
    start = now() - timedelta(minutes=30)
    calls = [added(anonymous, at=start + timedelta(seconds=n)) for n in range(MOST_HELD + 4)]
    before = house.counts()["dropped"]

    house.post(*calls[200:])
    house.post(*calls[:200])
    wait_until(lambda: house.counts()["dropped"] == before + 4, "those that are too much to be dropped")
    house.post(identified(anonymous, user))

    wait_until(lambda: house.of(user).total() == MOST_HELD, "the signals")
    assert set(house.of(user)) == {call["messageId"] for call in calls[4:]}


def test_journeys_get_what_joins_a_profile_and_nothing_anonymous(house: House) -> None:
    anonymous, user = new("a"), new("u")
    call = added(anonymous)

    house.post(call)
    house.post(identified(anonymous, user))

    found: list[Signal] = []

    def arrived() -> bool:
        consumer = house.rig.broker.consumer([LISTENER])
        while deliveries := consumer.receive(1000, 0.05):
            found.extend(decode_signal(delivery.body) for delivery in deliveries)
            consumer.ack(deliveries[-1])
        consumer.drop()
        return any(signal.id == call["messageId"] for signal in found)

    wait_until(arrived, "the signal at the journey")
    assert {signal.id_type for signal in found} == {"external"}
    (mine,) = [signal for signal in found if signal.id == call["messageId"]]
    assert (mine.profile, mine.data.anonymous_id) == (user, anonymous)


def test_an_email_beside_the_matter_of_a_call_tells_nothing_of_the_anonymous_customer(house: House) -> None:
    anonymous = new("a")
    held = house.held()

    answer = house.post(added(anonymous, properties={**added()["properties"], "email": "friend@example.com"}))
    house.post(added(anonymous))

    assert answer == {"success": True, "accepted": 1}
    wait_until(lambda: house.held() == held + 1, "the second signal to be held")


def _micros(at: datetime) -> int:
    return int(at.timestamp() * SECOND)


def test_nothing_joins_a_customer_whose_signals_are_refused_until_they_are_taken_again(house: House) -> None:
    anonymous, user, other = new("a"), new("u"), new("v")
    house.post(identified(anonymous, user), added(anonymous), identified(new("a"), other))
    wait_until(lambda: house.of(user).total() == 1, "the first signal")
    subject = subject_of(house.rig.settings.secret_pepper, "c1", "external", user).hex()

    house.suppress(SuppressionState(id=subject, version=1, configuration="c1"))
    house.post(added(anonymous))
    house.rig.kill()
    house.rig.started()
    house.post(added(anonymous), added(user=other))
    wait_until(lambda: house.of(other).total() == 1, "the signal of somebody else")
    house.suppress(SuppressionState(id=subject, version=2, configuration="c1", deleted=True))
    last = added(anonymous)
    house.post(last)

    wait_until(lambda: house.of(user)[last["messageId"]] == 1, "the last signal")
    assert house.of(user).total() == 2


def test_a_visitor_is_exported_and_erased_by_the_anonymous_id(house: House) -> None:
    """Over REST, while the worker runs; what the visitor sends afterwards is as of somebody new."""
    anonymous, user = new("a"), new("u")
    first, wrong, later = added(anonymous), added(anonymous) | {"timestamp": "soon"}, added(anonymous)
    path = f"/api/v1/profiles/{CONFIGURATION_ID}/anonymous/{anonymous}"
    house.post(first, wrong)

    with trigger_rest(house.rig) as ask:
        export = f"{path}/export"
        wait_until(lambda: ask("GET", export)["heldSignals"] and ask("GET", export)["refusedSignals"], "both")
        whom = {"configuration": CONFIGURATION_ID, "idType": "anonymous", "profile": anonymous}
        exported = ask("POST", "/api/v1/exports", json=whom)
        receipt = ask("DELETE", path, 202)
        where = f"/api/v1/erasures/{receipt['id']}"
        wait_until(lambda: ask("GET", where)["state"] != "requested", "the tombstone")
        emptied = ask("GET", export)
        house.post(first)
        house.post(later)
        wait_until(lambda: [each["id"] for each in ask("GET", export)["heldSignals"]] == [later["messageId"]], "it")
        house.post(identified(anonymous, user))
        wait_until(lambda: house.of(user) == Counter({later["messageId"]: 1}), "what came later to join")
        linked, erased = ask("GET", export), ask("GET", where)

    assert [each["id"] for each in exported["heldSignals"]] == [first["messageId"]]
    assert [each["signal"] for each in exported["refusedSignals"]] == [wrong["messageId"]]
    assert {name for name, value in emptied.items() if value} == {"exportedAt", "audienceConfiguration", "profile"}
    assert (erased["idType"], erased["dropped"]) == ("anonymous", 1)
    gone = erased["erased"]["trigger"]  # that of the word to the services, too, where the first look has been taken
    assert {store: n for store, n in gone.items() if n and store != "outbox"} == {"anonymous": 1, "refused": 1}
    assert [each["profile"] for each in linked["anonymousIds"]] == [{"idType": "external", "id": user}]


@contextmanager
def trigger_rest(rig: Rig) -> Iterator[Callable[..., Any]]:
    """Trigger's REST, which answers with the document."""
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    client = trigger.app.test_client()

    def answer(method: str, path: str, status: int = 200, **given: Any) -> Any:
        found = client.open(path, method=method, headers={"Authorization": "Bearer a-token-for-the-tests"}, **given)
        assert found.status_code == status, found.get_data()
        return found.get_json(force=True)

    yield answer
    trigger.close()


def near(user: str, *, same: bool) -> str:
    """A new anonymous id in the partition of a user, or in another one."""
    place = partition_of("c1", "external", user, PARTITIONS)
    names = (new("a") for _ in count())
    return next(name for name in names if (partition_of("c1", ANONYMOUS, name, PARTITIONS) == place) == same)


def test_after_a_restart_nothing_is_raised_before_what_known_visitors_sent_is_applied(house: House) -> None:
    """Who they are is known, or lies unread as well; it goes by way of another partition, or twice through one."""
    people = {new("u"): kind for kind in product((False, True), (False, True))}
    devices = {user: near(user, same=same) for user, (same, _) in people.items()}
    house.post(*(identified(devices[user], user) for user, (_, known) in people.items() if known))
    linked = "SELECT anonymous FROM anonymous_links"
    wanted = {devices[user] for user, (_, known) in people.items() if known}
    wait_until(lambda: wanted <= {name for (name,) in house.rig.read(linked)}, "the links")

    house.rig.kill()
    start = now() - timedelta(seconds=1)
    for user, (_, known) in people.items():
        told = [] if known else [identified(devices[user], user, at=start)]
        last = added(devices[user], at=start + timedelta(seconds=1))
        house.post(*told, added(user=user, at=start), last)
    wait_until(lambda: now() > start + timedelta(seconds=4), "everything to be due")
    house.rig.started()

    house.rig.listen_until(lambda: all(house.rig.profiles()[user] for user in people), "the raises")
    events = [event for event in house.rig.events if event.profile in people]
    assert {event.profile: round((event.due_at - _micros(start)) / SECOND, 1) for event in events} == dict.fromkeys(
        people, 3.0
    )
    assert {len(event.data["signalIds"]) for event in events} == {2}
