"""Two gunicorn processes with one spool, killed and started again, and the trigger worker behind them."""

from __future__ import annotations

import http.client
import json
import os
import signal as signals
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts.times import to_datetime
from services.cli.options import ROOT
from services.cli.serve import command_of, environment_of
from services.ingestion.spool.store import Standing, look
from services.ingestion.store import SCHEMA, IngestionStore
from shared.settings import Settings
from shared.store import open_database
from tests.integration.trigger_rig import CONFIGURATION_ID, Rig, running_rig, wait_until
from tests.support.ingestion import PEPPER, configuration, signal
from tests.support.processes import free_ports
from tests.support.rabbitmq import RabbitMQNode


class Gunicorn:
    """Ingestion as it is served: two processes, over HTTP."""

    def __init__(self, rig: Rig, megabytes: int) -> None:
        self.folder = rig.folder / "ingestion"
        base = free_ports(1)[0] - 1
        self._port = base + 1
        variables = {
            **rig.environment,
            "MOMENTS_DATA": str(self.folder),
            "MOMENTS_SECRET_PEPPER": PEPPER,
            "MOMENTS_SPOOL": str(megabytes),
            "MOMENTS_PORT_BASE": str(base),
            "MOMENTS_LOG_LEVEL": "warning",
        }
        self._settings = Settings.from_environment(variables)
        self._environment = {**os.environ, **variables}
        self._log = (rig.folder / "ingestion.log").open("ab")
        store = IngestionStore(open_database(self._settings.ingestion_database_url, schema=SCHEMA))
        store.migrate()
        store.keep([configuration(2, id=CONFIGURATION_ID)])
        store.close()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self._server = subprocess.Popen(
            command_of("ingestion", self._settings),
            env=environment_of("ingestion", self._settings, self._environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        wait_until(lambda: self.ready()[0] == 200, "ingestion to be ready", 60)

    def kill(self) -> None:
        """SIGKILL all its processes."""
        if self._server.poll() is None:
            os.killpg(self._server.pid, signals.SIGKILL)
        self._server.wait()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._log.close()

    def ready(self) -> tuple[int, dict[str, Any]]:
        """The status and the document of /readyz; 0 when nothing answers."""
        try:
            status, _, document = self._ask("GET", "/readyz")
        except OSError:
            return 0, {}
        return status, document

    def metric(self, name: str) -> float:
        """The value of a metric, over both processes."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def send(self, batch: list[dict[str, Any]]) -> tuple[int, str | None]:
        """Send signals over a connection of its own; the status and Retry-After."""
        status, after, _ = self._ask("POST", "/v1/signals", json.dumps(batch))
        return status, after

    def standing(self) -> Standing:
        """How the spool stands."""
        found = look(self.folder, self._settings.spool)
        assert found is not None
        return found

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str | None, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"X-Api-Key": "sk_1:secret", "Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = answer.status, answer.headers.get("Retry-After"), json.loads(answer.read())
        connection.close()
        return found


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Trigger on RabbitMQ and PostgreSQL."""
    with running_rig(request, tmp_path, "servers") as made:
        yield made


@pytest.fixture
def ingestion(rig: Rig) -> Iterator[Gunicorn]:
    """Ingestion with a spool of 4 MB that trigger knows of."""
    served = Gunicorn(rig, 4)
    served.start()
    yield served
    served.close()


def batch(rig: Rig, name: str, size: int = 100, **data: Any) -> list[dict[str, Any]]:
    """Signals of one customer, of now."""
    time = to_datetime(rig.clock.now()).isoformat()
    return [{**signal(f"{name}-{n}", email=f"{name}@example.com", **data), "time": time} for n in range(size)]


@pytest.mark.rabbitmq
@pytest.mark.postgresql
def test_what_two_processes_have_acknowledged_survives_kills_at_every_stage_and_is_recorded_once(
    rig: Rig, ingestion: Gunicorn, rabbitmq_node: RabbitMQNode
) -> None:
    wait_until(lambda: ingestion.standing().known, "the machine to be known")
    rabbitmq_node.settle()
    acknowledged = 0

    # The broker is killed in the middle of a load from many senders: every answer is 200.
    with ThreadPoolExecutor(4) as senders:
        answers = [senders.submit(ingestion.send, batch(rig, f"a{n}")) for n in range(4)]
        rabbitmq_node.kill()
        answers += [senders.submit(ingestion.send, batch(rig, f"b{n}")) for n in range(16)]
        assert {answer.result() for answer in answers} == {(200, None)}
    acknowledged += 2_000
    assert ingestion.standing().signals >= 1_600
    status, document = ingestion.ready()
    assert status == 200
    assert "signals wait" in document["checks"]["spool"]
    assert ingestion.metric("moments_spool_put_total") == ingestion.standing().signals

    # Killed with a filled spool and started without a broker, it goes on where it was.
    before = ingestion.standing().signals
    ingestion.kill()
    ingestion.start()
    assert ingestion.standing().signals == before
    assert ingestion.send(batch(rig, "c")) == (200, None)
    acknowledged += 100

    # At the bound it is as without a spool, and nothing of the request is kept.
    filler = 0
    while (answer := ingestion.send(batch(rig, f"d{filler}", 50, note="x" * 1_000)))[0] == 200:
        filler += 1
        assert filler < 100
    assert (answer[0], answer[1] is not None) == (503, True)
    acknowledged += filler * 50
    full = ingestion.standing().signals
    assert full == before + 100 + filler * 50
    assert ingestion.ready()[0] == 503

    # Killed while it drains, it starts over: some come twice and count once.
    rabbitmq_node.start()
    wait_until(lambda: ingestion.standing().signals < full, "it to drain", 60)
    ingestion.kill()
    ingestion.start()
    wait_until(lambda: ingestion.standing().signals == 0, "it to be empty", 60)
    assert ingestion.send(batch(rig, "e")) == (200, None)
    acknowledged += 100

    rig.started()
    wait_until(lambda: rig.applied(acknowledged), "all to be recorded", 60)
    assert rig.read("SELECT count(*) FROM signals")[0][0] == acknowledged
