"""Audience configurations and keys over REST, on both databases (DOMAIN §3)."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from contracts.times import SECOND
from services.config.keys import is_well_formed
from shared.clock import ManualClock
from tests.support.configuring import CONFIGURATIONS, SHOP, Client, running_config

NOON = 1_795_435_200 * SECOND


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def config(tmp_path: Path, database_url: str, clock: ManualClock) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, clock=clock, start=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for many tests of what never reaches a database."""
    with running_config(tmp_path_factory.mktemp("config"), start=False) as client:
        yield client


def key(document: dict[str, Any], type: str) -> dict[str, Any]:
    """The present key of a type."""
    return next(each for each in document["keys"] if each["type"] == type and each["expiresAt"] is None)


def test_a_configuration_is_made_with_three_disabled_keys_and_shows_the_secret_once(config: Client) -> None:
    answer = config.call("POST", CONFIGURATIONS, SHOP)

    made = answer.document
    assert answer.status == 201
    assert answer.etag == '"1"'
    assert [(each["type"], each["enabled"]) for each in made["keys"]] == [
        ("web", False),
        ("app", False),
        ("server", False),
    ]
    assert [each["id"].partition("_")[0] for each in made["keys"]] == ["pk", "ak", "sk"]
    assert [each["type"] for each in made["keys"] if "secret" in each] == ["server"]
    assert is_well_formed(key(made, "server")["secret"])
    assert "secret" not in key(config.get(f"{CONFIGURATIONS}/{made['id']}"), "server")


def test_only_a_keyed_hash_of_the_secret_is_stored(config: Client) -> None:
    secret = key(config.make_configuration(), "server")["secret"]

    with config.service.store.reading() as database:
        rows = database.execute_sql("SELECT secret_hash FROM keys WHERE type = 'server'").fetchall()
        everything = str(
            [database.execute_sql(f"SELECT * FROM {table}").fetchall() for table in ("keys", "audit", "outbox")]
        )
    assert rows != [(secret,)]
    assert len(rows[0][0]) == 64
    assert secret not in everything


def test_domains_are_kept_in_normal_form_and_once(config: Client) -> None:
    made = config.make_configuration(domains=["Shop.Example.COM.", "shop.example.com:443", "*.Bücher.example"])

    assert made["domains"] == ["shop.example.com", "*.xn--bcher-kva.example"]


def test_every_fault_of_a_new_configuration_is_named(shared_config: Client) -> None:
    wrong = {
        "description": 7,
        "audience": {"id": "", "idTypes": ["email", "fax"]},
        "domains": ["shop.example.com", "*.co.uk", "a/b"],
        "colour": "red",
    }

    answer = shared_config.call("POST", CONFIGURATIONS, wrong)

    assert answer.status == 422
    assert sorted(answer.pointers) == [
        "/audience/id",
        "/audience/idTypes/1",
        "/audience/name",
        "/colour",
        "/description",
        "/domains/1",
        "/domains/2",
        "/name",
    ]


@pytest.mark.parametrize(
    "name",
    ["x" * 200, "🛒🛍️ Größe", "متجر \u202eabc", "Robert'); DROP TABLE moments;--", "<script>", '"%_\\', "名" * 200],
)
def test_a_hostile_name_is_kept_as_it_is_and_found_again(config: Client, name: str) -> None:
    made = config.make_configuration(name=name)

    found = config.call("GET", f"{CONFIGURATIONS}?search={quote(name)}").document

    assert config.get(f"{CONFIGURATIONS}/{made['id']}")["name"] == name
    assert [each["id"] for each in found["items"]] == [made["id"]]


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b", "a\nb", None, 5, ["a"]])
def test_a_name_that_is_none_is_refused(shared_config: Client, name: Any) -> None:
    answer = shared_config.call("POST", CONFIGURATIONS, {**SHOP, "name": name})

    assert (answer.status, answer.pointers) == (422, ["/name"])


def test_a_search_with_a_nul_character_is_refused_and_not_an_error_of_the_database(config: Client) -> None:
    assert config.call("GET", CONFIGURATIONS + "?search=%00").status == 422
    assert config.call("GET", CONFIGURATIONS + "/%00").status == 404
    path = f"{CONFIGURATIONS}/{config.make_configuration()['id']}/keys/%00"
    assert config.call("PATCH", path, {"enabled": True}).status == 404


