"""The open-loop client of the benchmarks: who waits is not forgotten."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from pathlib import Path

import pytest

from benchmarks import steady

_REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
_STALL = 0.4


class _Server(socketserver.ThreadingTCPServer):
    """Answers at once, but for one stall of everybody."""

    daemon_threads = True
    one_at_a_time = threading.Lock()
    answered = 0


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        while self.request.recv(len(_REQUEST)):
            with self.server.one_at_a_time:
                self.server.answered += 1
                if self.server.answered == 140:
                    time.sleep(_STALL)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def test_who_comes_during_a_stall_counts_with_the_whole_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "requests"
    file.write_text(_REQUEST.hex(), encoding="ascii")
    rate, seconds = 200.0, 0.8
    monkeypatch.setattr(steady, "_CONNECTIONS", 2)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("sys.argv", ["steady", str(server.server_address[1]), str(file), str(rate), str(seconds)])

        steady.main()
        server.shutdown()

    found = json.loads(capsys.readouterr().out)
    assert server.answered == found["whole"] == len(list(steady.plan(rate, 0.5 + seconds)))
    assert found["max"] >= _STALL * 0.9  # the first that it held
    assert found["p99"] >= _STALL * 0.8  # those that could not even be sent meanwhile


def test_the_plan_keeps_its_rate_and_does_not_depend_on_the_run() -> None:
    instants = list(steady.plan(1_000.0, 10.0))

    assert 9_700 < len(instants) < 10_300
    assert instants == sorted(instants) == list(steady.plan(1_000.0, 10.0))
    assert instants[-1] < 10.0
