"""Moments over REST, on both databases: settings, link, status table (DOMAIN §5)."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.moments import STATUSES, TRANSITIONS
from contracts.templates import templates
from contracts.times import DAY, SECOND
from shared.clock import ManualClock
from tests.support.configuring import CONFIGURATIONS, MOMENTS, Client, running_config

NOON = 1_795_435_200 * SECOND
WAYS = {"draft": (), "running": ("running",), "stopped": ("running", "stopped"), "archived": ("running", "archived")}


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def config(tmp_path: Path, database_url: str, clock: ManualClock) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, clock=clock, start=False) as client:
        yield client


@pytest.fixture
def shop(config: Client) -> dict[str, Any]:
    """An audience configuration."""
    return config.make_configuration()


@pytest.fixture(scope="module")
def shared_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service with a configuration, for many tests of what is refused before it is written."""
    with running_config(tmp_path_factory.mktemp("config"), start=False) as client:
        client.make_configuration()
        yield client


def test_a_moment_is_a_draft_with_the_defaults_of_its_template(config: Client, shop: dict[str, Any]) -> None:
    made = config.make_moment(shop["id"], settings={"duration": "PT600S"})

    assert (made["status"], made["version"], made["hasRun"], made["runningSince"]) == ("draft", 1, False, None)
    assert made["settings"] == {"duration": "PT10M", "repeat": "on_change"}
    assert config.get(f"{MOMENTS}/{made['id']}") == made


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"type": "nothing"}, ["/type"]),
        ({"audienceConfigurationId": str(uuid.UUID(int=5))}, ["/audienceConfigurationId"]),
        ({"audienceConfigurationId": "x"}, ["/audienceConfigurationId"]),
        ({"settings": {"duration": "PT0S"}}, ["/settings/duration"]),
        ({"settings": {"duration": None}}, ["/settings/duration"]),
        ({"settings": {"duration": "P91D", "colour": 1}}, ["/settings/colour", "/settings/duration"]),
        ({"settings": {"sites": ["elsewhere.example.com"]}}, ["/settings/sites/0"]),
        ({"settings": {"minimumValue": {"amount": -1, "currency": "euro"}}},
         ["/settings/minimumValue/amount", "/settings/minimumValue/currency"]),
        ({"settings": {"quietHours": {"zone": "Mars/Base", "from": "25:00", "to": "08:00"}}},
         ["/settings/quietHours/from", "/settings/quietHours/zone"]),
        ({"settings": []}, ["/settings"]),
        ({"name": "a\0"}, ["/name"]),
    ],
)  # fmt: skip
def test_every_fault_of_a_new_moment_is_named(
    shared_config: Client, fields: dict[str, Any], pointers: list[str]
) -> None:
    shop = shared_config.get(CONFIGURATIONS)["items"][0]
    wanted = {"type": "cart_abandon", "name": "Cart", "audienceConfigurationId": shop["id"], **fields}

    answer = shared_config.call("POST", MOMENTS, wanted)

    assert (answer.status, sorted(answer.pointers)) == (422, pointers)


def test_the_status_table_holds_for_every_pair(config: Client, shop: dict[str, Any]) -> None:
    for before in STATUSES:
        for after in STATUSES:
            moment = config.make_moment(shop["id"])
            config.set_status(moment["id"], *WAYS[before])

            answer = config.call("POST", f"{MOMENTS}/{moment['id']}/status", {"status": after})

            if after in TRANSITIONS[before]:
                assert (answer.status, answer.document["status"]) == (200, after)
            else:
                assert answer.status == 409, (before, after)
                assert all(allowed in answer.document["detail"] for allowed in TRANSITIONS[before])


