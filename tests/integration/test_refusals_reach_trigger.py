"""What ingestion refuses becomes known to trigger: by whom, why, and never at the cost of a signal (DOMAIN §6.12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.configurations import KeyState
from contracts.topology import REFUSALS, moments_topology
from contracts.wire import SIGNAL_REFUSED, SignalRefused, decode_signal_refused, encode
from services.ingestion import meters
from services.ingestion.intake import MOST_REPORTED
from services.ingestion.refusal_reports import MOST_WAITING, UNKNOWN_BURST, RefusalReports, Sender
from services.ingestion.refusals import Refusal
from services.ingestion.wiring import Ingestion
from services.trigger.engine.application import ProfileId
from services.trigger.refusals import refusal_reader
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.refused import forget_refusals, keep_refusals, refusals_of
from services.trigger.store.rows import Rows
from shared.broker import Message, Publisher, connect_broker
from shared.clock import SystemClock
from shared.store import close_database, connected, migrate, open_database
from tests.integration.trigger_rig import STACKS
from tests.support.ingestion import (
    ORIGIN,
    configuration,
    configure,
    send,
    settings_for,
    signal,
    start_ingestion,
    wait_until,
)

ADA = ProfileId("c1", "email", "ada@example.com")
SHOP = Sender("c1", "pk_1")
WEB = {"Origin": ORIGIN}
REFUSAL = Refusal(422, "invalid", "the signal is not valid")


@pytest.fixture
def rows(database_url: str) -> Iterator[Rows]:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database):
        yield Rows(database)
    close_database(database)


@pytest.fixture
def ingestion(tmp_path: Path) -> Iterator[Ingestion]:
    started = start_ingestion(settings_for(tmp_path, MOMENTS_PARTITIONS="4"))
    configure(started, configuration())
    yield started
    started.close()


def told(ingestion: Ingestion, count: int) -> list[SignalRefused]:
    """What lies in the queue of refusals, once there is that much."""
    wait_until(lambda: ingestion.publisher.ready)
    consumer = ingestion.broker.consumer([REFUSALS])
    found: list[SignalRefused] = []

    def enough() -> bool:
        if arrived := consumer.receive(1000, 0.1):
            found.extend(decode_signal_refused(each.body) for each in arrived)
            consumer.ack(arrived[-1])
        return len(found) >= count

    wait_until(enough)
    consumer.drop()
    return sorted(found, key=lambda each: each.signal)


@pytest.mark.parametrize("stack", STACKS)
def test_a_refused_signal_is_kept_for_its_profile(stack: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    servers = stack == "servers"
    broker_url = request.getfixturevalue("rabbitmq_url") if servers else f"embedded://{tmp_path}/broker.db"
    database_url = request.getfixturevalue("postgres_url") if servers else f"sqlite:///{tmp_path}/trigger.db"
    ingestion = start_ingestion(settings_for(tmp_path, MOMENTS_BROKER_URL=broker_url, MOMENTS_PARTITIONS="4"))
    configure(ingestion, configuration())
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows = Rows(database)
    wait_until(lambda: ingestion.publisher.ready)
    keeper = refusal_reader(ingestion.broker, rows, b"pepper", 1_000_000)
    keeper.start()
    try:
        answer = send(ingestion, signal("s9", site="elsewhere.example", email=" ADA@example.com"), key="sk_1:secret")
        with connected(database):
            wait_until(lambda: refusals_of(rows, ADA, 10).refusals)
            (refused,) = refusals_of(rows, ADA, 10).refusals
    finally:
        keeper.stop()
        ingestion.close()
        close_database(database)

    assert answer.get_json()["results"][0]["code"] == "foreign_site"
    assert (refused.code, refused.status, refused.kind, refused.signal) == ("foreign_site", 403, "cart/add", "s9")
    assert (refused.site, refused.time) == ("elsewhere.example", 1_795_428_930_123_000)
    assert refused.reason == "the site is not a domain of the audience configuration"


def test_of_a_signal_without_the_consent_that_it_needs_no_more_than_kind_and_reason_is_told(
    ingestion: Ingestion,
) -> None:
    keys = (*configuration().keys, KeyState(id="pk_off", type="web", enabled=False))
    configure(ingestion, configuration(2, keys=keys, consent_required=True))

    answer = send(ingestion, [signal("a"), {**signal("b"), "consent": True}, signal("c", email="none", items=[])])
    send(ingestion, signal("d"), key="pk_off", headers=WEB)
    found = told(ingestion, 3)

    assert [result.get("code") for result in answer.get_json()["results"]] == ["no_consent", None, "no_consent"]
    assert sorted((each.code, each.kind, each.key) for each in found) == [
        ("disabled_key", "cart/add", "pk_off"),
        *[("no_consent", "cart/add", "sk_1")] * 2,
    ]
    for each in found:
        assert (each.profile, each.id_type, each.signal, each.source, each.site, each.time) == ("",) * 5 + (None,)
        assert b"example.com" not in encode(each)


def test_every_fault_that_the_sender_was_told_is_told(ingestion: Ingestion) -> None:
    send(ingestion, [signal("a", items=[]), signal("b"), signal("c", email="nobody")])

    first, second = told(ingestion, 2)

    assert (first.signal, first.code, first.profile) == ("a", "invalid", "ada@example.com")
    assert first.faults[0][0] == "/data/items"
    assert (second.signal, second.id_type, second.profile) == ("c", "", "")


@pytest.mark.parametrize(
    ("key", "headers", "code"),
    [
        ("pk_1", {"Origin": "https://thief.example"}, "foreign_origin"),
        ("sk_1:wrong", {}, "wrong_secret"),
        ("pk_off", WEB, "disabled_key"),
        ("pk_old", WEB, "expired_key"),
    ],
)
def test_the_signals_of_a_refused_request_are_told_of(
    ingestion: Ingestion, key: str, headers: dict[str, str], code: str
) -> None:
    keys = (
        *configuration().keys,
        KeyState(id="pk_off", type="web", enabled=False),
        KeyState(id="pk_old", type="web", enabled=True, expires_at=1),
    )
    configure(ingestion, configuration(2, keys=keys))

    assert send(ingestion, signal("s1"), "/v1/signals/cart/add", key=key, headers=headers).status_code in (401, 403)

    (refused,) = told(ingestion, 1)
    assert (refused.code, refused.configuration, refused.kind) == (code, "c1", "cart/add")
    assert (refused.id_type, refused.profile, refused.signal) == ("email", "ada@example.com", "s1")
    assert b"secret" not in json.dumps(refused.reason).encode() or code == "wrong_secret"


def test_nothing_is_told_of_accepted_signals_and_broken_bodies(ingestion: Ingestion) -> None:
    send(ingestion, signal("fine"))
    send(ingestion, b"{", key="sk_1:wrong")
    send(ingestion, signal("last", items=[]))

    assert [each.signal for each in told(ingestion, 1)] == ["last"]


def test_whatever_api_a_signal_came_by_it_is_kept_as_it_was_read(ingestion: Ingestion) -> None:
    keys = (*configuration().keys, KeyState(id="pk_off", type="web", enabled=False))
    configure(ingestion, configuration(2, keys=keys))
    bought = {"products": [{"product_id": "p"}], "orderId": "o"}
    call = {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m1", "properties": bought}
    call["timestamp"] = "2026-11-23T10:15:30Z"
    batch = {"writeKey": "pk_off", "batch": [call, {"type": "track", "event": "Nothing known"}, 7]}
    ignored = meters.IGNORED.labels("unknown_event")._value.get()

    assert send(ingestion, batch, "/v1/batch", key=None).status_code == 403
    parcel = {"key": "pk_off", "sentAt": "2026-11-23T10:15:31Z", "signals": [signal("parcelled")]}
    send(ingestion, parcel, key=None, headers={"Content-Type": "text/plain"})
    send(ingestion, {**signal("event"), "specversion": "2.0", "type": "x"},
         headers={"Content-Type": "application/cloudevents+json"})  # fmt: skip

    event, segment, parcelled = told(ingestion, 3)
    assert (event.code, event.final, json.loads(event.sent)["id"]) == ("invalid", True, "event")
    kept = json.loads(segment.sent)
    assert (segment.code, segment.kind, segment.final) == ("disabled_key", "cart/purchase", False)
    assert (kept["id"], kept["data"]["customerId"], kept["data"]["items"][0]["productId"]) == ("m1", "u1", "p")
    assert (parcelled.code, json.loads(parcelled.sent)["sentAt"]) == ("disabled_key", "2026-11-23T10:15:31Z")
    assert "pk_off" not in segment.sent + parcelled.sent
    assert meters.IGNORED.labels("unknown_event")._value.get() == ignored


def test_an_anonymous_signal_may_be_replayed_only_where_it_could_have_been_taken(ingestion: Ingestion) -> None:
    """Segment's clients may send of a visitor who has an anonymous id alone; who sends signals as they are may not."""
    keys = (*configuration().keys, KeyState(id="pk_off", type="web", enabled=False))
    configure(ingestion, configuration(2, keys=keys))
    nobody = {"idType": "anonymous", "anonymousId": "a-1"}
    call = {"type": "track", "event": "Product Viewed", "anonymousId": "a-1", "messageId": "of a client"}
    call |= {"properties": {"product_id": "p"}, "timestamp": "2026-11-23T10:15:30Z"}

    send(ingestion, signal("as it is", **nobody))
    send(ingestion, signal("of a closed key", **nobody), key="pk_off", headers=WEB)
    send(ingestion, {"writeKey": "pk_off", "batch": [call]}, "/v1/batch", key=None)

    assert [(each.signal, each.code, each.final) for each in told(ingestion, 3)] == [
        ("as it is", "invalid", True),
        ("of a client", "disabled_key", False),
        ("of a closed key", "disabled_key", True),
    ]


