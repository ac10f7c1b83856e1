"""Applications under the gunicorn of `moments serve ingestion`, and the clients that ask them."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import processor_seconds
from benchmarks.places import Place
from benchmarks.workload import ORIGIN, SITE, WEB_KEY, cart_signals, document_of
from services.cli.serve import command_of, environment_of
from shared.clock import SystemClock, stopwatch
from tests.support.processes import free_ports

PER_REQUEST = 50
"""Signals of a batch."""
SINGLE, BATCH = "single", "batch"
_CLIENTS = 2
_CONNECTIONS = 8
_REQUESTS = 40
_START_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What clients got answered: how many requests, in how many seconds, for how many of the server's processor."""

    answered: int
    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Server:
    """An application that answers at a port, and its processes: gunicorn's arbiter and the workers."""

    place: Place
    port: int
    processes: tuple[int, ...]

    def processor(self) -> float:
        """Seconds of processor time that it has used so far."""
        return sum(processor_seconds(process) for process in self.processes)

    def ask(self, form: str, seconds: float) -> Asked:
        """Have it asked as fast as it answers."""
        used = self.processor()
        found = self.run("benchmarks.client", [str(_CONNECTIONS), str(seconds)], form, _CLIENTS, seconds)
        return Asked(
            answered=round(sum(each["answered"] for each in found)),
            seconds=sum(each["answered"] for each in found) / sum(each["answered"] / each["seconds"] for each in found),
            processor=(self.processor() - used) / sum(each["whole"] for each in found),
        )

    def ask_steadily(self, rate: float, seconds: float) -> dict[str, float]:
        """Have it asked for single signals so often a second; p50, p99 and max of the seconds until the answers."""
        (found,) = self.run("benchmarks.steady", [str(rate), str(seconds)], SINGLE, 1, seconds)
        return found

    def run(
        self, client: str, arguments: Sequence[str], form: str, clients: int, seconds: float
    ) -> list[dict[str, float]]:
        """What client processes print at their end."""
        files = [_write_requests(self.place, form, self.port, number) for number in range(clients)]
        with ExitStack() as stack:
            running = [
                stack.enter_context(self.place.program("-m", client, str(self.port), str(file), *arguments))
                for file in files
            ]
            found = [json.loads(each.communicate(timeout=seconds + 60)[0] or "null") for each in running]
            if None in found:
                raise RuntimeError("a client failed")
        return found


@contextmanager
def served(place: Place, module: str) -> Iterator[Server]:
    """The application of a module, which answers already; its log is on, as by default."""
    more = {"MOMENTS_PORT_BASE": str(free_ports(1)[0] - 1), "MOMENTS_LOG_LEVEL": "info"}
    place = Place({**place.environ, **more})
    settings = place.settings
    command = [part.replace("services.ingestion.wsgi", module) for part in command_of("ingestion", settings)][1:]
    whole = Place(environment_of("ingestion", settings, place.environ))
    with whole.program(*command) as server:
        port = settings.port_base + 1
        _await_server(server, port, "/readyz" if module.startswith("services.") else "/")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
        yield Server(place, port, (server.pid, *map(int, children.split())))


def _await_server(server: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = stopwatch() + _START_WITHIN
    while server.poll() is None and stopwatch() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return
        except urllib.error.HTTPError as error:
            if error.code in (404, 405):
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers at port {port}")


def _write_requests(place: Place, form: str, port: int, client: int) -> Path:
    each = 1 if form == SINGLE else PER_REQUEST
    count = _REQUESTS * each
    documents = [
        document_of(signal)
        for signal in cart_signals(count, start=SystemClock().now() - count * 1_000, seed=client + 1)
    ]
    if form == SINGLE:
        bodies = documents
    else:
        bodies = [b"[" + b",".join(documents[at : at + each]) + b"]" for at in range(0, count, each)]
    path = "/v1/signals/cart/add" if form == SINGLE else "/v1/signals"
    file = place.settings.data / f"requests-{form}-{client}"
    file.write_text("\n".join(_request(path, port, body).hex() for body in bodies), encoding="ascii")
    return file


def _request(path: str, port: int, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {ORIGIN}\r\nReferer: https://{SITE}/cart\r\n"
        f"X-Api-Key: {WEB_KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
