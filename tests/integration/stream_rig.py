"""Trigger's REST under gunicorn, as `moments up` starts it, and a listener to its live analytics."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from services.cli.serve import command_of, environment_of
from shared.clock import SystemClock
from tests.integration.trigger_rig import ROOT, Rig, wait_until
from tests.support.processes import free_ports

TOKEN = "a-token-for-the-tests"


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event; `at`: when it was read, µs."""

    id: str
    name: str
    data: dict[str, Any]
    at: int


class Listener:
    """A client that reads a stream in a thread of its own."""

    def __init__(self, port: int, query: str = "", last_event_id: str = "", moment: str = "m1") -> None:
        self.events: list[Event] = []
        self.comments = 0
        self.over = threading.Event()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}", **({"Last-Event-ID": last_event_id} if last_event_id else {})}
        self._connection.request("GET", f"/api/v1/moments/{moment}/stream{query}", headers=headers)
        self._socket = self._connection.sock
        self.answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.answer.status == 200:
            self._thread.start()

    def named(self, name: str) -> list[Event]:
        """The events of a name so far."""
        return [event for event in list(self.events) if event.name == name]

    @property
    def outcomes(self) -> list[str]:
        """The ids of the raises and suppressions so far, in order."""
        return [event.data["id"] for event in self.named("outcome")]

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):  # the server has hung up already
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(120)
        self.answer.close()
        self._socket.close()
        self._connection.close()

    def _read(self) -> None:
        clock, fields = SystemClock(), dict[str, str]()
        try:
            for raw in self.answer:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "event" in fields:
                    data = msgspec.json.decode(fields["data"])
                    self.events.append(Event(fields["id"], fields["event"], data, clock.now()))
                    fields.clear()
        except (OSError, ValueError, http.client.HTTPException):
            pass  # hung up on while it was read
        self.over.set()


class Served:
    """The running program. `stop` sends SIGTERM and tells how many seconds it took to end."""

    def __init__(self, rig: Rig, **changes: Any) -> None:
        settings = replace(rig.settings, port_base=free_ports(1)[0] - 2, **changes)
        self.port = settings.port_base + 2
        environment = {**os.environ, **rig.environment, "MOMENTS_STREAMS": str(settings.streams)}
        self._log = (rig.folder / "rest.log").open("ab")
        self._process = subprocess.Popen(
            command_of("trigger", settings),
            cwd=ROOT,
            env=environment_of("trigger", settings, environment),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(self._answers, f"trigger's REST to answer; see {rig.folder}/rest.log", 60)

    def stop(self) -> float:
        """SIGTERM; seconds until it has ended."""
        clock = SystemClock()
        began = clock.now()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)
        return (clock.now() - began) / 1_000_000

    def close(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process.poll() is None:
            self.stop()
        self._log.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            assert self._process.poll() is None, "trigger's REST has ended"
            return False


@contextmanager
def served(rig: Rig, **changes: Any) -> Iterator[Served]:
    """Trigger's REST with some other settings."""
    program = Served(rig, **changes)
    try:
        yield program
    finally:
        program.close()
