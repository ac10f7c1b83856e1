"""Signals per second over HTTP into ingestion: one to a request, and 50 to a request.

Measured: the real gunicorn set up as by `moments serve ingestion` (2 processes of 4 threads), a web key with
its origin, signals of 800 bytes in plain JSON; two client processes of 8 keep-alive connections each, on one machine.
A request is counted when it was answered with 200, that is when the broker has every signal of it on disk. Beside it:
an endpoint that reads the same bodies and does nothing, under the same gunicorn settings, asked by the same clients.

Not shown: TLS, networks, compressed bodies, new connections, preflights; a trigger that consumes at the same time; the
same bodies are sent again and again (ingestion does not look for repetition, trigger does).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.places import BROKERS, Place, Places
from benchmarks.workload import ORIGIN, SITE, WEB_KEY, cart_signals, configuration_state, document_of
from services.cli.serve import command_of, environment_of
from services.ingestion.store import SCHEMA, IngestionStore
from shared.clock import SystemClock, stopwatch
from shared.store import open_database
from tests.support.processes import free_ports

PER_REQUEST = 50
FLOOR = 8_000.0
_CLIENTS = 2
_CONNECTIONS = 8
_REQUESTS = 40
_START_WITHIN = 60.0
_SINGLE, _BATCH = "single", "batch"


def names(brokers: Sequence[str] = BROKERS) -> list[str]:
    """The names of the figures."""
    return [f"http {form} {broker}" for broker in brokers for form in (_SINGLE, _BATCH)]


def measure(places: Places, seconds: float, wanted: Collection[str]) -> Iterator[Figure]:
    """The figures of the wanted names, each over `seconds`."""
    chosen = {broker: [f for f in (_SINGLE, _BATCH) if f"http {f} {broker}" in wanted] for broker in BROKERS}
    forms = [form for form in (_SINGLE, _BATCH) if any(form in some for some in chosen.values())]
    if not forms:
        return
    with places.place("embedded", "sqlite") as place:
        limits = _rates(place, "benchmarks.empty", forms, seconds)
    for broker, some in chosen.items():
        if not some:
            continue
        with places.place(broker, "sqlite") as place:
            _admit(place)
            rates = _rates(place, "services.ingestion.wsgi", some, seconds)
        for form in some:
            each = 1 if form == _SINGLE else PER_REQUEST
            yield Figure(
                name=f"http {form} {broker}",
                value=rates[form] * each,
                unit="requests/s" if form == _SINGLE else "signals/s",
                limit=limits[form] * each,
                floor=None if form == _SINGLE else FLOOR,
            )


def _admit(place: Place) -> None:
    """Give ingestion its configuration, as if config had sent it before."""
    store = IngestionStore(open_database(place.settings.ingestion_database_url, schema=SCHEMA, synchronous="NORMAL"))
    store.migrate()
    store.keep([configuration_state()])
    store.close()


def _rates(place: Place, module: str, forms: Sequence[str], seconds: float) -> dict[str, float]:
    """Form → requests answered per second by the application of a module."""
    place = Place({**place.environ, "MOMENTS_PORT_BASE": str(free_ports(1)[0] - 1)})
    settings = place.settings
    command = [part.replace("services.ingestion.wsgi", module) for part in command_of("ingestion", settings)][1:]
    served = Place(environment_of("ingestion", settings, place.environ))
    with served.program(*command) as server:
        port = settings.port_base + 1
        _await_server(server, port, "/readyz" if module.startswith("services.") else "/")
        return {form: _rate(place, port, form, seconds) for form in forms}


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


def _rate(place: Place, port: int, form: str, seconds: float) -> float:
    files = [_write_requests(place, form, port, client) for client in range(_CLIENTS)]
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(
                place.program("-m", "benchmarks.client", str(port), str(_CONNECTIONS), str(seconds), str(file))
            )
            for file in files
        ]
        found = [json.loads(client.communicate(timeout=seconds + 60)[0] or "{}") for client in clients]
    if not all(found):
        raise RuntimeError("a client failed")
    return float(sum(each["answered"] / each["seconds"] for each in found))


def _write_requests(place: Place, form: str, port: int, client: int) -> Path:
    each = 1 if form == _SINGLE else PER_REQUEST
    count = _REQUESTS * each
    documents = [
        document_of(signal)
        for signal in cart_signals(count, start=SystemClock().now() - count * 1_000, seed=client + 1)
    ]
    if form == _SINGLE:
        bodies = documents
    else:
        bodies = [b"[" + b",".join(documents[at : at + each]) + b"]" for at in range(0, count, each)]
    path = "/v1/signals/cart/add" if form == _SINGLE else "/v1/signals"
    file = place.settings.data / f"requests-{form}-{client}"
    file.write_text("\n".join(_request(path, port, body).hex() for body in bodies), encoding="ascii")
    return file


def _request(path: str, port: int, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {ORIGIN}\r\nReferer: https://{SITE}/cart\r\n"
        f"X-Api-Key: {WEB_KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
