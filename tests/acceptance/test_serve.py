"""`./moments serve`: each service alone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import MOMENTS, Up, environment, run
from tests.support.processes import free_port_base, wait_until


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Up]:
    """The three services, each started by a command of its own."""
    up = Up(tmp_path / "data", free_port_base())
    changes = {"MOMENTS_DATA": str(up.data), "MOMENTS_PORT_BASE": str(up.port_base)}
    processes = [
        subprocess.Popen(
            [str(MOMENTS), "serve", service],
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for service in ("config", "ingestion", "trigger")
    ]
    yield up
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]


def test_the_services_started_one_by_one_work_together(served: Up) -> None:
    wait_until((served.data / "admin-token").exists, "the admin token")
    for service in ("config", "ingestion", "trigger"):
        served.wait_until_ready(service)
        done = run("healthy", service, MOMENTS_DATA=str(served.data), MOMENTS_PORT_BASE=str(served.port_base))
        assert done.returncode == 0, done.stderr

    before = served.processes("services.trigger.worker")
    os.kill(before[0], signal.SIGKILL)

    wait_until(lambda: set(served.processes("services.trigger.worker")) - set(before), "the worker to run again")


def test_a_service_that_is_not_there_is_not_healthy(tmp_path: Path) -> None:
    done = run("healthy", "config", MOMENTS_DATA=str(tmp_path), MOMENTS_PORT_BASE=str(free_port_base()))

    assert done.returncode == 3