def test_the_list_is_paged_searched_and_sorted_newest_update_first(config: Client, clock: ManualClock) -> None:
    made = []
    for name in ("Ümlaut Straße", "beta", "Alpha"):
        made.append(config.make_configuration(name=name))
        clock.advance(SECOND)
    config.call("PATCH", f"{CONFIGURATIONS}/{made[0]['id']}", {"description": "changed"}, if_match='"1"')

    def names(query: str) -> list[str]:
        return [each["name"] for each in config.get(f"{CONFIGURATIONS}?{query}")["items"]]

    assert names("") == ["Ümlaut Straße", "Alpha", "beta"]
    assert names("sort=name") == ["Alpha", "beta", "Ümlaut Straße"]
    assert names("sort=-createdAt") == ["Alpha", "beta", "Ümlaut Straße"]
    assert names("pageSize=2&page=2") == ["beta"]
    assert names("page=9") == []
    assert names("search=üMLAUT%20STRASSE") == ["Ümlaut Straße"]
    assert names("search=shop.example%20changed") == ["Ümlaut Straße"]
    assert names("search=100%25") == []
    assert config.get(f"{CONFIGURATIONS}?pageSize=1")["total"] == 3


@pytest.mark.parametrize(
    "query", ["page=0", "pageSize=201", "pageSize=x", "sort=domains", "page=99999999999999999999", "who=me"]
)
def test_a_wrong_parameter_of_the_list_is_named(shared_config: Client, query: str) -> None:
    answer = shared_config.call("GET", f"{CONFIGURATIONS}?{query}")

    assert (answer.status, answer.pointers) == (422, [query.partition("=")[0]])


def test_a_change_needs_the_version_that_was_read(config: Client) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}"

    assert config.call("PATCH", path, {"name": "B"}).status == 428
    assert config.call("PATCH", path, {"name": "B"}, if_match='"7"').status == 412
    assert config.call("PATCH", path, {"name": "B"}, if_match='W/"1"').status == 412
    changed = config.call("PATCH", path, {"name": "B"}, if_match='"1"')

    assert (changed.status, changed.etag, changed.document["name"]) == (200, '"2"', "B")
    assert changed.document["domains"] == made["domains"]
    assert config.call("PATCH", path, {"name": "C"}, if_match='"1"').status == 412
    assert config.call("PATCH", path, {"name": "C"}, if_match="*").etag == '"3"'
    assert config.call("GET", path, if_none_match='"3"').status == 304


def test_a_change_that_changes_nothing_makes_no_version(config: Client) -> None:
    made = config.make_configuration()

    answer = config.call("PATCH", f"{CONFIGURATIONS}/{made['id']}", {"name": made["name"]}, if_match='"1"')

    assert (answer.status, answer.etag) == (200, '"1"')
    assert config.get("/api/v1/audit")["total"] == 1


def test_of_two_changes_with_one_etag_exactly_one_wins(config: Client) -> None:
    path = f"{CONFIGURATIONS}/{config.make_configuration()['id']}"
    start = threading.Barrier(6)
    statuses: list[int] = []

    def change(number: int) -> None:
        start.wait()
        statuses.append(config.call("PATCH", path, {"name": f"by {number}"}, if_match='"1"').status)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]
    assert config.get(path)["version"] == 2


def test_a_key_is_switched_by_its_type_or_its_id(config: Client) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}/keys"

    by_type = config.call("PATCH", f"{path}/web", {"enabled": True})
    by_id = config.call("PATCH", f"{path}/{key(made, 'app')['id']}", {"enabled": True})

    assert (by_type.status, by_type.etag) == (200, '"2"')
    assert [each["enabled"] for each in by_id.document["keys"]] == [True, True, False]
    assert config.call("PATCH", f"{path}/fax", {"enabled": True}).status == 404
    assert config.call("PATCH", f"{path}/web", {"enabled": "yes"}).pointers == ["/enabled"]
    assert config.call("PATCH", f"{path}/web", {"enabled": False}, if_match='"1"').status == 412