def test_an_unknown_status_is_refused(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"])

    answer = config.call("POST", f"{MOMENTS}/{moment['id']}/status", {"status": "paused"})

    assert (answer.status, answer.pointers) == (422, ["/status"])


def test_each_start_is_stamped_with_the_clock_and_later_than_the_one_before(
    config: Client, shop: dict[str, Any], clock: ManualClock
) -> None:
    moment = config.make_moment(shop["id"])

    first = config.set_status(moment["id"], "running")
    clock.advance(SECOND)
    stopped = config.set_status(moment["id"], "stopped")
    clock.set(NOON - 60 * SECOND)
    second = config.set_status(moment["id"], "running")

    assert (first["runningSince"], first["hasRun"], first["version"]) == ("2026-11-23T12:00:00.000Z", True, 2)
    assert (stopped["stoppedAt"], stopped["runningSince"]) == ("2026-11-23T12:00:01.000Z", first["runningSince"])
    assert (second["runningSince"], second["stoppedAt"]) == ("2026-11-23T12:00:00.000001Z", None)


def test_a_moment_that_has_run_keeps_its_link(config: Client, shop: dict[str, Any]) -> None:
    other = config.make_configuration(name="Other")
    moment = config.make_moment(shop["id"])
    path = f"{MOMENTS}/{moment['id']}"

    moved = config.call("PATCH", path, {"audienceConfigurationId": other["id"]}, if_match="*")
    config.set_status(moment["id"], "running", "stopped")
    refused = config.call("PATCH", path, {"audienceConfigurationId": shop["id"]}, if_match="*")
    same = config.call("PATCH", path, {"audienceConfigurationId": other["id"], "name": "New"}, if_match="*")

    assert (moved.status, moved.document["audienceConfigurationId"]) == (200, other["id"])
    assert (refused.status, same.status) == (409, 200)


def test_a_moment_that_lost_its_link_runs_again_only_with_another(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"])
    config.set_status(moment["id"], "running", "archived")
    config.call("DELETE", f"{CONFIGURATIONS}/{shop['id']}")
    config.set_status(moment["id"], "draft")
    other = config.make_configuration()

    refused = config.call("POST", f"{MOMENTS}/{moment['id']}/status", {"status": "running"})
    linked = config.call("PATCH", f"{MOMENTS}/{moment['id']}", {"audienceConfigurationId": other["id"]}, if_match="*")

    assert refused.status == 409
    assert "no audience configuration" in refused.document["detail"]
    assert linked.status == 200
    assert config.set_status(moment["id"], "running")["status"] == "running"


def test_a_moment_whose_sites_went_from_the_configuration_does_not_start(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"], settings={"sites": ["shop.example.com"]})
    config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}", {"domains": ["new.example.com"]}, if_match="*")

    answer = config.call("POST", f"{MOMENTS}/{moment['id']}/status", {"status": "running"})

    assert (answer.status, answer.pointers) == (409, ["/settings/sites/0"])


def test_settings_are_merged_one_by_one_and_null_clears(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"], settings={"duration": "PT1H", "coolDown": "P1D", "categories": ["shoes"]})
    path = f"{MOMENTS}/{moment['id']}"

    changed = config.call("PATCH", path, {"settings": {"duration": "PT2H", "coolDown": None}}, if_match='"1"')
    refused = config.call("PATCH", path, {"settings": {"duration": None}}, if_match='"2"')

    assert changed.document["settings"] == {"duration": "PT2H", "categories": ["shoes"], "repeat": "on_change"}
    assert (refused.status, refused.pointers) == (422, ["/settings/duration"])


@pytest.mark.parametrize("status", STATUSES)
def test_it_is_editable_in_every_status_but_archived(config: Client, shop: dict[str, Any], status: str) -> None:
    moment = config.make_moment(shop["id"])
    config.set_status(moment["id"], *WAYS[status])
    change = {"name": "Renamed", "description": "two\nlines", "settings": {"duration": "PT5M"}}

    answer = config.call("PATCH", f"{MOMENTS}/{moment['id']}", change, if_match="*")

    assert answer.status == (409 if status == "archived" else 200)


@pytest.mark.parametrize("status", STATUSES)
def test_only_drafts_and_archived_moments_are_deleted(config: Client, shop: dict[str, Any], status: str) -> None:
    moment = config.make_moment(shop["id"])
    config.set_status(moment["id"], *WAYS[status])

    answer = config.call("DELETE", f"{MOMENTS}/{moment['id']}")

    assert answer.status == (204 if status in ("draft", "archived") else 409)


def test_the_type_of_a_moment_is_fixed(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"])

    answer = config.call("PATCH", f"{MOMENTS}/{moment['id']}", {"type": "browse_abandon"}, if_match="*")

    assert (answer.status, answer.pointers) == (422, ["/type"])


def test_a_change_needs_the_version_that_was_read(config: Client, shop: dict[str, Any]) -> None:
    path = f"{MOMENTS}/{config.make_moment(shop['id'])['id']}"

    assert config.call("PATCH", path, {"name": "B"}).status == 428
    assert config.call("PATCH", path, {"name": "B"}, if_match='"2"').status == 412
    assert config.call("PATCH", path, {"name": "B"}, if_match='"1"').etag == '"2"'
    assert config.call("POST", f"{path}/status", {"status": "running"}, if_match='"1"').status == 412
    assert config.call("DELETE", path, if_match='"1"').status == 412


def test_of_two_changes_with_one_etag_exactly_one_wins(config: Client, shop: dict[str, Any]) -> None:
    path = f"{MOMENTS}/{config.make_moment(shop['id'])['id']}"
    start = threading.Barrier(6)
    statuses: list[int] = []

    def change(number: int) -> None:
        start.wait()
        wanted = {"settings": {"duration": f"PT{number + 1}M"}}
        statuses.append(config.call("PATCH", path, wanted, if_match='"1"').status)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]
    assert config.get(path)["version"] == 2


def test_starting_a_moment_and_deleting_its_configuration_at_once_leaves_no_running_moment_without_link(
    config: Client,
) -> None:
    for _ in range(5):
        shop = config.make_configuration()
        moment = config.make_moment(shop["id"])
        start = threading.Barrier(2)

        def run(id: str = moment["id"], start: threading.Barrier = start) -> None:
            start.wait()
            config.call("POST", f"{MOMENTS}/{id}/status", {"status": "running"})

        def delete(id: str = shop["id"], start: threading.Barrier = start) -> None:
            start.wait()
            config.call("DELETE", f"{CONFIGURATIONS}/{id}")

        threads = [threading.Thread(target=run), threading.Thread(target=delete)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        after = config.get(f"{MOMENTS}/{moment['id']}")
        assert (after["status"] == "running") == (after["audienceConfigurationId"] is not None)


def test_the_list_is_filtered_searched_and_sorted(config: Client, shop: dict[str, Any], clock: ManualClock) -> None:
    made = []
    for type_, name in (("cart_abandon", "Carts"), ("browse_abandon", "Looks"), ("cart_abandon", "baskets")):
        made.append(config.make_moment(shop["id"], type=type_, name=name))
        clock.advance(SECOND)
    config.set_status(made[0]["id"], "running")

    def names(query: str) -> list[str]:
        return [each["name"] for each in config.get(f"{MOMENTS}?{query}")["items"]]

    assert names("") == ["Carts", "baskets", "Looks"]
    assert names("status=draft&sort=name") == ["baskets", "Looks"]
    assert names("type=browse_abandon") == ["Looks"]
    assert names(f"audienceConfigurationId={shop['id']}&search=BASK") == ["baskets"]
    assert names(f"audienceConfigurationId={uuid.UUID(int=1)}") == []
    assert names("sort=-type")[2] == "Looks"
    assert config.call("GET", f"{MOMENTS}?status=paused").pointers == ["status"]


def test_a_list_of_a_thousand_moments_is_quick(
    config: Client, shop: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """By the processor time of it and the number of statements: others who use the machine change neither."""
    moment = config.service.program.moments.get(config.make_moment(shop["id"])["id"])
    with config.service.store.transaction():
        for number in range(1_000):
            config.service.store.add_moment(replace(moment, id=str(uuid.uuid4()), name=f"Moment {number}"))

    began = time.thread_time()
    with caplog.at_level(logging.DEBUG, "peewee"):
        page = config.get(f"{MOMENTS}?pageSize=200&page=3&search=moment")
        spent, statements = time.thread_time() - began, len(caplog.records)
        caplog.clear()
        config.get(f"{MOMENTS}?pageSize=5&page=3&search=moment")

    assert (len(page["items"]), page["total"]) == (200, 1_000)
    assert spent < 1.0
    assert 0 < statements == len(caplog.records)


def test_settings_that_were_superseded_long_ago_are_forgotten_but_not_the_ones_in_force_then(
    config: Client, shop: dict[str, Any], clock: ManualClock
) -> None:
    moment = config.make_moment(shop["id"])
    for number, days in ((1, 10), (2, 10), (3, 30)):
        clock.advance(days * DAY)
        wanted = {"settings": {"duration": f"PT{number}M"}}
        config.call("PATCH", f"{MOMENTS}/{moment['id']}", wanted, if_match="*")

    forgotten = config.service.program.moments.forget_old_settings(clock.now() - 31 * DAY)

    with config.service.store.reading():
        history = config.service.store.histories([moment["id"]], clock.now() - 90 * DAY)[moment["id"]]
    assert forgotten == 1
    assert [(each.version, each.settings["duration"]) for each in history] == [(2, "PT1M"), (3, "PT2M"), (4, "PT3M")]


def test_templates_and_signals_are_listed_as_the_running_code_knows_them(config: Client) -> None:
    listed = config.get("/api/v1/templates")["items"]
    signals = config.get("/api/v1/signals")["items"]

    assert {each["type"] for each in listed} == set(templates())
    assert all(setting["help"] for each in listed for setting in each["settings"])
    assert {"name": "cart/add", "routingKey": "signal.cart.add"}.items() <= signals[0].items()


def test_the_audit_log_tells_what_was_before_and_after(config: Client, shop: dict[str, Any]) -> None:
    moment = config.make_moment(shop["id"])
    config.set_status(moment["id"], "running")

    log = config.get(f"/api/v1/audit?kind=moment&resourceId={moment['id']}")["items"]

    assert [entry["action"] for entry in log] == ["set running", "create"]
    assert (log[0]["before"]["status"], log[0]["after"]["status"]) == ("draft", "running")


def test_the_audit_log_forgets_what_is_old(config: Client, shop: dict[str, Any], clock: ManualClock) -> None:
    old = config.make_moment(shop["id"])
    clock.advance(401 * DAY)
    config.set_status(old["id"], "running")

    forgotten = config.service.program.audit.forget(clock.now() - 400 * DAY)

    assert forgotten == 2
    assert [entry["action"] for entry in config.get("/api/v1/audit")["items"]] == ["set running"]
    assert config.service.program.audit.forget(clock.now() - 400 * DAY) == 0