def test_who_somebody_is_is_refused_to_a_key_that_may_not_tell_and_told_of_never_to_be_replayed(
    ingestion: Ingestion,
) -> None:
    limited = KeyState(id="pk_few", type="web", enabled=True, kinds=("product/view",))
    configure(ingestion, configuration(2, keys=(*configuration().keys, limited)))
    call = {"type": "identify", "anonymousId": "a-1", "userId": "ada", "messageId": "m-1"}
    call |= {"timestamp": "2026-11-23T10:15:30Z"}

    answer = send(ingestion, {"writeKey": "pk_few", "batch": [call]}, "/v1/batch", key=None, headers=WEB)

    assert [each["status"] for each in answer.get_json()["refused"]] == [403]
    (refused,) = told(ingestion, 1)
    assert (refused.code, refused.kind, refused.final) == ("kind_not_of_key", "identify", True)
    assert (refused.signal, refused.id_type, refused.profile) == ("m-1", "external", "ada")


def test_a_signal_of_a_kind_that_there_is_not_yet_is_kept_when_its_sender_is_let_in(ingestion: Ingestion) -> None:
    for key in ("sk_1:wrong", None, "sk_1:secret"):
        assert send(ingestion, signal("new", signal=None), "/v1/signals/cart/fly", key=key).status_code == 404
    assert send(ingestion, b"{", "/v1/signals/cart/fly").status_code == 404

    (found,) = told(ingestion, 1)

    assert (found.code, found.kind, bool(found.sent)) == ("unknown_kind", "cart/fly", True)


