"""News for open pages through the real HTTP server: seats are given back, and a stop waits for no stream."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from services.cli.serve import command_of, environment_of
from shared.clock import SystemClock, stopwatch
from shared.settings import Settings
from tests.integration.trigger_rig import ROOT
from tests.support.browsing import Browser, make_administrator
from tests.support.installation import Installation, running_installation
from tests.support.processes import free_ports, stretched, wait_until


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path, f"sqlite:///{tmp_path}/test.db") as made:
        yield made


class Stream:
    """An answer that goes on; `close` hangs up."""

    def __init__(self, port: int, path: str, cookie: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._connection.request("GET", path, headers={"Cookie": cookie})
        self.answer = self._connection.getresponse()

    def until(self, line: bytes) -> bytes:
        """What it says up to a line."""
        said = b""
        while line not in said:
            came = self.answer.readline()
            assert came, said
            said += came
        return said

    def close(self) -> None:
        """Hang up."""
        self.answer.close()
        self._connection.close()


class Served:
    """Config under gunicorn with a single seat, and somebody who is signed in at it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        (self.port,) = free_ports(1)
        environment = {
            "MOMENTS_DATA": str(folder / "data"),
            "MOMENTS_ADMIN_TOKEN": installation.config.token,
            "MOMENTS_CONFIG_DATABASE_URL": f"sqlite:///{folder}/test.db",
            "MOMENTS_TRIGGER_URL": installation.config.service.program.trigger._url,
            "MOMENTS_PORT_BASE": str(self.port),
            "MOMENTS_LIVE_PAGES": "1",
        }
        settings = Settings.from_environment(environment)
        installation.clock.set(SystemClock().now())  # the session is to be valid there
        make_administrator(installation.config.service)
        browser = Browser(installation.config.service, base=f"http://127.0.0.1:{self.port}")
        browser.sign_in("ada@example.com")
        cookie = browser.client.get_cookie(f"moments-session-{self.port}", "127.0.0.1")
        assert cookie is not None
        self._cookie = f"{cookie.key}={cookie.value}"
        self.process = subprocess.Popen(
            command_of("config", settings),
            cwd=ROOT,
            env=environment_of("config", settings, {**os.environ, **environment}),
            stdin=subprocess.DEVNULL,
        )
        wait_until(self._answers, "config to answer", 60)

    def listen(self, moment: dict[str, Any]) -> Stream:
        """Open a stream."""
        return Stream(self.port, f"/moments/{moment['id']}/stream", self._cookie)

    def _answers(self) -> bool:
        assert self.process.poll() is None, "config has ended"
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def served(installation: Installation, tmp_path: Path) -> Iterator[Served]:
    made = Served(installation, tmp_path)
    yield made
    made.process.kill()
    made.process.wait(120)


def test_a_seat_is_free_soon_after_its_page_has_gone_and_a_stop_waits_for_no_stream(
    installation: Installation, served: Served
) -> None:
    shop = installation.config.make_configuration()
    moment = installation.config.set_status(installation.config.make_moment(shop["id"])["id"], "running")
    installation.learn(moment)
    with closing(served.listen(moment)) as first:
        assert first.answer.status == 200
        said = first.until(b"data: {}\n").replace(b": still here\n\n", b"")
        assert said == b"retry: 1000\n\nevent: changed\ndata: {}\n"
        with closing(served.listen(moment)) as second:
            assert (second.answer.status, second.answer.headers["Retry-After"]) == (503, "5")

    began = stopwatch()
    third = wait_for_a_seat(served, moment)
    assert stopwatch() - began < stretched(5)
    with closing(third):
        installation.desk.add("ada", configuration=shop["id"])
        third.until(b"event: changed\n")
        began = stopwatch()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(120)
        assert stopwatch() - began < stretched(6)
        assert third.answer.read().endswith(b"\n\n")


def wait_for_a_seat(served: Served, moment: dict[str, Any]) -> Stream:
    """A stream, as soon as it is not refused."""
    while True:
        stream = served.listen(moment)
        if stream.answer.status == 200:
            return stream
        stream.close()
        threading.Event().wait(0.1)
