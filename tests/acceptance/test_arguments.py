"""Wrong arguments and settings: exit code 2, a reason, no traceback."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from services.cli.program import moments
from tests.acceptance.program import Up, run
from tests.support.processes import free_port_base


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upp"], "upp"),
        (["up", "--port-base", "x"], "--port-base"),
        (["up", "--port-base", "65535"], "65533"),
        (["up", "now"], "now"),
        (["serve"], "config|ingestion|trigger|"),
        (["serve", "all"], "all"),
        (["send"], "FILE"),
        (["watch", "--type", "cart"], "cart_abandon"),
        (["backtest", "--template", "x", "--format", "rees46", __file__], "cart_abandon"),
        (["keys", "enable"], "KEY"),
    ],
)
def test_wrong_arguments_end_with_2_and_a_reason(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(*arguments, MOMENTS_DATA=str(tmp_path))

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MOMENTS_PARTITIONS", "many"),
        ("MOMENTS_BROKER_URL", "http://x"),
        ("MOMENTS_DATABASE_URL", "mysql://x"),
        ("MOMENTS_ADMIN_TOKEN", "short"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, tmp_path: Path) -> None:
    done = run("up", **{"MOMENTS_DATA": str(tmp_path), variable: value})

    assert done.returncode == 2
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["serve", "config"], ["watch"], ["audit"], ["migrate"], ["keys", "list"]])
def test_every_command_that_reads_settings_names_a_wrong_one(command: list[str], tmp_path: Path) -> None:
    done = run(*command, MOMENTS_DATA=str(tmp_path), MOMENTS_PARTITIONS="many")

    assert done.returncode == 2
    assert "MOMENTS_PARTITIONS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["up", "watch", "migrate"])
def test_a_data_folder_that_cannot_be_used_is_told(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = run(command, "--data", str(tmp_path / "file" / "data"))

    assert done.returncode in (1, 3)
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_config_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run("keys", "list", "--url", "http://127.0.0.1:9", MOMENTS_DATA=str(tmp_path))

    assert done.returncode == 3
    assert "moments up" in done.stderr


@pytest.mark.parametrize("command", moments.list_commands(None))  # type: ignore[arg-type]
def test_every_command_explains_itself(command: str) -> None:
    done = run(command, "--help")

    assert done.returncode == 0
    assert "Usage" in done.stdout or command == "bench"


def test_ctrl_c_while_a_server_is_waited_for_ends_it_at_once(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", free_port_base(), changes={"MOMENTS_BROKER_URL": "amqp://user:secret@127.0.0.1:9/"})
    up.begin()

    assert up.line(lambda _: True, 60) == "Waiting for RabbitMQ at amqp://127.0.0.1:9/."
    assert up.signal(signal.SIGINT) == 0
    assert up.processes() == []