def test_of_a_large_request_that_is_refused_some_signals_are_kept(ingestion: Ingestion) -> None:
    keys = (*configuration().keys, KeyState(id="pk_off", type="web", enabled=False))
    configure(ingestion, configuration(2, keys=keys))

    send(ingestion, [signal(f"s{number:03}") for number in range(300)], key="pk_off", headers=WEB)

    found = told(ingestion, MOST_REPORTED)
    assert [each.signal for each in found] == [f"s{number:03}" for number in range(MOST_REPORTED)]
    assert all(each.sent for each in found)


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        {"data": 7},
        {"id": "\0\ud800", "data": {"idType": "external", "customerId": "\0a"}},
        {"id": ["x"], "time": "9999-99-99T00:00:00Z", "data": {"idType": ["email"]}},
        {"time": "0001-01-01T00:00:00+23:59", "data": {"email": "\ud800@example.com", "signal": "x" * 99_999}},
        {"data": {"idType": "phone", "phone": 1e300, "site": "a\0b"}},
        {"data": {"idType": "external", "customerId": float("inf")}},
    ],
)
def test_whatever_was_sent_becomes_a_message_that_can_be_kept(rows: Rows, item: Any) -> None:
    publisher = Listening()
    reports = RefusalReports(publisher)

    reports.add(REFUSAL, SHOP, item, "", 7)
    assert reports.flush() == 1

    refused = decode_signal_refused(publisher.messages[0].body)
    assert (refused.configuration, refused.profile) == ("c1", "")
    assert len(publisher.messages[0].body) < 1_500
    keep_refusals(rows, [refused])


def test_of_an_unknown_key_little_is_told_and_not_whom_it_concerned(ingestion: Ingestion) -> None:
    send(ingestion, signal("s1"), key="sk_unknown_key:secret")
    send(ingestion, signal("s2"), key="tr\N{LATIN SMALL LETTER U WITH DIAERESIS}b")
    send(ingestion, signal("s3"), key=None)

    found = told(ingestion, 3)

    assert [(each.code, each.key, each.configuration) for each in found] == [
        ("unknown_key", "sk_unkno", ""),
        ("unknown_key", "", ""),
        ("missing_key", "", ""),
    ]
    assert {(each.id_type, each.profile) for each in found} == {("", "")}


