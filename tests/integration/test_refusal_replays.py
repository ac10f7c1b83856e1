"""Refused signals, looked at and replayed after the fix: each is recorded once, with its own time, as received now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.configurations import KeyState
from contracts.signals import decode_signal
from contracts.times import DAY, MINUTE, SECOND, from_rfc3339, to_rfc3339
from contracts.topology import REPLAYS, moments_topology
from contracts.wire import SignalRefused, SignalReplayed, encode
from services.trigger.engine.application import ProfileId
from services.trigger.refusal_replays import MOST_UNDERWAY, PATIENCE, ReplayRelay
from services.trigger.store import refused as refused_rows
from services.trigger.store.erasing import erase_refusals, refused_signals_of
from services.trigger.store.keys import profile_key, signal_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.refused import forget_contents, forget_overflow, forget_refusals, keep_refusals
from services.trigger.store.replays import (
    SETTLING,
    forget_replays,
    next_to_send,
    note_answers,
    note_sent,
)
from services.trigger.wiring import Trigger
from shared.broker import connect_broker
from shared.settings import Settings
from shared.store import connected, migrate, open_database
from tests.integration.trigger_rig import CONFIGURATION_ID, PARTITIONS, STACKS, Rig, running_rig, wait_until
from tests.support.desk import Desk
from tests.support.ingestion import ORIGIN, configuration, configure, send, settings_for, signal, start_ingestion

TOKEN = "a-token-for-the-tests"
REFUSALS = "/api/v1/refusals"
SENT = '{"id":"s1","data":{"email":"ada@example.com","items":[]}}'
Ask = Callable[..., Any]


def asker(trigger: Trigger) -> Ask:
    """Asks trigger over REST."""
    client = trigger.app.test_client()

    def ask(path: str = "", body: Any = None, status: int | None = None, **query: Any) -> Any:
        head = {"Authorization": f"Bearer {TOKEN}"}
        method = "GET" if body is None else "POST"
        answer = client.open(REFUSALS + path, method=method, json=body, query_string=query, headers=head)
        expected = status or (200 if body is None else 202)
        assert answer.status_code == expected, answer.get_data()
        return answer.get_json(force=True)

    return ask


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    yield made
    made.close()


@pytest.fixture
def ask(desk: Desk, database_url: str, tmp_path: Path) -> Iterator[Ask]:
    settings = Settings.from_environment(
        {"MOMENTS_DATA": str(tmp_path), "MOMENTS_TRIGGER_DATABASE_URL": database_url, "MOMENTS_ADMIN_TOKEN": TOKEN}
    )
    trigger = Trigger(settings, desk.clock)
    trigger.start()
    yield asker(trigger)
    trigger.close()


def refuse(desk: Desk, *names: str, **fields: Any) -> None:
    """Keep refusals as of now."""
    values: dict[str, Any] = {
        **{"status": 403, "code": "foreign_site", "reason": "no", "configuration": "c1", "kind": "cart/add"},
        **{"key": "pk_1", "sent": SENT, **fields},
    }
    with connected(desk.database), desk.database.atomic():
        keep_refusals(desk.rows, [SignalRefused(id=name, at=desk.now, signal=name, **values) for name in names])


def answer(desk: Desk, replay: str, name: str, status: int = 200, **fields: Any) -> int:
    """Take what ingestion says of one; how many were news."""
    with connected(desk.database), desk.database.atomic():
        return note_answers(
            desk.rows, [SignalReplayed(replay=replay, refusal=name, at=desk.now, status=status, **fields)]
        )


def names(page: dict[str, Any]) -> list[str]:
    """The ids of the signals of a page."""
    return [item["signalId"] for item in page["items"]]


class Shop:
    """A whole stack but config: ingestion here, the worker as a process of its own, trigger's REST."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.folder = folder
        self.version = 10
        self.trigger = Trigger(rig.settings, rig.clock)
        self.trigger.start()
        self.ask = asker(self.trigger)
        self.come_back()

    def come_back(self) -> None:
        """Start ingestion."""
        variables = {"MOMENTS_BROKER_URL": self.rig.environment["MOMENTS_BROKER_URL"]}
        self.ingestion = start_ingestion(
            settings_for(self.folder / "ingestion", MOMENTS_PARTITIONS=str(PARTITIONS), **variables)
        )

    def configure(self, *, domains: tuple[str, ...], enabled: bool) -> None:
        """Change domains and the switch of a key, as config would tell it."""
        self.version += 1
        keys = (*configuration().keys, KeyState(id="pk_off", type="web", enabled=enabled))
        configure(self.ingestion, configuration(self.version, id=CONFIGURATION_ID, domains=domains, keys=keys))
        wait_until(lambda: self.ingestion.publisher.ready, "the publisher")

    def send(self, item: Any, **how: Any) -> int:
        """Send one to the path of its kind; the status."""
        return send(self.ingestion, item, "/v1/signals/cart/add", **how).status_code

    def recorded(self) -> list[tuple[str, int, int]]:
        """(id, time, receivedAt) of every signal in trigger's log."""
        found = [decode_signal(bytes(body)) for (body,) in self.rig.read("SELECT body FROM signals")]
        return sorted((each.id, each.time, each.received_at) for each in found)

    def finished(self, replay_id: str) -> dict[str, Any]:
        """A replay when nothing of it waits any more."""
        wait_until(lambda: not self.ask(f"/replays/{replay_id}")["waiting"], "the replay to end", 30)
        found: dict[str, Any] = self.ask(f"/replays/{replay_id}")
        return found

    def close(self) -> None:
        """Give everything back."""
        self.trigger.close()
        self.ingestion.close()


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    with running_rig(request, tmp_path, request.param, audited=False) as rig:
        made = Shop(rig, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("shop", STACKS, indirect=True)
def test_after_the_fix_each_is_recorded_once_with_its_own_time_as_received_now(shop: Shop) -> None:
    shop.configure(domains=("shop.example.com",), enabled=False)
    shop.rig.moment(duration="PT1S")
    shop.rig.started()
    began = shop.rig.clock.now()
    web, foreign = {"Origin": ORIGIN}, {"Origin": "https://new.example"}
    happened = to_rfc3339(began - 3 * SECOND)
    assert shop.send(signal("foreign") | {"time": happened}, key="pk_1", headers=foreign) == 403
    assert shop.send(signal("off") | {"time": happened, "sentAt": happened}, key="pk_off", headers=web) == 403
    assert shop.send(signal("empty", items=[]), key="pk_1", headers=web) == 422
    assert shop.send(signal("guessed"), key="sk_1:guess") == 401
    wait_until(lambda: len(shop.ask()["items"]) == 4, "all four to be kept")

    by_signal = {each["signalId"]: each for each in shop.ask()["items"]}
    assert {name for name, each in by_signal.items() if each["replayable"]} == {"foreign", "off", "empty"}
    shown = shop.ask(f"/{by_signal['foreign']['id']}")
    assert (shown["whole"], shown["envelope"]["data"]["items"]) == (True, signal()["data"]["items"])
    guessed = shop.ask(f"/{by_signal['guessed']['id']}")
    assert (guessed["whole"], guessed["unkept"], guessed["envelope"]["data"].get("items")) == (False, "never", None)

    shop.configure(domains=("shop.example.com", "new.example"), enabled=True)
    asked = shop.ask("/replay", {"where": {"configurationId": CONFIGURATION_ID}, "by": "ada"})
    assert (asked["found"], asked["askedBy"]) == (3, "ada")
    done = shop.finished(asked["id"])

    assert (done["replayed"], done["refused"], done["gone"]) == (2, 1, 0)
    wait_until(lambda: len(shop.recorded()) == 2, "both to be recorded")
    (foreign_id, foreign_time, foreign_received), (off_id, off_time, off_received) = shop.recorded()
    assert (foreign_id, off_id) == ("foreign", "off")
    assert foreign_time == began - 3 * SECOND
    assert began - SECOND < off_time < began + 5 * SECOND, "corrected by the clock at the time, not of the replay"
    assert min(foreign_received, off_received) >= from_rfc3339(asked["askedAt"])
    assert shop.rig.read("SELECT count(*) FROM waits") == [(2,)]
    assert shop.rig.read("SELECT count(*) FROM raises") == [(0,)], "late: not before it has settled"
    still = shop.ask(f"/{by_signal['empty']['id']}")["replay"]
    assert (still["state"], still["refusal"]["code"]) == ("refused", "invalid")
    assert still["refusal"]["errors"][0]["pointer"] == "/data/items"

    ids = [by_signal[name]["id"] for name in ("foreign", "off")]
    shop.ask("/replay", {"ids": ids}, 409)
    shop.rig.change_rows("UPDATE refused SET state = 'asked' WHERE state = 'replayed'")
    wait_until(lambda: shop.rig.read("SELECT count(*) FROM refused WHERE state = 'replayed'") == [(2,)], "once more")
    assert shop.send(signal("last"), key="sk_1:secret") == 200
    wait_until(lambda: len(shop.recorded()) == 3, "what came after")
    assert [each[0] for each in shop.recorded()] == ["foreign", "last", "off"]


@pytest.mark.parametrize("shop", STACKS, indirect=True)
def test_what_is_asked_for_while_ingestion_is_down_is_done_when_it_is_back(shop: Shop) -> None:
    shop.configure(domains=("shop.example.com",), enabled=False)
    shop.rig.started()
    assert shop.send(signal("off"), key="pk_off", headers={"Origin": ORIGIN}) == 403
    wait_until(lambda: shop.ask()["items"], "it to be kept")
    shop.configure(domains=("shop.example.com",), enabled=True)
    shop.ingestion.close()

    asked = shop.ask("/replay", {"where": {}})
    wait_until(lambda: shop.rig.read("SELECT count(*) FROM refused WHERE state = 'underway'") == [(1,)], "the sending")
    shop.rig.kill()
    assert shop.ask(f"/replays/{asked['id']}")["waiting"] == 1
    shop.come_back()
    shop.rig.started()

    assert shop.finished(asked["id"])["replayed"] == 1
    wait_until(lambda: [each[0] for each in shop.recorded()] == ["off"], "it to be recorded")


def test_the_list_is_cut_down_by_what_they_have_in_common_and_paged(desk: Desk, ask: Ask) -> None:
    refuse(desk, "a", "b")
    desk.clock.advance(MINUTE)
    refuse(desk, "c", code="invalid", kind="page/view")
    refuse(desk, "d", configuration="c2")
    refuse(desk, "e", sent="", unkept="secret")
    refuse(desk, "f", final=True)

    assert names(ask()) == ["f", "e", "d", "c", "b", "a"]
    assert names(ask(code="invalid")) == names(ask(kind="page/view")) == ["c"]
    assert names(ask(configurationId="c2")) == ["d"]
    assert names(ask(until=to_rfc3339(desk.now))) == ["b", "a"]
    assert names(ask(since=to_rfc3339(desk.now), state="replayable")) == ["d", "c"]
    assert names(ask(state="unkept")) == ["f", "e"]
    page = ask(limit=4)
    assert names(ask(limit=4, cursor=page["next"])) == ["b", "a"]
    assert ask(limit=6)["next"] is None
    assert (ask("/r5")["unkept"], ask("/r6")["replayable"]) == ("secret", False)


@pytest.mark.parametrize(
    "wanted", [{}, {"ids": []}, {"ids": ["s1"]}, {"ids": ["r1"], "where": {}}, {"where": {"x": 1}}]
)
def test_a_wish_says_what_it_means(ask: Ask, wanted: dict[str, Any]) -> None:
    ask("/replay", wanted, 422)


def test_a_wish_takes_what_can_be_replayed_and_only_once(desk: Desk, ask: Ask) -> None:
    refuse(desk, "a", "b")
    refuse(desk, "c", sent="")
    refuse(desk, "d", final=True)

    assert ask("/replay/preview", {"where": {}}, 200) == {"found": 2}
    first = ask("/replay", {"ids": ["r1", "r3", "r4", "r99"]})
    second = ask("/replay", {"where": {"code": "foreign_site"}})
    ask("/replay", {"where": {}}, 409)

    assert (first["found"], first["wanted"], first["askedBy"]) == (1, {"ids": 4}, "admin token")
    assert (second["found"], second["wanted"]) == (1, {"code": "foreign_site"})
    assert [each["id"] for each in ask("/replays")["items"]] != []
    assert ask("/r1")["replay"] == {"id": first["id"], "state": "waiting", "at": None, "refusal": None}
    assert names(ask(state="waiting")) == ["b", "a"]
    ask("/replays/8f1c1a0e-0000-4000-8000-000000000000", status=404)
    ask("/r99", status=404)
    ask("/x", status=404)


def test_an_answer_counts_once_and_what_was_refused_again_may_be_asked_for_again(desk: Desk, ask: Ask) -> None:
    refuse(desk, "a", "b")
    replay = ask("/replay", {"where": {}})["id"]

    assert answer(desk, replay, "a") == 1
    assert answer(desk, replay, "a") == 0
    assert answer(desk, replay, "b", 403, code="foreign_site", reason="still") == 1
    assert answer(desk, replay, "b") == 0
    assert answer(desk, replay, "unknown") == 0

    found = ask(f"/replays/{replay}")
    assert (found["replayed"], found["refused"], found["waiting"], found["gone"]) == (1, 1, 0, 0)
    assert ask("/r2")["replay"]["refusal"]["reason"] == "still"
    again = ask("/replay", {"where": {}})
    assert again["found"] == 1
    assert answer(desk, replay, "b") == 0, "an answer to the request before"
    assert answer(desk, again["id"], "b") == 1
    assert names(ask(state="replayed")) == ["b", "a"]


def test_replays_are_sent_after_a_while_a_bounded_number_at_a_time(desk: Desk, ask: Ask) -> None:
    refuse(desk, "a", "b", "c")
    replay = ask("/replay", {"where": {}})["id"]
    with connected(desk.database):
        assert next_to_send(desk.rows, desk.now, 10, 10) == []
        desk.clock.advance(SETTLING)
        found = next_to_send(desk.rows, desk.now, 10, 2)
        assert [(each.refusal, each.replay, each.sent) for each in found] == [("a", replay, SENT), ("b", replay, SENT)]
        note_sent(desk.rows, found, desk.now)
        assert next_to_send(desk.rows, desk.now, 10, 2) == []
    answer(desk, replay, "c")
    with connected(desk.database):
        note_sent(desk.rows, [msgspec.structs.replace(found[0], refusal="c")], desk.now)

        assert next_to_send(desk.rows, desk.now, 10, 10) == []
    assert ask("/r3")["replay"]["state"] == "replayed"


def test_a_replay_that_got_lost_goes_again_once_none_lies_at_the_broker(desk: Desk, ask: Ask, tmp_path: Path) -> None:
    refuse(desk, "a")
    ask("/replay", {"where": {}})
    desk.clock.advance(SETTLING)
    broker = connect_broker(f"embedded://{tmp_path}/broker.db", desk.clock)
    broker.declare(moments_topology(1))
    relay = ReplayRelay(desk.rows, broker, broker.publisher(moments_topology(1)), desk.clock)
    try:
        assert [relay.run_once(), relay.run_once()] == [1, 0]
        desk.clock.advance(PATIENCE + SECOND)
        assert [relay.run_once(), relay.run_once()] == [0, 0]
        consumer = broker.consumer([REPLAYS])
        consumer.ack(consumer.receive(10, 60)[-1])
        consumer.drop()

        assert [relay.run_once(), relay.run_once()] == [0, 1]
    finally:
        broker.close()
    assert MOST_UNDERWAY <= 1_000


def test_contents_are_bounded_and_the_loudest_configuration_pays_first(desk: Desk, ask: Ask) -> None:
    refuse(desk, "quiet", configuration="c2")
    refuse(desk, *(f"loud{number}" for number in range(9)))
    ask("/replay", {"ids": ["r2"]})
    with connected(desk.database):
        kept = len(SENT) * 4
        assert forget_contents(desk.rows, kept) == 6
        assert forget_contents(desk.rows, kept) == 0

        assert desk.rows.execute("SELECT id FROM refused WHERE size > 0 ORDER BY sequence") == [
            *(("quiet",), ("loud6",), ("loud7",), ("loud8",))
        ]
        desk.clock.advance(SETTLING)
        assert next_to_send(desk.rows, desk.now, 10, 10) == []
        assert forget_contents(desk.rows, 0) == 3
        assert forget_contents(desk.rows, 0) == 1
    assert ask("/r2")["unkept"] == "forgotten"
    assert ask("/replays")["items"][0]["gone"] == 1


def test_a_flood_of_one_configuration_pushes_out_no_refusal_of_another(desk: Desk) -> None:
    refuse(desk, "quiet", configuration="c2")
    refuse(desk, *(f"loud{number}" for number in range(9)))
    with connected(desk.database):
        assert forget_overflow(desk.rows, most=3) == 6
        assert forget_overflow(desk.rows, most=3) == 0

        assert desk.rows.execute("SELECT id FROM refused ORDER BY sequence")[0] == ("quiet",)
        assert forget_refusals(desk.rows, desk.now + 1) == 4
        assert forget_replays(desk.rows, desk.now + DAY) == 0


def test_an_erasure_takes_refused_signals_also_where_the_address_stands_unread(desk: Desk) -> None:
    ada = ProfileId("c1", "email", "ada@example.com")
    refuse(desk, "mine", profile="ada@example.com", id_type="email")
    refuse(desk, "unread", sent='{"id":"x","data":{"idType":"phone","phone":"Ada@Example.com"}}')
    refuse(desk, "as source", source="ADA@example.com", sent="")
    refuse(desk, "of bob", profile="bob@example.com", id_type="email")
    refuse(desk, "of nobody", sent='{"id":"x","data":{"phone":"7"}}')
    refuse(desk, "of another shop", configuration="c2")

    with connected(desk.database), desk.database.atomic():
        assert erase_refusals(desk.rows, ada) == 3

        left = desk.rows.execute("SELECT id FROM refused ORDER BY sequence")
    assert left == [("of bob",), ("of nobody",), ("of another shop",)]


def test_an_erasure_bars_refused_signals_by_the_source_that_they_would_have(desk: Desk) -> None:
    whom = ProfileId("c1", "email", "ada@example.com")
    ada = profile_key(whom)
    refuse(desk, "a", profile="ada@example.com", id_type="email")
    refuse(desk, "b", profile="ada@example.com", id_type="email", source="till")

    with connected(desk.database):
        found = refused_signals_of(desk.rows, ada, whom)

    assert found == [signal_key(ada, "pk_1", "a"), signal_key(ada, "till", "b")]


def test_refusals_of_an_older_version_are_found_by_what_they_have_in_common(database_url: str) -> None:
    database = open_database(database_url, schema="moments_trigger")
    migrate(database, [step for step in MIGRATIONS if step is not refused_rows.KEPT_MIGRATION])
    old = SignalRefused(id="old", at=1, status=422, code="invalid", reason='a \0 "b" \N{SNOWMAN}', configuration="c1")
    older = msgspec.structs.replace(old, id="older", code="disabled_key", kind="cart/add", faults=(("/x\0", "y"),))
    with connected(database):
        for each in (old, older):
            database.execute_sql(
                f"INSERT INTO refused (id, profile_key, at, body) VALUES ({', '.join([database.param] * 4)})",
                (each.id, b"", each.at, encode(each)),
            )

    migrate(database, MIGRATIONS)

    with connected(database):
        sql = "SELECT configuration, code, kind, state, size FROM refused ORDER BY sequence"
        found = database.execute_sql(sql).fetchall()
    database.close_all()
    assert [tuple(row) for row in found] == [("c1", "invalid", "", "", 0), ("c1", "disabled_key", "cart/add", "", 0)]
