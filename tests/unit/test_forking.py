"""Processes that are forked from one that has loaded their program are processes like any other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forking import Forge
from tests.support.processes import wait_until


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("tests.support.forking_probe")
    yield made
    made.close()


def text_of(log: Path) -> str:
    return log.read_text() if log.exists() else ""


def test_each_has_its_own_environment_and_log(forge: Forge, tmp_path: Path) -> None:
    for name in ("one", "two"):
        child = forge.start({"PROBE": name}, tmp_path / name)

        assert child.wait() == 0
        assert text_of(tmp_path / name) == f"{name} ['PROBE']\n"
        assert child.poll() == 0


def test_an_exit_code_and_a_fault_are_told(forge: Forge, tmp_path: Path) -> None:
    assert forge.start({"PROBE": "exit"}, tmp_path / "log").wait() == 7
    assert forge.start({"PROBE": "fault"}, tmp_path / "log").wait() == 1
    assert "ZeroDivisionError" in text_of(tmp_path / "log")


def test_a_kill_ends_one_and_no_other(forge: Forge, tmp_path: Path) -> None:
    first, second = (forge.start({"PROBE": "stay"}, tmp_path / name) for name in ("a", "b"))
    wait_until(lambda: text_of(tmp_path / "a") and text_of(tmp_path / "b"), "both to run")

    first.kill()

    assert first.wait() == -signal.SIGKILL
    assert second.poll() is None
    second.send_signal(signal.SIGTERM)
    assert second.wait() == 5
    with pytest.raises(ProcessLookupError):
        os.kill(second.pid, 0)
    second.kill()