def test_a_flood_of_unknown_keys_is_cut_shorter_than_that_of_a_configuration() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher, per_second=0.0)

    for number in range(100):
        reports.add(REFUSAL, Sender.of(None, "pk_x"), signal(f"s{number}"), "cart/add", 7)
    reports.flush()

    assert len(publisher.messages) == UNKNOWN_BURST


def test_a_flood_of_one_configuration_is_cut_and_counted_and_silences_no_other() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher, per_second=0.0, burst=5)
    before = meters.REPORTS_DROPPED.labels("rate")._value.get()

    for number in range(100):
        reports.add(REFUSAL, Sender("loud", "pk_1"), signal(f"s{number}"), "cart/add", 7)
    reports.add(REFUSAL, Sender("quiet", "pk_2"), signal("mine"), "cart/add", 7)
    reports.flush()

    found = [decode_signal_refused(each.body).configuration for each in publisher.messages]
    assert found == ["loud"] * 5 + ["quiet"]
    assert meters.REPORTS_DROPPED.labels("rate")._value.get() - before == 95


def test_while_the_broker_is_away_few_are_kept() -> None:
    publisher = Listening()
    publisher.ready = False
    reports = RefusalReports(publisher, per_second=1e9, burst=10**9)

    for number in range(MOST_WAITING + 100):
        reports.add(REFUSAL, SHOP, signal(f"s{number}"), "cart/add", 7)
    assert reports.flush() == 0

    publisher.ready = True
    assert reports.flush() == MOST_WAITING
    assert reports.flush() == 0


def test_what_is_to_be_sent_again_is_no_news() -> None:
    publisher = Listening()
    reports = RefusalReports(publisher)

    reports.add(Refusal(503, "unavailable", "later"), SHOP, signal(), "cart/add", 7)

    assert reports.flush() == 0


def test_refusals_are_kept_once_read_in_order_and_forgotten(rows: Rows) -> None:
    made = [SignalRefused(id=f"r{at}", at=at, status=422, code="invalid", reason="", configuration="c1",
                          signal=f"s{at}", id_type="email", profile="ada@example.com") for at in range(10)]  # fmt: skip
    keep_refusals(rows, [made[2], made[1], made[2]])
    keep_refusals(rows, made)

    page = refusals_of(rows, ADA, 4)
    assert ([each.at for each in page.refusals], page.more) == ([6, 7, 8, 9], True)
    assert refusals_of(rows, ADA, 10).more is False
    assert refusals_of(rows, ADA._replace(id_type="external"), 10).refusals == ()

    assert forget_refusals(rows, 4) == 4
    assert [each.at for each in refusals_of(rows, ADA, 10).refusals] == [4, 5, 6, 7, 8, 9]
    assert forget_refusals(rows, 0, most=2) == 4
    assert [each.at for each in refusals_of(rows, ADA, 10).refusals] == [8, 9]


class Listening:
    """A publisher that takes everything at once."""

    def __init__(self) -> None:
        self.ready = True
        self.messages: list[Message] = []

    def publish_all(self, messages: list[Message]) -> list[Any]:
        """Take the messages; nothing comes of them."""
        self.messages += messages
        return []


@pytest.mark.parametrize("stack", STACKS)
def test_what_no_database_takes_keeps_no_other_away(stack: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    servers = stack == "servers"
    broker_url = request.getfixturevalue("rabbitmq_url") if servers else f"embedded://{tmp_path}/broker.db"
    database_url = request.getfixturevalue("postgres_url") if servers else f"sqlite:///{tmp_path}/trigger.db"
    broker = connect_broker(broker_url, SystemClock())
    topology = moments_topology(1)
    broker.declare(topology)
    publisher = broker.publisher(topology)
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows = Rows(database)
    keeper = refusal_reader(broker, rows, b"pepper", 1_000_000)
    good = SignalRefused(id="before", at=1, status=422, code="invalid", reason="", configuration="c1")
    odd = msgspec.structs.replace(good, id="odd", at=2**63)
    try:
        for each in (good, odd, msgspec.structs.replace(good, id="beside")):
            tell(publisher, each)
        keeper.start()
        with connected(database):
            kept = "SELECT id FROM refused ORDER BY id"
            wait_until(lambda: rows.execute(kept) == [("before",), ("beside",)], 60)
            tell(publisher, msgspec.structs.replace(good, id="after"))
            wait_until(lambda: rows.execute(kept) == [("after",), ("before",), ("beside",)], 60)
    finally:
        keeper.stop()
        broker.close()
        close_database(database)


def tell(publisher: Publisher, refused: SignalRefused) -> None:
    """Publish a refusal as ingestion does."""
    message = Message(exchange=REFUSALS, routing_key=SIGNAL_REFUSED, body=encode(refused), message_id=refused.id)
    publisher.publish(message).result(60)
