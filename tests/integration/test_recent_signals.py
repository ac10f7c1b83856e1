"""The latest signals, accepted and refused, read over REST from what was recorded; and the kinds that came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.configurations import AudienceState, ConfigurationState
from contracts.times import DAY, HOUR, SECOND
from contracts.wire import SignalRefused
from services.trigger.engine.application import ProfileId
from services.trigger.housekeeping.house import House
from services.trigger.housekeeping.received import forget_received_kinds
from services.trigger.store import recent
from services.trigger.store.cache import Cache
from services.trigger.store.recent import OVERLAP
from services.trigger.store.records import save_configuration
from services.trigger.store.refused import keep_refusals
from services.trigger.store.rows import Rows
from services.trigger.wiring import Trigger
from shared.clock import stopwatch
from shared.settings import Settings
from shared.store import connected
from tests.integration.trigger_rig import CONFIGURATION_ID, PARTITIONS, STACKS, running_rig, wait_until
from tests.support.desk import Desk
from tests.support.ingestion import ORIGIN, configuration, configure, send, settings_for, signal, start_ingestion
from tests.support.processes import stretched

TOKEN = "a-token-for-the-tests"
RECENT = "/api/v1/signals/recent"
FOREIGN = {"Origin": "https://x.example"}
Get = Callable[..., Any]


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    made = Desk(database_url)
    with connected(made.database):
        for name in ("c1", "c2"):
            audience = AudienceState(id="a", name="A")
            save_configuration(
                made.rows, ConfigurationState(id=name, version=1, name=f"Shop {name}", audience=audience)
            )
    yield made
    made.close()


@pytest.fixture
def get(desk: Desk, database_url: str, tmp_path: Path) -> Iterator[Get]:
    trigger = Trigger(settings_of(database_url, tmp_path), desk.clock)
    trigger.start()
    yield reader(trigger)
    trigger.close()


def settings_of(database_url: str, folder: Path) -> Settings:
    """Of a trigger on a database."""
    return Settings.from_environment(
        {"MOMENTS_DATA": str(folder), "MOMENTS_TRIGGER_DATABASE_URL": database_url, "MOMENTS_ADMIN_TOKEN": TOKEN}
    )


def reader(trigger: Trigger) -> Get:
    """Reads over REST."""
    client = trigger.app.test_client()

    def get(path: str, status: int = 200, **query: Any) -> Any:
        answer = client.get(path, query_string=query, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == status, answer.get_data()
        return answer.get_json(force=True)

    return get


def refuse(desk: Desk, *signals: str, code: str = "invalid", **fields: Any) -> None:
    """Keep refusals as of now."""
    values: dict[str, Any] = {
        **{"status": 422, "reason": "no", "configuration": "c1", "kind": "cart/add", "id_type": "email", "key": "pk_1"},
        **fields,
    }
    found = [SignalRefused(id=f"{code}-{each}", at=desk.now, code=code, signal=each, **values) for each in signals]
    with connected(desk.database), desk.database.atomic():
        keep_refusals(desk.rows, found)


def shown(page: dict[str, Any]) -> list[str]:
    """The ids of signals on a page."""
    return [item["signalId"] for item in page["items"]]


def every(get: Get, limit: int = 2, **query: Any) -> list[str]:
    """All pages of a list."""
    found, page = [], get(RECENT, limit=limit, **query)
    while True:
        found += shown(page)
        if page["next"] is None:
            return found
        page = get(RECENT, limit=limit, cursor=page["next"], **query)


def told_in_turns(desk: Desk) -> list[str]:
    """Accepted and refused signals, a second apart; their ids, the newest first."""
    ids: list[str] = []
    for number in range(4):
        (made,) = desk.add(f"p{number}@example.com")
        desk.clock.advance(SECOND)
        refuse(desk, f"r{number}", profile=f"p{number}@example.com")
        desk.clock.advance(SECOND)
        ids = [f"r{number}", made.id, *ids]
    return ids


def test_accepted_and_refused_signals_are_one_list_the_newest_first_on_any_page(desk: Desk, get: Get) -> None:
    ids = told_in_turns(desk)

    assert shown(get(RECENT)) == ids
    assert [every(get, limit) for limit in (1, 2, 3, 8)] == [ids] * 4
    assert every(get, outcome="accepted") == ids[1::2]
    assert every(get, outcome="refused") == ids[0::2]


def test_an_entry_tells_what_came_from_whom_and_why_it_was_refused(desk: Desk, get: Get) -> None:
    (made,) = desk.add("ada@example.com", configuration="c2")
    desk.clock.advance(SECOND)
    refuse(desk, "bad", code="foreign_site", site="x.example", faults=(("/data/site", "is foreign"),), source="shop")

    refused, accepted = get(RECENT)["items"]

    assert accepted | {"receivedAt": "", "time": ""} == {
        "id": "s1",
        "outcome": "accepted",
        "receivedAt": "",
        "time": "",
        "kind": "cart/add",
        "source": "shop",
        "signalId": made.id,
        "site": "shop.example.com",
        "configuration": {"id": "c2", "name": "Shop c2"},
        "key": {"id": None, "type": "web"},
        "profile": {"idType": "email", "id": "ada@example.com"},
        "refusal": None,
        "replayable": False,
        "replay": None,
    }
    assert (refused["key"], refused["profile"], refused["time"]) == ({"id": "pk_1", "type": "web"}, None, None)
    assert refused["refusal"] == {
        "status": 422,
        "code": "foreign_site",
        "reason": "no",
        "errors": [{"pointer": "/data/site", "reason": "is foreign"}],
    }


def test_what_has_come_since_is_told_whatever_it_is(desk: Desk, get: Get) -> None:
    told_in_turns(desk)
    desk.clock.advance(OVERLAP)
    latest = get(RECENT)["latest"]
    desk.clock.advance(OVERLAP)
    latest = get(RECENT, after=latest)["latest"]
    assert shown(get(RECENT, after=latest)) == []

    (made,) = desk.add("ada@example.com")
    refuse(desk, "late")
    page = get(RECENT, after=latest)

    assert sorted(shown(page)) == sorted(["late", made.id])
    assert page["next"] is None
    desk.clock.advance(OVERLAP)
    settled = get(RECENT, after=page["latest"])["latest"]
    desk.clock.advance(OVERLAP)
    assert shown(get(RECENT, after=get(RECENT, after=settled)["latest"])) == []


def test_of_a_crowd_that_came_since_the_newest_are_told_and_that_there_are_more(desk: Desk, get: Get) -> None:
    latest = get(RECENT)["latest"]
    made = desk.add(*(f"p{number}@example.com" for number in range(5)))

    page = get(RECENT, after=latest, limit=3)

    assert shown(page) == [each.id for each in reversed(made[2:])]
    assert page["next"] is not None


@pytest.mark.postgresql
def test_on_postgresql_what_commits_after_its_successors_is_told(postgres_url: str, tmp_path: Path) -> None:
    desk = Desk(postgres_url)
    settings = {
        "MOMENTS_DATA": str(tmp_path),
        "MOMENTS_TRIGGER_DATABASE_URL": postgres_url,
        "MOMENTS_ADMIN_TOKEN": TOKEN,
    }
    trigger = Trigger(Settings.from_environment(settings), desk.clock)
    trigger.start()
    get = reader(trigger)
    latest = get(RECENT)["latest"]
    desk.read("SELECT nextval('signal_sequence')")
    (second,) = desk.add("bob@example.com")
    page = get(RECENT, after=latest)
    assert shown(page) == [second.id]

    body = desk.read("SELECT body FROM signals")[0][0]
    with connected(desk.database), desk.database.atomic():
        desk.rows.execute(
            "INSERT INTO signals (sequence, profile, key, level, received_at, body) VALUES (1, 0, ?, 0, ?, ?)",
            (b"key", desk.now, bytes(body).replace(second.id.encode(), b"s-first")),
        )

    assert "s-first" in shown(get(RECENT, after=page["latest"]))
    trigger.close()
    desk.close()


def test_the_list_is_cut_down_to_what_is_asked_for(desk: Desk, get: Get) -> None:
    (add,) = desk.add("Ada@example.com".lower())
    (view,) = desk.add("bob@example.com", kind="product/view", configuration="c2")
    refuse(desk, "off", code="disabled_key", profile="ada@example.com", key="pk_other")
    refuse(desk, "unknown", code="unknown_key", configuration="", key="pk_typo", id_type="")

    assert every(get, kind="product/view") == [view.id]
    assert every(get, configurationId="c2") == [view.id]
    assert every(get, key="pk_other") == ["off"]
    assert every(get, key="pk_typo") == ["unknown"]
    assert every(get, reason="disabled_key") == ["off"]
    assert every(get, reason="disabled_key", outcome="accepted") == []
    assert sorted(every(get, profile=" ADA@example.com ")) == sorted(["off", add.id])
    assert every(get, profile="bob@example.com", configurationId="c1") == []
    assert every(get, profile="bob@example.com", idType="external") == []
    assert every(get, kind='cart/add" OR 1=1 --\0') == []


def test_what_is_rare_is_looked_for_part_by_part_and_the_answer_says_how_far(
    desk: Desk, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MOST_READ", 10)
    (rare,) = desk.add("ada@example.com", kind="product/view")
    refuse(desk, "old")
    for number in range(30):
        desk.clock.advance(SECOND)
        desk.add(f"p{number}@example.com")

    page = get(RECENT, kind="product/view")

    assert (page["items"], page["searchedSince"] is not None, page["next"] is not None) == ([], True, True)
    assert every(get, kind="product/view") == [rare.id]
    assert every(get, reason="invalid") == ["old"]
    assert every(get, profile="ada@example.com") == [rare.id]


def test_a_profile_is_looked_for_by_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(f"sqlite:///{tmp_path}/trigger.db")
    plans: list[str] = []
    execute = Rows.execute

    def explained(rows: Rows, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        plans.extend(str(step[3]) for step in execute(rows, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return execute(rows, sql, parameters)

    monkeypatch.setattr(Rows, "execute", explained)
    with connected(desk.database):
        wanted = recent.Wanted(profiles=[ProfileId("c1", "email", "ada@example.com")])
        recent.read_recent(desk.rows, wanted, before=None, after=None, limit=50)
    desk.close()

    searched = [plan for plan in plans if plan.startswith(("SEARCH", "SCAN"))]
    assert searched
    assert all("signals_by_key" in plan or "refused_by_profile" in plan for plan in searched), searched


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "501"}, {"cursor": "x"}, {"after": "kgEC"}, {"outcome": "both"}, {"idType": "name"}],
)
def test_a_wrong_question_is_refused(get: Get, query: dict[str, str]) -> None:
    get(RECENT, status=422, **query)


def test_a_configuration_that_no_database_takes_is_named(get: Get) -> None:
    (fault,) = get("/api/v1/signals/kinds", status=422, configurationId="c\x00")["errors"]

    assert fault["reason"] == "A text without the character NUL is needed."


@pytest.mark.parametrize("place", ["s1", "r1", "s", "x1", "s-1", "s9999999999999999999", "s1%00", "r२"])
def test_a_signal_that_is_not_kept_is_not_found(get: Get, place: str) -> None:
    get(f"{RECENT}/{place}", status=404)


def test_what_a_signal_did_is_told_for_every_moment_that_heeds_it(desk: Desk, get: Get) -> None:
    desk.run(duration="PT1H")
    desk.add("ada@example.com")
    desk.clock.advance(SECOND)
    desk.add("ada@example.com", kind="cart/purchase")

    bought, added = (get(f"{RECENT}/{item['id']}") for item in get(RECENT)["items"])

    assert [effect["moment"]["id"] for effect in added["effects"]] == ["m1"]
    assert [change["effect"] for change in added["effects"][0]["entries"][0]["changes"]] == ["opened"]
    assert [change["effect"] for change in bought["effects"][0]["entries"][0]["changes"]] == ["ended"]
    assert added["envelope"]["data"]["profile"] == {"idType": "email", "id": "ada@example.com"}
    assert (added["whole"], added["more"]) == (True, False)


def test_a_kind_that_no_moment_heeds_does_nothing_and_a_refusal_shows_what_is_kept_of_it(desk: Desk, get: Get) -> None:
    desk.run(duration="PT1H")
    desk.add("ada@example.com", kind="app/install")
    desk.clock.advance(SECOND)
    refuse(desk, "bad", profile="ada@example.com", site="x.example", time=desk.now)

    refused, installed = (get(f"{RECENT}/{item['id']}") for item in get(RECENT)["items"])

    assert installed["effects"] == []
    assert (refused["whole"], refused["effects"]) == (False, [])
    data = {"signal": "cart/add", "site": "x.example", "idType": "email", "email": "ada@example.com"}
    assert refused["envelope"] == {"id": "bad", "time": refused["time"], "data": data}


def test_the_kinds_that_came_are_counted_by_configuration_over_a_day(desk: Desk, get: Get) -> None:
    kinds = "/api/v1/signals/kinds"
    assert get(kinds)["items"] == []
    desk.add("ada@example.com", kind="product/view")
    desk.clock.advance(2 * DAY)
    repeated = desk.add("ada@example.com", "bob@example.com")
    desk.apply(repeated)
    desk.clock.advance(HOUR)
    desk.add("ada@example.com", configuration="c2")
    desk.add("eve@example.com", received=desk.now - HOUR // 2)

    found = [(each["kind"], each["configurationId"], each["last24Hours"]) for each in get(kinds)["items"]]

    assert found == [("cart/add", "c2", 1), ("cart/add", "c1", 3), ("product/view", "c1", 0)]
    assert [each["configurationId"] for each in get(kinds, configurationId="c2")["items"]] == ["c2"]
    assert get(kinds)["items"][2]["lastReceivedAt"] < get(kinds)["items"][1]["lastReceivedAt"]


def test_old_hours_are_forgotten_but_when_a_kind_last_came_is_kept_as_long_as_signals(desk: Desk, get: Get) -> None:
    desk.add("ada@example.com", kind="product/view")
    desk.add("ada@example.com")
    desk.clock.advance(3 * DAY)
    desk.add("ada@example.com")

    def keep_house() -> Sequence[tuple[str, int]]:
        settings = Settings.from_environment({"MOMENTS_DATA": "nowhere"})
        with connected(desk.database), desk.database.atomic():
            list(forget_received_kinds(House(desk.rows, {0}, Cache(), desk.registry, settings, desk.now)))
        return desk.read("SELECT kind, sum(count) FROM received GROUP BY kind ORDER BY kind")

    assert [(kind, int(count)) for kind, count in keep_house()] == [("cart/add", 1), ("product/view", 1)]
    desk.clock.advance(28 * DAY)
    assert [kind for kind, _ in keep_house()] == ["cart/add"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_signal_is_seen_within_two_seconds_of_its_answer(
    stack: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with running_rig(request, tmp_path, stack) as rig:
        broker = {"MOMENTS_BROKER_URL": rig.environment["MOMENTS_BROKER_URL"], "MOMENTS_PARTITIONS": str(PARTITIONS)}
        ingestion = start_ingestion(settings_for(tmp_path / "ingestion", **broker))
        trigger = Trigger(rig.settings, rig.clock)
        trigger.start()
        get = reader(trigger)
        try:
            configure(ingestion, configuration(2, id=CONFIGURATION_ID))
            wait_until(lambda: ingestion.publisher.ready, "the publisher")
            rig.started()
            latest = get(RECENT)["latest"]
            began = stopwatch()
            web = {"Origin": ORIGIN}
            fine = send(ingestion, signal("fine", source="my-shop"), "/v1/signals/cart/add", key="pk_1", headers=web)
            assert fine.status_code == 200
            send(
                ingestion,
                signal("foreign"),
                "/v1/signals/cart/add",
                key="pk_1",
                headers={"Origin": "https://x.example"},
            )
            send(ingestion, signal("typo"), "/v1/signals/cart/add", key="pk_typo_of_a_key")
            send(ingestion, signal("bare"), "/v1/signals/cart/add", key=None)

            wait_until(lambda: len(get(RECENT, after=latest)["items"]) == 4, "all four")

            assert stopwatch() - began < stretched(2)
            found = {each["signalId"]: each for each in get(RECENT, after=latest)["items"]}
        finally:
            trigger.close()
            ingestion.close()
    assert found["fine"]["key"] == {"id": "pk_1", "type": "web"}
    assert found["foreign"]["refusal"]["code"] == "foreign_origin"
    assert (found["typo"]["key"], found["typo"]["configuration"]) == ({"id": "pk_typo_", "type": "web"}, None)
    assert (found["bare"]["refusal"]["code"], found["bare"]["key"]) == ("missing_key", None)
    assert found["typo"]["profile"] is None
