"""Where benchmarks run: fresh brokers and databases on private servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.settings import Settings
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresNode
from tests.support.rabbitmq import RabbitMQNode

ROOT = Path(__file__).resolve().parents[1]
BROKERS = ("embedded", "rabbitmq")
STORES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder with its broker and databases, as an environment and as settings."""

    environ: dict[str, str]

    @property
    def settings(self) -> Settings:
        """What the services read of the environment."""
        return Settings.from_environment(self.environ)

    @contextmanager
    def program(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Python program of this place, ended by SIGTERM; what it writes to standard error is shown if it fails."""
        number, path = tempfile.mkstemp(prefix="errors-", dir=self.settings.data)
        errors = Path(path)
        with os.fdopen(number, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        try:
            yield process
        except BaseException:
            sys.stderr.write(errors.read_text(errors="replace")[-4000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


class Places:
    """Makes places, each with its own data. Use as a context: the servers, started at first use, end with it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="moments-bench-"))
        self._folder.chmod(0o755)
        self._count = 0
        self._rabbitmq: RabbitMQNode | None = None
        self._postgres: PostgresNode | None = None

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rabbitmq is not None:
            self._rabbitmq.kill()
            self._rabbitmq.stop()
        if self._postgres is not None:
            self._postgres.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, servers: Iterable[str]) -> None:
        """Start servers at the same time, before anything is measured."""
        starts = {"rabbitmq": self._rabbitmq_node, "postgresql": self._postgres_node}
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(starts[server]) for server in servers]:
                started.result()

    @contextmanager
    def place(self, broker: str, store: str) -> Iterator[Place]:
        """A place of its own: `broker` and `store` by name. Its folder is removed at the end."""
        self._count += 1
        folder = self._folder / f"data-{self._count}"
        folder.mkdir()
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MOMENTS_")},
            "PYTHONPATH": str(ROOT),
            "MOMENTS_DATA": str(folder),
            "MOMENTS_LOG_LEVEL": "warning",
        }
        if broker == "rabbitmq":
            node = self._rabbitmq_node()
            environ["MOMENTS_BROKER_URL"] = node.url(node.fresh_vhost())
        if store == "postgresql":
            environ["MOMENTS_DATABASE_URL"] = self._postgres_node().create_database(f"bench_{self._count}")
        try:
            yield Place(environ)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _rabbitmq_node(self) -> RabbitMQNode:
        if self._rabbitmq is None:
            self._rabbitmq = RabbitMQNode(self._folder / "rabbitmq")
            self._rabbitmq.start()
        return self._rabbitmq

    def _postgres_node(self) -> PostgresNode:
        if self._postgres is None:
            self._postgres = PostgresNode(self._folder / "postgres")
            self._postgres.start()
        return self._postgres


def missing() -> dict[str, str]:
    """Broker or store that cannot be had here → why."""
    reasons = {"rabbitmq": rabbitmq.available(), "postgresql": postgres.available()}
    return {name: reason for name, reason in reasons.items() if reason is not None}
