"""A template made up here, one file in a folder, through the whole installation (issue: templates are declarations)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.times import from_rfc3339, to_rfc3339
from services.cli.rest import Client
from shared.clock import SystemClock
from tests.acceptance.program import MOMENTS, Up, environment, run
from tests.support.own_template import TYPE, folder_with
from tests.support.processes import free_port_base, wait_until

CONFIGURATIONS = "/api/v1/audience-configurations"
MOMENTS_PATH = "/api/v1/moments"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An installation that was given a folder with one more template, and nothing else."""
    folder = tmp_path_factory.mktemp("own-template")
    templates = folder / "templates"
    templates.mkdir()
    folder_with(templates)
    made = Up(folder / "data", free_port_base(), changes={"MOMENTS_TEMPLATES": str(templates)})
    made.start()
    yield made
    made.stop()


def make_configuration(config: Client) -> tuple[str, str]:
    """A configuration without domains; its id and its server key."""
    audience = {"id": "players", "name": "Players"}
    made = config.call("POST", CONFIGURATIONS, {"name": "Arcade", "audience": audience}).document
    path = f"{CONFIGURATIONS}/{made['id']}/keys/server"
    key = next(k for k in config.call("POST", f"{path}/regenerate", {}).document["keys"] if k.get("secret"))
    assert config.call("PATCH", path, {"enabled": True}).status == 200
    return made["id"], f"{key['id']}:{key['secret']}"


def test_the_api_lists_and_documents_it(up: Up) -> None:
    config = up.client("config")

    listed = {each["type"]: each for each in config.call("GET", "/api/v1/templates").document["items"]}
    schemas = config.call("GET", "/openapi.json").document["components"]["schemas"]

    assert listed[TYPE]["title"] == "Level Stuck"
    assert {setting["name"] for setting in listed[TYPE]["settings"]} >= {"duration", "tone", "quietHours", "sites"}
    assert TYPE in schemas["NewMoment"]["properties"]["type"]["enum"]
    assert "cart_abandon" in schemas["NewMoment"]["properties"]["type"]["enum"]


def test_its_settings_are_validated_with_its_bounds(up: Up) -> None:
    config = up.client("config")
    configuration, _ = make_configuration(config)
    wanted = {"type": TYPE, "name": "Stuck", "audienceConfigurationId": configuration}

    plain = config.call("POST", MOMENTS_PATH, wanted)
    wrong = config.call("POST", MOMENTS_PATH, {**wanted, "settings": {"duration": "P1D", "tone": "rude"}})
    found = config.call("GET", f"{MOMENTS_PATH}?type={TYPE}")

    assert plain.document["settings"] == {"duration": "PT10M", "tone": "kind", "repeat": "on_change"}
    assert wrong.status == 422
    assert {(fault["pointer"], fault["reason"]) for fault in wrong.document["errors"]} == {
        ("/settings/duration", "Duration: at most 1 hour."),
        ("/settings/tone", "Tone: choose one of kind, cheeky."),
    }
    assert [each["id"] for each in found.document["items"]] == [plain.document["id"]]