def test_a_key_is_limited_to_kinds_of_its_touchpoint_also_when_it_is_made_anew(config: Client) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}/keys"
    assert key(made, "web")["kinds"] is None

    limited = config.call("PATCH", f"{path}/web", {"kinds": ["page/view", "cart/add", "page/view"]})
    again = config.call("PATCH", f"{path}/web", {"kinds": ["cart/add", "page/view"], "enabled": False})
    anew = config.call("POST", f"{path}/web/regenerate", {}).document

    assert key(limited.document, "web")["kinds"] == ["cart/add", "page/view"]
    assert (again.status, again.etag) == (200, '"2"')
    assert key(anew, "web")["kinds"] == ["cart/add", "page/view"]
    assert key(config.get(f"{CONFIGURATIONS}/{made['id']}"), "web")["kinds"] == ["cart/add", "page/view"]
    entry = config.get("/api/v1/audit")["items"][1]
    assert (entry["action"], key(entry["after"], "web")["kinds"]) == ("change key", ["cart/add", "page/view"])
    assert key(config.call("PATCH", f"{path}/web", {"kinds": None}).document, "web")["kinds"] is None
    for type in ("web", "app", "server"):
        told = config.call("PATCH", f"{path}/{type}", {"kinds": ["identify", "page/view"]}).document
        assert key(told, type)["kinds"] == ["page/view", "identify"]


def test_a_server_key_tells_the_secret_that_signs_when_it_is_told_to_be_signed_and_keeps_it_nowhere(
    config: Client,
) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}/keys/server"
    assert (key(made, "server")["signed"], "signingSecret" in key(made, "server")) == (False, False)

    told = key(config.call("PATCH", path, {"signed": True}).document, "server")
    again = key(config.call("PATCH", path, {"signed": True}).document, "server")
    quiet = key(config.call("PATCH", path, {"enabled": True}).document, "server")
    anew = key(config.call("POST", f"{path}/regenerate", {"overlapSeconds": 60}).document, "server")

    assert re.fullmatch(r"ss_[0-9a-f]{64}", told["signingSecret"])
    assert (told["signed"], again["signingSecret"]) == (True, told["signingSecret"])
    assert "signingSecret" not in quiet
    assert anew["signed"] is True
    assert anew["signingSecret"] not in ("", told["signingSecret"])
    assert "signingSecret" not in str(config.get(f"{CONFIGURATIONS}/{made['id']}"))
    with config.service.store.reading() as database:
        tables = ("keys", "audit", "outbox", "configurations")
        everything = str([database.execute_sql(f"SELECT * FROM {table}").fetchall() for table in tables])
    assert told["signingSecret"][3:] not in everything
    assert config.call("PATCH", f"{CONFIGURATIONS}/{made['id']}/keys/web", {"signed": True}).pointers == ["/signed"]
    assert key(config.call("PATCH", path, {"signed": False}).document, "server")["signed"] is False


def test_consent_and_declared_attributes_are_part_of_a_configuration(config: Client) -> None:
    plain = config.make_configuration()
    strict = config.make_configuration(consentRequired=True, attributes=["campaign", " items.size ", "campaign"])
    path = f"{CONFIGURATIONS}/{plain['id']}"

    changed = config.call("PATCH", path, {"consentRequired": True, "attributes": []}, if_match='"1"').document
    freed = config.call("PATCH", path, {"attributes": None}, if_match='"2"').document

    assert (plain["consentRequired"], plain["attributes"]) == (False, None)
    assert (strict["consentRequired"], strict["attributes"]) == (True, ["campaign", "items.size"])
    assert (changed["consentRequired"], changed["attributes"]) == (True, [])
    assert (freed["consentRequired"], freed["attributes"], freed["domains"]) == (True, None, plain["domains"])
    assert config.get(path)["attributes"] is None
    wrong = {"consentRequired": "yes", "attributes": ["", "a\0b", 7, "x" * 256]}
    answer = config.call("PATCH", path, wrong, if_match='"3"')
    assert sorted(answer.pointers) == [*(f"/attributes/{place}" for place in range(4)), "/consentRequired"]
    assert config.call("PATCH", path, {"attributes": [str(n) for n in range(501)]}, if_match='"3"').status == 422


EVENTS = [
    {"event": "Saved", "signal": "cart/replace", "items": "lines", "fields": {"cartId": "basket.id"}},
    {"event": "Noise", "signal": None, "items": "", "fields": {}},
]


def test_events_of_segment_clients_are_part_of_a_configuration(config: Client) -> None:
    made = config.make_configuration(segmentEvents=EVENTS[:1])
    path = f"{CONFIGURATIONS}/{made['id']}"

    changed = config.call("PATCH", path, {"segmentEvents": EVENTS}, if_match='"1"').document
    same = config.call("PATCH", path, {"segmentEvents": EVENTS}, if_match='"2"')
    cleared = config.call("PATCH", path, {"segmentEvents": []}, if_match='"2"').document

    assert made["segmentEvents"] == EVENTS[:1]
    assert (changed["segmentEvents"], changed["version"]) == (EVENTS, 2)
    assert (same.document["segmentEvents"], same.etag) == (EVENTS, '"2"')
    assert cleared["segmentEvents"] == []
    assert config.get("/api/v1/audit")["items"][1]["after"]["segmentEvents"] == EVENTS


