"""The life of a moment over REST: what each status allows, what is said otherwise, and editors at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.configuring import CONFIGURATIONS, MOMENTS, Answer, Client, running_config

WAYS = {"draft": (), "running": ("running",), "stopped": ("running", "stopped"), "archived": ("running", "archived")}
ACTIONS: dict[str, tuple[str, str, Any]] = {
    "start": ("POST", "/status", {"status": "running"}),
    "stop": ("POST", "/status", {"status": "stopped"}),
    "archive": ("POST", "/status", {"status": "archived"}),
    "reopen": ("POST", "/status", {"status": "draft"}),
    "rename": ("PATCH", "", {"name": "Renamed"}),
    "edit": ("PATCH", "", {"settings": {"duration": "PT5M"}}),
    "delete": ("DELETE", "", None),
}
ARCHIVED = (409, "Change its status to draft first.")
ALLOWED: dict[tuple[str, str], tuple[int, str]] = {
    ("draft", "start"): (200, "running"),
    ("draft", "stop"): (409, "From draft it can change to running, not to stopped."),
    ("draft", "archive"): (409, "From draft it can change to running, not to archived."),
    ("draft", "reopen"): (409, "From draft it can change to running, not to draft."),
    ("draft", "rename"): (200, "draft"),
    ("draft", "edit"): (200, "draft"),
    ("draft", "delete"): (204, ""),
    ("running", "start"): (409, "From running it can change to stopped or archived, not to running."),
    ("running", "stop"): (200, "stopped"),
    ("running", "archive"): (200, "archived"),
    ("running", "reopen"): (409, "From running it can change to stopped or archived, not to draft."),
    ("running", "rename"): (200, "running"),
    ("running", "edit"): (200, "running"),
    ("running", "delete"): (409, "It is running; archive it first."),
    ("stopped", "start"): (200, "running"),
    ("stopped", "stop"): (409, "From stopped it can change to running or archived, not to stopped."),
    ("stopped", "archive"): (200, "archived"),
    ("stopped", "reopen"): (409, "From stopped it can change to running or archived, not to draft."),
    ("stopped", "rename"): (200, "stopped"),
    ("stopped", "edit"): (200, "stopped"),
    ("stopped", "delete"): (409, "It is stopped; archive it first."),
    ("archived", "start"): (409, "From archived it can change to draft, not to running."),
    ("archived", "stop"): (409, "From archived it can change to draft, not to stopped."),
    ("archived", "archive"): (409, "From archived it can change to draft, not to archived."),
    ("archived", "reopen"): (200, "draft"),
    ("archived", "rename"): ARCHIVED,
    ("archived", "edit"): ARCHIVED,
    ("archived", "delete"): (204, ""),
}
"""(status, action) → answer, and the status after it or what is said (DOMAIN §5)."""


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, start=False) as client:
        yield client


@pytest.fixture
def shop(config: Client) -> str:
    """The id of an audience configuration."""
    return str(config.make_configuration()["id"])


def moment_in(config: Client, shop: str, status: str) -> dict[str, Any]:
    """A moment that has come to a status."""
    made = config.make_moment(shop)
    return config.set_status(made["id"], *WAYS[status]) or made


def act(config: Client, moment: dict[str, Any], action: str, **headers: str) -> Answer:
    """Do something to a moment as it was read."""
    method, path, document = ACTIONS[action]
    sent = {"if_match": f'"{moment["version"]}"', **headers}
    return config.call(method, f"{MOMENTS}/{moment['id']}{path}", document, **sent)


def together(*calls: Callable[[], Any]) -> None:
    """All at the same time, each in a thread."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_every_action_is_done_or_refused_in_every_status(config: Client, shop: str) -> None:
    """What is refused names what is allowed, and changes nothing; what would be done can be previewed, the rest not."""
    assert set(ALLOWED) == {(status, action) for status in WAYS for action in ACTIONS}
    for (status, action), (expected, told) in ALLOWED.items():
        moment = moment_in(config, shop, status)
        path = f"{MOMENTS}/{moment['id']}"

        answer = act(config, moment, action)

        assert answer.status == expected, (status, action)
        if expected == 409:
            assert answer.document["detail"] == told, (status, action)
            assert config.get(path) == moment, (status, action)
        elif expected == 204:
            assert config.call("GET", path).status == 404, (status, action)
        else:
            assert answer.document["status"] == told, (status, action)
            assert answer.document["version"] == moment["version"] + 1, (status, action)
            assert config.get(path) == answer.document, (status, action)


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_moment_that_lost_its_link_can_be_edited_and_does_not_run_until_it_has_one(
    config: Client, shop: str, status: str
) -> None:
    moment = moment_in(config, shop, status)
    assert config.call("DELETE", f"{CONFIGURATIONS}/{shop}").status == 204
    path = f"{MOMENTS}/{moment['id']}"
    if status == "archived":
        config.set_status(moment["id"], "draft")

    lost = config.get(path)
    assert lost["audienceConfigurationId"] is None
    refused = act(config, lost, "start")
    assert (refused.status, refused.document["type"]) == (409, "urn:moments:problem:cannot-run")
    assert refused.document["detail"] == "It has no audience configuration; give it one first."
    edited = act(config, lost, "edit")
    assert (edited.status, edited.document["settings"]["duration"]) == (200, "PT5M")

    other = config.make_configuration(name="Another")["id"]
    linked = config.call("PATCH", path, {"audienceConfigurationId": other}, if_match=edited.etag)
    assert linked.status == 200
    assert config.set_status(moment["id"], "running")["audienceConfigurationId"] == other


