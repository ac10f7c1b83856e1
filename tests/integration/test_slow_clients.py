"""Clients that send slowly: a service of few threads goes on answering the others."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

import pytest

from services.cli.serve import command_of
from shared.settings import Settings
from shared.worker import PatientWorker
from tests.integration.trigger_rig import ROOT
from tests.support.processes import free_ports, wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server says."""
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def port(log: Path) -> Iterator[int]:
    """A server of one process and two threads, which waits a second for a request."""
    (found,) = free_ports(1)
    with log.open("wb") as said:
        program = _started(found, said)
    wait_until(lambda: _answers(found), "the server to answer", 60)
    yield found
    program.kill()
    program.wait(120)


def _started(found: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (
            *(sys.executable, "-m", "gunicorn", "tests.support.impatient:application", "--workers", "1"),
            *("--threads", "2", "--bind", f"127.0.0.1:{found}", "--log-level", "warning", "--no-control-socket"),
            *("--worker-class", "tests.support.impatient.ImpatientWorker"),
        ),
        cwd=ROOT,
        stderr=said,
    )


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _said(port: int, body: bytes = b"abc") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=body, timeout=20) as answer:
        found: bytes = answer.read()
        return found


@pytest.mark.parametrize("begun", [HEAD, HEAD + b"\r\n"], ids=["in the head", "in the body"])
def test_who_sends_a_byte_now_and_then_holds_no_thread_for_long(port: int, begun: bytes) -> None:
    over = threading.Event()
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(socket.create_connection(("127.0.0.1", port)))) for _ in range(4)]

        def drip() -> None:
            while not over.wait(0.2):
                for each in slow:
                    try:
                        each.sendall(b"a")
                    except OSError:
                        continue

        for each in slow:
            each.sendall(begun)
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert _said(port) == b"3"
        finally:
            over.set()
            dripping.join()


def test_a_body_that_comes_in_pieces_within_the_time_is_whole(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as sender:
        sender.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")
        threading.Event().wait(0.3)
        sender.sendall(b"def")

        assert sender.makefile("rb").read().endswith(b"\r\n\r\n6")


@pytest.mark.parametrize(
    "line",
    [b"GET /?key=sk_1:hidden HTTP/9.9", b"sk_1:hidden", b"GET / HTTP/1.1\r\nX-Api-Key sk_1:hidden: 1"],
    ids=["another version", "no request", "no header"],
)
def test_the_log_says_neither_who_sent_what_is_no_http_nor_what_it_said(port: int, log: Path, line: bytes) -> None:
    before = log.read_text().count("Invalid request")

    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as sender:
        sender.sendall(line + b"\r\n\r\n")
        answer = sender.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400")
    wait_until(lambda: log.read_text().count("Invalid request") > before, "the line in the log", 30)
    assert "127.0.0.1" not in log.read_text().partition("Invalid request")[2]
    assert "hidden" not in log.read_text()


@pytest.mark.parametrize("service", ["config", "ingestion", "trigger"])
def test_every_service_has_this_worker(service: str) -> None:
    command = command_of(service, Settings.from_environment({"MOMENTS_DATA": "/tmp/none"}))

    named = f"{PatientWorker.__module__}.{PatientWorker.__qualname__}"
    assert command[command.index("--worker-class") + 1] == named