@pytest.mark.parametrize(
    ("event", "pointers"),
    [
        ({"event": "A", "signal": "cart/eat"}, ["/0/signal"]),
        ({"event": " ", "signal": "page/view"}, ["/0/event"]),
        ({"signal": "page/view"}, ["/0/event"]),
        ({"event": "A"}, ["/0/signal"]),
        ({"event": "A", "signal": "cart/add"}, ["/0/items"]),
        ({"event": "A", "signal": "page/view", "items": "."}, ["/0/items"]),
        ({"event": "A", "signal": None, "items": "."}, ["/0/items"]),
        ({"event": "A", "signal": "cart/clear", "items": "a..b"}, ["/0/items"]),
        ({"event": "A", "signal": "page/view", "fields": {"cartId": "a"}}, ["/0/fields/cartId/key"]),
        ({"event": "A", "signal": "page/view", "fields": {"url": ".a"}}, ["/0/fields/url/value"]),
        ({"event": "A", "signal": "cart/clear", "fields": {"items.name": "a"}}, ["/0/fields/items.name/key"]),
        ({"event": "A", "signal": None, "fields": {"url": "a"}}, ["/0/fields/url/key"]),
        ({"event": "A", "signal": "page/view", "colour": 1}, ["/0/colour"]),
        ({"event": "SAVED", "signal": None}, [""]),
    ],
)
def test_an_event_that_does_not_fit_the_catalogue_is_refused(
    shared_config: Client, event: dict[str, Any], pointers: list[str]
) -> None:
    answer = shared_config.call("POST", CONFIGURATIONS, {**SHOP, "segmentEvents": [event, EVENTS[0]]})

    assert (answer.status, answer.pointers) == (422, [f"/segmentEvents{pointer}" for pointer in pointers])


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({}, [""]),
        ({"kinds": []}, ["/kinds"]),
        ({"kinds": "cart/add"}, ["/kinds"]),
        ({"kinds": ["cart/add", "cart/eat", 7]}, ["/kinds/1", "/kinds/2"]),
        ({"kinds": ["cart/add", "order/ship", "app/install"]}, ["/kinds/1", "/kinds/2"]),
        ({"enabled": None}, ["/enabled"]),
    ],
)
def test_a_limit_that_is_none_is_refused(shared_config: Client, change: dict[str, Any], pointers: list[str]) -> None:
    made = shared_config.make_configuration()

    answer = shared_config.call("PATCH", f"{CONFIGURATIONS}/{made['id']}/keys/web", change)

    assert (answer.status, answer.pointers) == (422, pointers)
    assert shared_config.get(f"{CONFIGURATIONS}/{made['id']}")["version"] == 1


def test_a_regenerated_key_overlaps_with_the_old_one_for_the_time_asked(config: Client, clock: ManualClock) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}"
    config.call("PATCH", f"{path}/keys/server", {"enabled": True})
    old = key(made, "server")

    answer = config.call("POST", f"{path}/keys/server/regenerate", {"overlapSeconds": 60})

    new = key(answer.document, "server")
    overlapping = next(each for each in answer.document["keys"] if each["id"] == old["id"])
    assert answer.status == 201
    assert new["id"] != old["id"]
    assert new["enabled"] is True
    assert new["secret"] != old["secret"]
    assert "signingSecret" not in new, "it does not sign"
    assert (overlapping["enabled"], overlapping["expiresAt"]) == (True, "2026-11-23T12:01:00.000Z")
    assert config.call("POST", f"{path}/keys/{old['id']}/regenerate", {}).status == 404

    clock.advance(60 * SECOND)
    assert config.service.program.configurations.drop_ended_keys() == 1
    assert [each["id"] for each in config.get(path)["keys"] if each["type"] == "server"] == [new["id"]]


