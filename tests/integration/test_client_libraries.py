"""Clients of npm and PyPI, unmodified, against ingestion as it is served: sent is recorded, once, whatever fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
import rudderstack.analytics.client
import segment.analytics.client
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

from contracts.signals import Signal
from tests.conftest import require
from tests.support import npm
from tests.support.desk import Desk
from tests.support.ingestion import configuration
from tests.support.ingestion_program import IngestionProgram, running_ingestion
from tests.support.processes import wait_until

pytestmark = pytest.mark.timeout(1_200)

SERVER_KEY = "sk_1:secret"
MUG = {"product_id": "mug", "name": "Blue mug", "price": 12.5, "quantity": 1, "currency": "EUR"}
PATIENCE = 240.0
PAUSE = 0.2
UNCONFIRMED = (503, 0)
"""What a probe is answered with while nothing is confirmed; 0: not in time, as all threads wait for it."""


class Sender(Protocol):
    """A client that is given one signal of a profile at a time."""

    def add(self, profile: str) -> None:
        """Send that the profile put a mug into the cart."""

    def close(self) -> None:
        """Wait until all is sent; fails when something was given up."""

    def abandon(self) -> None:
        """End it, whatever it still holds."""


class NodeSender:
    """A client in a process of Node: `segment`, `rudderstack` or `cloudevents`."""

    def __init__(self, name: str, url: str, mode: str = "") -> None:
        self._name, self._mode, self._sent = name, mode, 0
        node = shutil.which("node")
        assert node is not None
        self._process = subprocess.Popen(
            [node, str(npm.PROJECT / "sender.cjs"), name, url],
            env={**os.environ, "NODE_PATH": str(npm.folder() / "node_modules")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **message: Any) -> None:
        """One call of the client, or one event."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        self._sent += 1

    def add(self, profile: str) -> None:
        """As a call of its API, or as an event in its mode."""
        if self._mode:
            self.send(mode=self._mode, **event_of(profile))
        else:
            self.send(call="track", userId=profile, event="Product Added", properties=MUG)

    def close(self) -> None:
        """Let it send what it still holds."""
        answer, _ = self._process.communicate(timeout=PATIENCE)
        assert json.loads(answer.splitlines()[-1]) == {"sent": self._sent, "underWay": 0, "failed": []}

    def abandon(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class PythonSender:
    """Segment's client for Python, or that which RudderStack made of it."""

    def __init__(self, module: Any, url: str) -> None:
        self._failed: list[str] = []
        self.client = module.Client(
            SERVER_KEY,
            host=url,
            on_error=lambda error, _: self._failed.append(str(error)),
            upload_interval=0.1,
            max_retries=12,
        )

    def add(self, profile: str) -> None:
        """As a call of its API."""
        self.client.track(profile, "Product Added", MUG)

    def close(self) -> None:
        """Let it send what it still holds."""
        self.client.shutdown()
        assert self._failed == []

    def abandon(self) -> None:
        """Its thread ends with the process."""


class EventSender:
    """The package `cloudevents` makes the message; it is sent again as long as the service asks for it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def add(self, profile: str) -> None:
        """As an event in binary mode."""
        document = event_of(profile)
        data = document.pop("data")
        message = http.to_binary_event(CloudEvent({**document, "id": f"id-{profile}"}, data))
        deadline = time.monotonic() + PATIENCE
        while not self._taken(message):
            assert time.monotonic() < deadline, "never taken"
            threading.Event().wait(0.5)

    def close(self) -> None:
        """Nothing is underway."""

    abandon = close

    def _taken(self, message: Any) -> bool:
        headers = {**message.headers, "X-Api-Key": SERVER_KEY}
        try:
            answer = requests.post(f"{self._url}/v1/signals", data=message.body, headers=headers, timeout=20)
        except (requests.ConnectionError, requests.Timeout):
            return False
        assert answer.status_code in (200, 503)
        return answer.status_code == 200


def event_of(profile: str) -> dict[str, Any]:
    content = {"idType": "external", "customerId": profile, "items": [{"productId": "mug", "quantity": 1}]}
    return {"type": "signal.cart.add", "source": "/shop", "data": content}


SENDERS: dict[str, Callable[[str], Sender]] = {
    "@segment/analytics-node": lambda url: NodeSender("segment", url),
    "@rudderstack/rudder-sdk-node": lambda url: NodeSender("rudderstack", url),
    "cloudevents for Node, binary": lambda url: NodeSender("cloudevents", url, "binary"),
    "cloudevents for Node, structured": lambda url: NodeSender("cloudevents", url, "structured"),
    "segment-analytics-python": lambda url: PythonSender(segment.analytics.client, url),
    "rudder-sdk-python": lambda url: PythonSender(rudderstack.analytics.client, url),
    "cloudevents for Python": EventSender,
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Ingestion, and how its broker is taken away: while that lasts, nothing is confirmed."""

    ingestion: IngestionProgram
    without_broker: Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module", params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all tests here, on each broker."""
    require(request.config, npm.available())
    folder = tmp_path_factory.mktemp("clients")
    if request.param == "rabbitmq":
        node = request.getfixturevalue("_rabbitmq_session")
        node.ensure_running()
        url = node.url(node.fresh_vhost())

        @contextlib.contextmanager
        def without_broker() -> Iterator[None]:
            node.kill()
            yield
            node.start()
    else:
        url = f"embedded://{folder}/broker.db"

        @contextlib.contextmanager
        def without_broker() -> Iterator[None]:
            with contextlib.closing(sqlite3.connect(folder / "broker.db", isolation_level=None)) as blocker:
                blocker.execute("begin immediate")
                yield

    with running_ingestion(folder, url, configuration()) as ingestion:
        yield Stack(ingestion, without_broker)


def test_each_call_of_a_client_for_node_becomes_its_signal(stack: Stack) -> None:
    kinds = {
        "Product Viewed": "product/view",
        "Product Added": "cart/add",
        "Product Removed": "cart/remove",
        "Order Completed": "cart/purchase",
    }
    for name in ("segment", "rudderstack"):
        sender = NodeSender(name, stack.ingestion.url)
        sender.send(call="identify", userId="u-1", traits={"email": "ada@example.com"})
        for event in kinds:
            sender.send(call="track", userId="u-1", event=event, properties={**MUG, "products": [MUG]})
        sender.send(call="track", userId="u-1", event="Something Else")
        sender.send(call="page", userId="u-1", name="Home", properties={"url": "https://shop.example.com/"})
        sender.send(call="group", userId="u-1", groupId="g-1")
        sender.send(call="alias", userId="u-1", previousId="u-0")
        sender.close()

        signals = stack.ingestion.recorded(5)

        assert sorted(each.kind.name for each in signals) == sorted([*kinds.values(), "page/view"])
        assert {(each.id_type, each.profile) for each in signals} == {("external", "u-1")}
        assert len({each.id for each in signals}) == 5


def test_nothing_is_lost_or_doubled_when_the_broker_fails_and_ingestion_is_killed(stack: Stack, tmp_path: Path) -> None:
    ingestion = stack.ingestion
    with sending_to(ingestion) as sending:
        ingestion.recorded(3 * len(sending))
        with stack.without_broker():
            wait_until(lambda: probe(ingestion) in UNCONFIRMED, "ingestion to confirm nothing", 60)
            wait_for_more_calls(sending)
        wait_until(lambda: probe(ingestion) == 200, "ingestion to take signals again", 60)
        ingestion.kill()
        wait_for_more_calls(sending)
        ingestion.start()

    sent = {profile for each in sending for profile in each.profiles}
    wait_until(lambda: ingestion.take() == [] and sent <= {each.profile for each in ingestion.seen}, "all signals", 60)
    signals = [each for each in ingestion.seen if each.profile in sent]
    assert {profile: count for profile, count in ids_of(signals).items() if count != 1} == {}
    assert applied(signals, tmp_path) == len(sent)


class Sending(threading.Thread):
    """Sends a signal of a new profile now and then, until it is over."""

    def __init__(self, name: str, sender: Sender, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.profiles: list[str] = []
        self._client, self._sender, self._over = name, sender, over
        self._error: BaseException | None = None

    @property
    def sent(self) -> int:
        """How many calls were made."""
        return len(self.profiles)

    def run(self) -> None:
        """Send, and close the client."""
        try:
            while not self._over.wait(PAUSE):
                profile = f"{self._client} {self.sent}"
                self._sender.add(profile)
                self.profiles.append(profile)
            self._sender.close()
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """Wait for it; raises what went wrong."""
        self.join(PATIENCE)
        assert not self.is_alive(), f"{self._client} does not end"
        if self._error is not None:
            raise AssertionError(self._client) from self._error


@contextlib.contextmanager
def sending_to(ingestion: IngestionProgram) -> Iterator[list[Sending]]:
    """All clients, sending; at the end each has sent all that it was given."""
    over = threading.Event()
    senders = {name: make(ingestion.url) for name, make in SENDERS.items()}
    sending = [Sending(name, sender, over) for name, sender in senders.items()]
    try:
        for each in sending:
            each.start()
        yield sending
        over.set()
        for each in sending:
            each.end()
    finally:
        over.set()
        for sender in senders.values():
            sender.abandon()


def wait_for_more_calls(sending: list[Sending]) -> None:
    """Until two clients at least were given more than they had: what they hold is sent again later."""
    had = [each.sent for each in sending]
    wait_until(lambda: sum(each.sent > before for each, before in zip(sending, had, strict=True)) > 1, "more calls")


def probe(ingestion: IngestionProgram) -> int:
    """The status of a signal of no client; 0 where nothing answers in time."""
    body = {"userId": "probe", "event": "Product Added", "properties": MUG, "messageId": "probe"}
    body |= {"timestamp": "2026-11-23T10:15:30Z"}
    with contextlib.suppress(requests.RequestException):
        return requests.post(f"{ingestion.url}/v1/track", json=body, auth=(SERVER_KEY, ""), timeout=8).status_code
    return 0


def ids_of(signals: list[Signal]) -> Counter[str]:
    """Profile → how many different signals it has: source and id make one."""
    return Counter(profile for profile, _, _ in {(each.profile, each.source, each.id) for each in signals})


def applied(signals: list[Signal], folder: Path) -> int:
    """How many signals trigger finds in all these messages."""
    with contextlib.closing(Desk(f"sqlite:///{folder}/trigger.db")) as desk:
        desk.clock.set(max(each.received_at for each in signals))
        desk.apply(signals)
        ((count,),) = desk.read("SELECT SUM(count) FROM received")
        return int(count)