def test_a_configuration_in_use_is_not_deleted_and_names_the_moments(config: Client, shop: str) -> None:
    config.make_moment(shop, name="A draft")
    running = config.make_moment(shop, name="In use")
    config.set_status(running["id"], "running", "stopped")

    refused = config.call("DELETE", f"{CONFIGURATIONS}/{shop}")

    assert refused.status == 409
    assert "In use" in refused.document["detail"]
    assert "A draft" not in refused.document["detail"]


@pytest.mark.parametrize("other", ["rename", "stop", "archive"])
def test_of_two_editors_who_read_the_same_version_one_wins_and_nothing_is_overwritten(
    config: Client, shop: str, other: str
) -> None:
    for _ in range(4):
        moment = moment_in(config, shop, "running")
        answers: dict[str, Answer] = {}

        def edit(action: str, moment: dict[str, Any] = moment, answers: dict[str, Answer] = answers) -> None:
            answers[action] = act(config, moment, action)

        together(lambda: edit("edit"), lambda: edit(other))

        assert sorted(answer.status for answer in answers.values()) == [200, 412]
        winner = next(answer.document for answer in answers.values() if answer.status == 200)
        assert config.get(f"{MOMENTS}/{moment['id']}") == winner
        loser = next(answer for answer in answers.values() if answer.status == 412)
        assert loser.document["detail"].startswith(f'The present version is "{winner["version"]}".')


def test_a_stop_that_minds_no_version_keeps_what_an_editor_saves_meanwhile(config: Client, shop: str) -> None:
    for _ in range(6):
        moment = moment_in(config, shop, "running")
        path = f"{MOMENTS}/{moment['id']}"
        answers: list[Answer] = []

        def stop(path: str = path) -> None:
            answer = config.call("POST", f"{path}/status", {"status": "stopped"})
            assert answer.status == 200, answer.document

        def edit(moment: dict[str, Any] = moment, answers: list[Answer] = answers) -> None:
            answers.append(act(config, moment, "edit"))

        together(stop, edit)

        found = config.get(path)
        assert found["status"] == "stopped"
        saved = answers[0].status == 200
        assert saved or answers[0].status == 412
        assert found["settings"]["duration"] == ("PT5M" if saved else "PT2H")
        assert found["version"] == moment["version"] + 1 + saved


def test_an_edit_and_a_delete_at_once_leave_either_the_edit_or_nothing(config: Client, shop: str) -> None:
    for _ in range(6):
        moment = moment_in(config, shop, "draft")
        answers: dict[str, int] = {}

        def do(action: str, moment: dict[str, Any] = moment, answers: dict[str, int] = answers) -> None:
            answers[action] = act(config, moment, action).status

        together(lambda: do("edit"), lambda: do("delete"))

        left = config.call("GET", f"{MOMENTS}/{moment['id']}").status
        assert (answers["edit"], answers["delete"], left) in {(200, 412, 200), (404, 204, 404), (412, 204, 404)}