def test_signals_over_http_become_its_event_at_a_bound_queue(up: Up) -> None:
    config, ingestion, trigger = up.client("config"), up.client("ingestion"), up.client("trigger")
    configuration, key = make_configuration(config)
    wanted = {"type": TYPE, "name": "Stuck", "audienceConfigurationId": configuration}
    moment = config.call("POST", MOMENTS_PATH, {**wanted, "settings": {"duration": "PT5S"}}).document["id"]
    assert config.call("POST", f"{MOMENTS_PATH}/{moment}/status", {"status": "running"}).status == 200
    wait_until(lambda: trigger.call("GET", f"{MOMENTS_PATH}/{moment}/ledger").status == 200, "trigger to know it")
    watching = subprocess.Popen(
        [str(MOMENTS), "watch", "--json", "--type", TYPE, "--count", "1", "--for", "60", "--data", str(up.data)],
        env=environment(**up.changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stderr is not None
    assert "Watching moment.level_stuck" in watching.stderr.readline()

    def send(kind: str, profile: str, level: int) -> None:
        now = to_rfc3339(SystemClock().now())
        data = {"email": profile, "gameId": "g1", "level": level}
        body = {"id": f"{kind}-{profile}-{level}", "time": now, "data": data}
        answer = ingestion.call("POST", f"/v1/signals/{kind}", body, {"X-Api-Key": key})
        assert answer.status == 200, answer.document

    wait_until(lambda: ingestion.call("GET", "/readyz").status == 200, "ingestion to be ready")
    wait_until(
        lambda: ingestion.call("POST", "/v1/signals/game/start", {}, {"X-Api-Key": key}).status != 401,
        "ingestion to know the key",
    )
    for profile in ("ada@example.com", "grace@example.com"):
        send("game/start", profile, 1)
    send("game/update", "ada@example.com", 2)
    send("game/complete", "grace@example.com", 3)
    output, _ = watching.communicate(timeout=120)

    event = json.loads(output)
    data = event["data"]
    assert event["type"] == f"moment.{TYPE}"
    assert data["moment"] == {"id": moment, "name": "Stuck", "type": TYPE}
    assert (data["profile"]["id"], data["content"]) == ("ada@example.com", {"level": 2})
    assert from_rfc3339(data["dueAt"]) - from_rfc3339(data["lastActivityAt"]) == 5_000_000
    assert data["signalIds"] == ["game/start-ada@example.com-1", "game/update-ada@example.com-2"]
    check_explanations(trigger, moment)
    check_preview(config, moment)
    check_backtest(trigger, configuration)
    assert run("audit", "--data", str(up.data), **up.changes).returncode == 0


def check_explanations(trigger: Client, moment: str) -> None:
    """Why it was raised for the one and not for the other."""
    for profile, outcome in (("ada@example.com", "raised"), ("grace@example.com", "game/complete")):
        answer = trigger.call("GET", f"/api/v1/explanations?moment={moment}&profile={profile}")
        assert answer.status == 200, answer.document
        assert outcome in json.dumps(answer.document)


def check_preview(config: Client, moment: str) -> None:
    """What an edit would do, and that its bounds hold for it, too."""
    path = f"{MOMENTS_PATH}/{moment}/preview"

    assert config.call("POST", path, {"settings": {"duration": "PT30M"}}, {"If-Match": "*"}).status == 200
    assert config.call("POST", path, {"settings": {"duration": "P1D"}}, {"If-Match": "*"}).status == 422


def check_backtest(trigger: Client, configuration: str) -> None:
    """The template over the signals that were recorded just now, as a job."""
    wanted = {"type": TYPE, "audienceConfigurationId": configuration, "settings": {"duration": "PT1S"}}
    asked = trigger.call("POST", "/api/v1/backtests", wanted)
    assert asked.status == 202, asked.document
    path = f"/api/v1/backtests/{asked.document['id']}"
    wait_until(lambda: trigger.call("GET", path).document["endedAt"], "the back-test to end", 60)
    done = trigger.call("GET", path).document
    assert (done["state"], done["reason"]) == ("done", None)
    assert done["progress"]["replayed"] == 4
    assert done["request"]["settings"] == {"duration": "PT1S", "tone": "kind", "repeat": "on_change"}
    column = done["result"]["base"]
    assert column["opened"] == column["raised"] + sum(column["ended"].values()) + column["pending"]
    assert column["opened"] >= 2


def test_a_recorded_log_is_back_tested_with_it(up: Up, tmp_path: Path) -> None:
    log = tmp_path / "played.jsonl"
    times = ("12:00:00", "12:00:01", "12:10:10")
    signals = [
        {
            "id": f"s{number}",
            "time": f"2026-11-23T{time}Z",
            "data": {"signal": "game/update", "email": "ada@example.com", "gameId": "g1"},
        }
        for number, time in enumerate(times)
    ]
    log.write_text("".join(json.dumps(signal) + "\n" for signal in signals), encoding="utf-8")

    done = run("backtest", str(log), "--format", "jsonl", "--template", TYPE, "--json", **up.changes)

    *raises, summary = (json.loads(line) for line in done.stdout.splitlines())
    assert [each["raisedAt"] for each in raises] == ["2026-11-23T12:10:01.000Z", "2026-11-23T12:20:10.000Z"]
    assert summary["settings"] == {"duration": "PT10M", "tone": "kind", "repeat": "on_change"}