def test_a_regenerated_key_without_overlap_takes_the_place_of_the_old_one_at_once(config: Client) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}/keys/web"
    config.call("PATCH", path, {"enabled": True})

    document = config.call("POST", f"{path}/regenerate", {}).document

    assert len(document["keys"]) == 3
    assert key(document, "web")["id"] != key(made, "web")["id"]
    assert "secret" not in key(document, "web")
    assert config.call("POST", f"{path}/regenerate", {"overlapSeconds": -1}).pointers == ["/overlapSeconds"]


def test_a_disabled_key_does_not_overlap(config: Client) -> None:
    made = config.make_configuration()

    answer = config.call("POST", f"{CONFIGURATIONS}/{made['id']}/keys/app/regenerate", {"overlapSeconds": 600})

    assert len(answer.document["keys"]) == 3
    assert key(answer.document, "app")["enabled"] is False


def test_a_configuration_that_running_or_stopped_moments_need_is_not_deleted(config: Client) -> None:
    made = config.make_configuration()
    running = config.make_moment(made["id"], name="Runs")
    stopped = config.make_moment(made["id"], name="Stands")
    config.set_status(running["id"], "running")
    config.set_status(stopped["id"], "running", "stopped")

    answer = config.call("DELETE", f"{CONFIGURATIONS}/{made['id']}")

    assert answer.status == 409
    assert "Runs" in answer.document["detail"]
    assert "Stands" in answer.document["detail"]
    assert config.call("GET", f"{CONFIGURATIONS}/{made['id']}").status == 200


def test_draft_and_archived_moments_lose_their_link_with_the_configuration(config: Client) -> None:
    made = config.make_configuration()
    draft = config.make_moment(made["id"])
    archived = config.make_moment(made["id"])
    config.set_status(archived["id"], "running", "archived")

    answer = config.call("DELETE", f"{CONFIGURATIONS}/{made['id']}")

    assert answer.status == 204
    assert config.call("GET", f"{CONFIGURATIONS}/{made['id']}").status == 404
    assert config.call("DELETE", f"{CONFIGURATIONS}/{made['id']}").status == 404
    after = [config.get(f"/api/v1/moments/{each['id']}") for each in (draft, archived)]
    assert [each["audienceConfigurationId"] for each in after] == [None, None]
    assert [each["version"] for each in after] == [2, 4]


def test_a_deletion_heeds_the_version_when_one_is_named(config: Client) -> None:
    path = f"{CONFIGURATIONS}/{config.make_configuration()['id']}"

    assert config.call("DELETE", path, if_match='"5"').status == 412
    assert config.call("DELETE", path, if_match='"1"').status == 204


def test_a_domain_to_which_a_running_moment_is_limited_stays(config: Client) -> None:
    made = config.make_configuration()
    moment = config.make_moment(made["id"], settings={"sites": ["shop.example.com"]})
    config.set_status(moment["id"], "running")
    path = f"{CONFIGURATIONS}/{made['id']}"

    refused = config.call("PATCH", path, {"domains": ["*.example.net"]}, if_match='"1"')
    config.set_status(moment["id"], "stopped")
    allowed = config.call("PATCH", path, {"domains": ["*.example.net"]}, if_match='"1"')

    assert (refused.status, allowed.status) == (409, 200)


def test_the_audit_log_tells_every_change_without_a_secret(config: Client) -> None:
    made = config.make_configuration()
    path = f"{CONFIGURATIONS}/{made['id']}"
    config.call("PATCH", path, {"name": "B"}, if_match='"1"')
    config.call("PATCH", f"{path}/keys/web", {"enabled": True})
    config.call("POST", f"{path}/keys/server/regenerate", {})
    config.call("DELETE", path)

    log = config.get(f"/api/v1/audit?resourceId={made['id']}")

    assert [entry["action"] for entry in log["items"]] == ["delete", "regenerate key", "enable key", "change", "create"]
    assert (log["items"][3]["before"]["name"], log["items"][3]["after"]["name"]) == ("Web shop", "B")
    assert (log["items"][0]["after"], log["items"][4]["before"]) == (None, None)
    assert "secret" not in str(log)
    assert {entry["actor"] for entry in log["items"]} == {"admin token"}


def test_a_secret_is_recognised_by_its_hash_with_the_pepper(config: Client, tmp_path: Path) -> None:
    made = key(config.make_configuration(), "server")
    pepper = (tmp_path / "data" / "pepper").read_bytes()

    with config.service.store.reading():
        stored = config.service.store.configurations()[0].keys[2].secret_hash

    assert stored == hmac.digest(pepper, made["secret"].encode(), "sha256").hex()
