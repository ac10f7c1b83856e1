"""Ingestion as it is served, in processes of its own that a test kills and starts again, and what it recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from contracts.configurations import ConfigurationState
from contracts.signals import Signal
from contracts.topology import partition_queue
from services.cli.serve import command_of, environment_of
from services.ingestion.store import SCHEMA, IngestionStore
from shared.broker import BrokerError, connect_broker
from shared.clock import SystemClock
from shared.settings import Settings
from shared.store import open_database
from tests.support.ingestion import PEPPER, settings_for, signals_in
from tests.support.processes import free_ports, wait_until

ROOT = Path(__file__).resolve().parents[2]
TAKING = 5.0
"""Seconds: clients that go on sending may never leave a gap."""


@dataclass(slots=True)
class IngestionProgram:
    """One service under gunicorn. `seen`: every message that lay in a partition, repetitions too."""

    settings: Settings
    variables: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    seen: list[Signal] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.settings.port_base + 1

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the processes and wait until they answer."""
        environ = {**os.environ, **self.variables}
        self.process = subprocess.Popen(
            command_of("ingestion", self.settings),
            cwd=ROOT,
            env=environment_of("ingestion", self.settings, environ),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: self.status() == 200, "ingestion to answer", 60)

    def status(self, path: str = "/healthz") -> int:
        """The status that a path answers with, 0 where nothing answers."""
        try:
            return requests.get(self.url + path, timeout=60).status_code
        except requests.RequestException:
            return 0

    def kill(self) -> None:
        """SIGKILL, master and workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(120)
            self.process = None

    def take(self) -> list[Signal]:
        """Take what lies in the partitions now; where signals keep coming, those of the next seconds, too."""
        end = time.monotonic() + TAKING
        broker = connect_broker(self.settings.broker_url, SystemClock())
        found: list[Signal] = []
        try:
            consumer = broker.consumer([partition_queue(number) for number in range(self.settings.partitions)])
            while time.monotonic() < end and (arrived := consumer.receive(1000, 0.2)):
                found += signals_in(arrived)
                consumer.ack(arrived[-1])
            consumer.drop()
        except BrokerError:
            pass  # the queues are not declared yet, or the broker is away
        finally:
            broker.close()
        self.seen += found
        return found

    def recorded(self, count: int) -> list[Signal]:
        """Wait for so many signals; what lies there beside them is taken, too."""
        found: list[Signal] = []

        def enough() -> bool:
            found.extend(self.take())
            return len(found) >= count

        wait_until(enough, f"{count} signals", 60)
        return found


@contextmanager
def running_ingestion(
    folder: Path, broker_url: str, *states: ConfigurationState, **more: str
) -> Iterator[IngestionProgram]:
    """A service that knows these configurations; `more` variables for it. It is killed at the end."""
    variables = {
        "MOMENTS_DATA": str(folder),
        "MOMENTS_BROKER_URL": broker_url,
        "MOMENTS_PORT_BASE": str(free_ports(1)[0] - 1),
        "MOMENTS_LOG_LEVEL": "ERROR",
        "MOMENTS_PARTITIONS": "2",
        **more,
    }
    settings = settings_for(folder, **variables)
    variables["MOMENTS_SECRET_PEPPER"] = PEPPER
    store = IngestionStore(open_database(settings.ingestion_database_url, schema=SCHEMA))
    store.migrate()
    store.keep(states)
    store.close()
    program = IngestionProgram(settings, variables)
    program.start()
    try:
        yield program
    finally:
        program.kill()
