"""docker-compose.yml, built, started and walked end to end: `./moments test --compose`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.times import to_rfc3339
from contracts.topology import JOURNEYS, Binding
from services.cli.rest import Administration, Client, administration
from services.cli.watch import journey_queue
from shared.broker import connect_broker
from shared.clock import SystemClock
from tests.support.processes import free_ports, wait_until

ROOT = Path(__file__).resolve().parents[2]
BASE_IMAGES = ("python:3.11-slim-bookworm", "rabbitmq:3-management", "postgres:15")
TOKEN = "a-token-for-this-test"

pytestmark = [
    pytest.mark.skipif(os.environ.get("MOMENTS_COMPOSE") != "1", reason="run by ./moments test --compose"),
    pytest.mark.timeout(1500),
]


def succeeds(*command: str) -> bool:
    """Whether a command can be run and ends with 0."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0


def compose_command() -> list[str]:
    """`docker compose`, else docker-compose; fails when neither is there."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if succeeds(*command, "version"):
            return command
    pytest.fail("neither `docker compose` nor docker-compose is installed", pytrace=False)


def prepare_images() -> None:
    """See that Docker answers and has the base images; MOMENTS_STANDIN_IMAGES helps where no registry is reachable."""
    have = succeeds("docker", "info") and all(succeeds("docker", "image", "inspect", image) for image in BASE_IMAGES)
    standin = os.environ.get("MOMENTS_STANDIN_IMAGES")
    if not have and standin:
        subprocess.run([standin, "--engine"], stdin=subprocess.DEVNULL, check=True)
    elif not succeeds("docker", "info"):
        pytest.fail("Docker does not answer: is it installed and running?", pytrace=False)


@dataclass(frozen=True, slots=True)
class Stack:
    """The running containers, by their ports on this machine."""

    config: int
    ingestion: int
    trigger: int
    amqp: int
    interface: int
    project: str
    command: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What docker-compose.yml reads."""
        ports = {
            "MOMENTS_CONFIG_PORT": self.config,
            "MOMENTS_INGESTION_PORT": self.ingestion,
            "MOMENTS_TRIGGER_PORT": self.trigger,
            "MOMENTS_AMQP_PORT": self.amqp,
            "MOMENTS_RABBITMQ_UI_PORT": self.interface,
        }
        own = {name: value for name, value in os.environ.items() if not name.startswith("MOMENTS_")}
        return {**own, **{name: str(port) for name, port in ports.items()}, "MOMENTS_ADMIN_TOKEN": TOKEN}

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a compose command on this project."""
        return subprocess.run(
            [*self.command, "-p", self.project, *arguments],
            cwd=ROOT,
            env={**self.environment, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The whole of docker-compose.yml, healthy; taken down with its volumes."""
    prepare_images()
    made = Stack(*free_ports(5), project=f"moments{os.getpid()}", command=tuple(compose_command()))
    try:
        started = made.compose("up", "--build", "--detach")
        assert started.returncode == 0, f"{started.stdout[-4000:]}{started.stderr[-4000:]}"
        yield made
    finally:
        sys.stderr.write(made.compose("logs", "--tail", "40").stdout)
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "15")


@pytest.fixture
def config(stack: Stack) -> Administration:
    """config's REST API."""
    return administration(f"http://127.0.0.1:{stack.config}", TOKEN)


def is_ready(port: int) -> bool:
    """Whether the service at a port is ready."""
    try:
        return Client(f"http://127.0.0.1:{port}", {"Connection": "close"}).call("GET", "/readyz").status == 200
    except Exception:
        return False


def test_every_container_becomes_healthy(stack: Stack) -> None:
    for port in (stack.config, stack.ingestion, stack.trigger):
        wait_until(lambda port=port: is_ready(port), f"port {port} to be ready", timeout=120)

    ids = stack.compose("ps", "-q").stdout.split()
    shape = "{{.Config.Image}} {{.State.Health.Status}} {{.Config.User}}"

    def states() -> list[str]:
        found = subprocess.run(["docker", "inspect", "-f", shape, *ids], capture_output=True, text=True, check=True)
        return found.stdout.splitlines()

    wait_until(lambda: all(" healthy " in f"{state} " for state in states()), "all to be healthy", timeout=120)
    assert len(ids) == 6
    assert [state for state in states() if state.startswith("moments ")] == ["moments healthy moments"] * 4


def test_a_signal_sent_over_http_becomes_a_moment_at_a_bound_queue(stack: Stack, config: Administration) -> None:
    broker = connect_broker(f"amqp://moments:moments@127.0.0.1:{stack.amqp}/", SystemClock())
    broker.declare_queue(journey_queue("test.journey"), [Binding(JOURNEYS, "test.journey", "moment.cart_abandon")])
    configuration = config.post(
        "/api/v1/audience-configurations",
        {"name": "Shop", "audience": {"id": "a", "name": "Customers"}, "domains": ["shop.example.com"]},
    )
    key = next(each["id"] for each in configuration["keys"] if each["type"] == "web")
    config.call("PATCH", f"/api/v1/audience-configurations/{configuration['id']}/keys/{key}", {"enabled": True})
    moment = config.post(
        "/api/v1/moments",
        {
            "type": "cart_abandon",
            "name": "Left behind",
            "audienceConfigurationId": configuration["id"],
            "settings": {"duration": "PT2S"},
        },
    )
    config.post(f"/api/v1/moments/{moment['id']}/status", {"status": "running"})

    wait_until(lambda: send(stack, key) == 200, "the key to be known", timeout=10)

    consumer = broker.consumer(["test.journey"])
    received: list[Any] = []
    wait_until(lambda: received.extend(consumer.receive(1, 0.5)) or received, "the moment", timeout=60)
    consumer.ack(received[-1])
    consumer.drop()
    broker.close()
    event = json.loads(received[0].body)
    assert event["type"] == "moment.cart_abandon"
    assert event["data"]["profile"] == {"idType": "email", "id": "ada@example.com"}
    assert event["data"]["moment"]["id"] == moment["id"]


def send(stack: Stack, key: str) -> int:
    """Send one signal as a web page does; the status of the answer."""
    client = Client(
        f"http://127.0.0.1:{stack.ingestion}",
        {"X-Api-Key": key, "Origin": "https://shop.example.com", "Connection": "close"},
    )
    items = [{"productId": "mug", "quantity": 2, "price": 12.5, "currency": "EUR"}]
    signal = {
        "id": str(uuid.uuid4()),
        "time": to_rfc3339(SystemClock().now()),
        "data": {"site": "shop.example.com", "email": "ada@example.com", "cartId": "c-1", "items": items},
    }
    return client.call("POST", "/v1/signals/cart/add", signal).status
