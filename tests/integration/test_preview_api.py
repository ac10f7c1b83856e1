"""The preview over REST: config refuses what the change would meet, asks trigger over HTTP, and saves nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from contracts.times import HOUR, MINUTE, SECOND, to_rfc3339
from services.config.triggering import TriggerAway, TriggerClient
from tests.support.configuring import MOMENTS
from tests.support.installation import TOKEN, Installation, running_installation
from tests.support.serving import served


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    with running_installation(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def running(installation: Installation) -> dict[str, Any]:
    """A running moment with eight waits: half of them quiet for an hour."""
    config, desk, clock = installation.config, installation.desk, installation.clock
    shop = config.make_configuration()
    made = config.make_moment(shop["id"], settings={"duration": "PT2H", "maximumWait": "P1D"})
    moment = config.set_status(made["id"], "running")
    installation.learn(moment)
    for profile in ("a", "b", "c", "d"):
        desk.apply([desk.signal(profile, configuration=shop["id"])])
    clock.advance(HOUR)
    for profile in ("e", "f", "g", "h"):
        desk.apply([desk.signal(profile, configuration=shop["id"])])
    clock.advance(SECOND)
    return moment


def test_config_tells_what_an_edit_would_do_and_saves_nothing(
    installation: Installation, running: dict[str, Any]
) -> None:
    answer = installation.preview(running, {"settings": {"duration": "PT1M", "maximumWait": None}})

    assert answer.status == 200, answer.document
    assert answer.document == {
        "version": running["version"],
        "status": "running",
        "settings": {"duration": "PT1M", "repeat": "on_change"},
        "asOf": to_rfc3339(installation.clock.now()),
        "pending": 8,
        "moved": 8,
        "earlier": 8,
        "later": 0,
        "dueAtOnce": 4,
        "spreadUntil": to_rfc3339(installation.clock.now() + MINUTE),
        "suppressed": 0,
        "raisesInNextHour": {"before": 4, "after": 8},
        "exact": True,
    }
    assert installation.config.get(f"{MOMENTS}/{running['id']}") == running
    with installation.config.service.store.reading():
        assert len(installation.config.service.store.histories([running["id"]], 0)[running["id"]]) == 1


def test_config_tells_what_a_stop_would_do(installation: Installation, running: dict[str, Any]) -> None:
    answer = installation.config.call("POST", f"{MOMENTS}/{running['id']}/preview", {"status": "stopped"})

    assert answer.status == 200, answer.document
    assert (answer.document["status"], answer.document["suppressed"]) == ("stopped", 8)
    assert answer.document["raisesInNextHour"] == {"before": 4, "after": 0}
    assert installation.config.get(f"{MOMENTS}/{running['id']}")["status"] == "running"


WRONG = [
    {"settings": {"duration": "soon"}},
    {"settings": {"duration": None, "unknown": 1}},
    {"settings": {"sites": ["elsewhere.example.org"]}},
    {"settings": {"quietHours": {"zone": "Mars/Base", "from": "22:00", "to": "22:00"}}},
    {"audienceConfigurationId": "6f0c9d0e-9a3b-5f0e-8a51-2c7f4d1b7e42"},
    {"name": ""},
    {"nonsense": 1},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_wrong_change_is_refused_as_it_would_be_in_earnest(
    installation: Installation, running: dict[str, Any], change: dict[str, Any]
) -> None:
    path, tag = f"{MOMENTS}/{running['id']}", f'"{running["version"]}"'

    thought = installation.preview(running, change)

    earnest = installation.config.call("PATCH", path, change, if_match=tag)
    assert (thought.status, thought.document) == (earnest.status, earnest.document)
    assert thought.status in (409, 422)


def test_conditions_and_states_are_those_of_the_change(installation: Installation, running: dict[str, Any]) -> None:
    config, path = installation.config, f"{MOMENTS}/{running['id']}"
    edit = {"settings": {"duration": "PT1M"}}

    assert config.call("POST", f"{path}/preview", edit).status == 200
    assert installation.preview(running, edit, if_match='"99"').status == 412
    assert installation.preview({**running, "id": "6f0c9d0e-9a3b-5f0e-8a51-2c7f4d1b7e42"}, edit).status == 404
    drafting = installation.preview(running, {"status": "draft"})
    assert drafting.status == 409
    assert drafting.document["detail"] == "From running it can change to stopped or archived, not to draft."
    assert config.call("POST", f"{path}/preview", edit, Authorization="Bearer wrong").status == 401
    archived = config.set_status(running["id"], "archived")
    assert installation.preview(archived, edit).document["type"] == "urn:moments:problem:archived-fixed"


def test_a_moment_that_has_never_run_needs_no_answer_of_trigger(installation: Installation) -> None:
    shop = installation.config.make_configuration()
    draft = installation.config.make_moment(shop["id"])
    installation.config.service.program.previews._trigger = TriggerClient("http://127.0.0.1:9", TOKEN)

    answer = installation.preview(draft, {"settings": {"duration": "PT1M"}, "status": "running"})

    assert (answer.status, answer.document["pending"], answer.document["status"]) == (200, 0, "running")


def test_while_trigger_is_away_the_problem_says_so(installation: Installation, running: dict[str, Any]) -> None:
    installation.config.service.program.previews._trigger = TriggerClient("http://127.0.0.1:9", TOKEN)

    answer = installation.preview(running, {"settings": {"duration": "PT1M"}})

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.document["type"] == "urn:moments:problem:trigger-away"
    assert answer.document["title"] == "Trigger, which knows the waits, does not answer"
    assert answer.document["detail"].startswith("It cannot be reached. Nothing was changed;")


def test_a_trigger_that_refuses_stays_silent_or_speaks_something_else_counts_as_away() -> None:
    strange = Flask("strange")
    strange.add_url_rule("/api/v1/moments/m1/preview", "preview", lambda: "[]", methods=["POST"])
    with served(strange) as port, pytest.raises(TriggerAway, match="cannot be reached"):
        TriggerClient(f"http://127.0.0.1:{port}", TOKEN).preview("m1", {})
    with served(strange) as port, pytest.raises(TriggerAway, match="It answered 404"):
        TriggerClient(f"http://127.0.0.1:{port}", TOKEN).preview("m2", {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waiting = TriggerClient(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN, patience_of_previews=0.1)
        with pytest.raises(TriggerAway, match="cannot be reached"):
            waiting.preview("m1", {})


def test_trigger_itself_refuses_what_it_does_not_know_or_cannot_use(
    installation: Installation, running: dict[str, Any]
) -> None:
    def ask(moment_id: str, change: dict[str, Any]) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = installation.trigger.app.test_client().post(
            f"{MOMENTS}/{moment_id}/preview", json=change, headers=headers
        )
        return answer.status_code, answer.get_json(force=True)

    assert ask("nobody", {})[0] == 404
    assert ask("nobody%00", {})[0] == 404
    assert ask(running["id"], {"status": "asleep"})[0] == 422
    status, document = ask(running["id"], {"settings": {"duration": "PT0S"}})
    assert (status, document["errors"][0]["pointer"]) == (422, "/settings/duration")
    assert ask(running["id"], {})[1]["moved"] == 0
