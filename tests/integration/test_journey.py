"""The example journey on real brokers: each event acted on once, whatever happens on its way."""

from __future__ import annotations

import json
import os
import queue as queues
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.description import all_messages
from contracts.journeys import dead_queue, journey_queue
from contracts.topology import JOURNEYS, UNROUTED, Binding, moments_topology
from shared.broker import Broker, BrokerError, Delivery, Message, connect_broker
from shared.clock import SystemClock
from tests.support import journey_program
from tests.support.journey_program import ROOT
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitMQNode

QUEUE = "the.journey"
KEYS = ("moment.cart_abandon", "signal.survey.start")


class Program:
    """A running journey and the lines it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._fresh: queues.SimpleQueue[str | None] = queues.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, line: str, seconds: float = 40) -> None:
        """Wait until it has printed a line."""
        while line not in self.lines:
            found = self._fresh.get(timeout=seconds)
            assert found is not None, f"it ended before {line!r}; printed: {self.lines}"
            self.lines.append(found)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, read the rest, and give the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and read the rest."""
        code = self.process.wait(120)
        while (found := self._fresh.get(timeout=10)) is not None:
            self.lines.append(found)
        return code

    def acted(self) -> list[str]:
        """The ids of the events that it acted on, in order."""
        return [line.removeprefix("acted ") for line in self.lines if line.startswith("acted ")]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._fresh.put(line.rstrip("\n"))
        self._fresh.put(None)


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    made = connect_broker(broker_url, SystemClock())
    made.declare(moments_topology(2))
    yield made
    made.close()


@pytest.fixture
def start(broker_url: str, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts journeys; those that still run at the end are killed."""
    started: list[Program] = []

    def begin(memory: bool = True, keys: tuple[str, ...] = KEYS, url: str = broker_url) -> Program:
        made = Program(journey_program.start(url, QUEUE, tmp_path / "seen" if memory else "", *keys))
        started.append(made)
        made.wait_for("started")
        return made

    yield begin
    for program in started:
        program.process.kill()
        program.process.wait()


def bound(broker: Broker, *keys: str) -> None:
    """The journey's queue as the journey makes it, so that events can wait there before it starts."""
    for each in (dead_queue(QUEUE), journey_queue(QUEUE, single=True, dead=True)):
        broker.declare_queue(each, [])
    wanted = [Binding(JOURNEYS, QUEUE, key) for key in keys or KEYS]
    broker.declare_queue(journey_queue(QUEUE, single=True, dead=True), wanted)


def publish(broker: Broker, *ids: str, key: str = "moment.cart_abandon", **data: Any) -> None:
    """Publish events as trigger does."""
    publisher = broker.publisher()
    for id_ in ids:
        event = {"specversion": "1.0", "id": id_, "source": "moments/trigger", "type": key, "data": data}
        body = json.dumps(event).encode()
        publisher.publish(Message(exchange=JOURNEYS, routing_key=key, body=body, message_id=id_)).result(60)
    publisher.close()


def emptied(broker: Broker) -> None:
    """Wait until the queue holds nothing."""
    wait_until(lambda: depth_of(broker) == 0, "the journey's queue to be empty", 30)


def drained(broker: Broker, name: str, count: int) -> list[Delivery]:
    """What lies in a queue, acknowledged."""
    consumer = broker.consumer([name])
    taken: list[Delivery] = []
    try:
        wait_until(lambda: taken.extend(consumer.receive(100, 0.5)) or len(taken) >= count, f"{count} in {name}")
        consumer.ack(taken[-1])
    finally:
        consumer.drop()
    return taken


def test_an_event_that_comes_twice_is_acted_on_once(broker: Broker, start: Callable[..., Program]) -> None:
    bound(broker)
    publish(broker, "a", "b", "a")
    program = start()

    publish(broker, "b", "c")
    program.wait_for("acted c")

    assert program.end() == 0
    assert program.acted() == ["a", "b", "c"]
    assert broker.depth(QUEUE) == 0
    assert broker.depth(dead_queue(QUEUE).name) == 0


def test_a_journey_gets_what_it_has_bound_by_type_and_nothing_else(
    broker: Broker, start: Callable[..., Program]
) -> None:
    bound(broker)
    publish(broker, "survey", key="signal.survey.start")
    publish(broker, "other", key="moment.browse_abandon")
    publish(broker, "last")

    program = start()
    program.wait_for("acted last")

    assert program.acted() == ["survey", "last"]
    assert broker.depth(UNROUTED) == 1


def test_a_journey_killed_in_its_handler_acts_again_after_its_restart(
    broker: Broker, start: Callable[..., Program], tmp_path: Path
) -> None:
    """SIGKILL while the handler runs: the delivery is not acknowledged, the broker gives it to the next process."""
    bound(broker)
    publish(broker, "before")
    publish(broker, "mortal", do="die", once=str(tmp_path / "died"))
    publish(broker, "after")
    first = start()
    assert first.wait() == -signal.SIGKILL

    second = start()
    second.wait_for("acted after")

    assert first.acted() == ["before"]
    assert second.end() == 0
    assert second.acted() == ["mortal", "after"]
    assert broker.depth(QUEUE) == 0


def test_a_journey_killed_before_it_acknowledges_does_not_act_again(
    broker: Broker, start: Callable[..., Program]
) -> None:
    """SIGKILL between the memory and basic.ack: the delivery comes again, and the file of the first run knows it."""
    bound(broker)
    publish(broker, "a", "fatal", "b")
    first = start()
    assert first.wait() == -signal.SIGKILL

    second = start()
    second.wait_for("acted b")
    emptied(broker)

    assert first.acted() == ["a", "fatal"]
    assert second.acted() == ["b"]


def test_what_a_handler_cannot_take_goes_to_dead_letters_and_holds_up_nobody(
    broker: Broker, start: Callable[..., Program]
) -> None:
    bound(broker)
    publish(broker, "poison", do="fail")
    unreadable = Message(exchange=JOURNEYS, routing_key=KEYS[0], body=b"{", message_id="odd")
    broker.publisher().publish(unreadable).result(60)
    publish(broker, "good")
    program = start()
    program.wait_for("acted good")
    emptied(broker)

    assert program.lines.count("began poison") == 2
    assert program.end() == 0
    dead = drained(broker, dead_queue(QUEUE).name, 2)
    assert [(each.message_id, each.headers["queue"]) for each in dead] == [("poison", QUEUE), ("odd", QUEUE)]
    assert dead[0].headers["reason"] == "ValueError: it never works"
    assert dead[1].headers["reason"].startswith("unreadable: ")
    assert json.loads(dead[0].body)["data"] == {"do": "fail"}


def test_a_journey_told_to_end_in_a_pause_leaves_the_event_to_the_next(
    broker: Broker, start: Callable[..., Program]
) -> None:
    bound(broker)
    publish(broker, "patient", do="later")
    program = start()
    program.wait_for("began patient")

    assert program.end() == 0

    assert program.lines[-1] == "ended"
    assert [json.loads(each.body)["id"] for each in drained(broker, QUEUE, 1)] == ["patient"]
    assert broker.depth(dead_queue(QUEUE).name) == 0


def test_a_full_queue_gives_up_its_oldest_and_refuses_no_publish(broker: Broker) -> None:
    broker.declare_queue(dead_queue(QUEUE), [])
    broker.declare_queue(journey_queue(QUEUE, most=3, dead=True), [Binding(JOURNEYS, QUEUE, "moment.*")])

    publish(broker, "a", "b", "c", "d", "e")

    assert [each.message_id for each in drained(broker, QUEUE, 3)] == ["c", "d", "e"]
    assert [each.message_id for each in drained(broker, dead_queue(QUEUE).name, 2)] == ["a", "b"]


@pytest.mark.rabbitmq
def test_a_journey_outlives_a_restart_of_the_broker(rabbitmq_node: RabbitMQNode, tmp_path: Path) -> None:
    """SIGKILL of the node under the connection: the journey connects anew, declares again, and goes on."""
    url = rabbitmq_node.url(rabbitmq_node.fresh_vhost())
    broker = connect_broker(url, SystemClock())
    broker.declare(moments_topology(2))
    bound(broker)
    program = Program(journey_program.start(url, QUEUE, tmp_path / "seen", *KEYS))
    try:
        publish(broker, "a")
        program.wait_for("acted a")

        rabbitmq_node.restart()
        publish_until_taken(broker, "b")
        program.wait_for("acted b", 60)

        assert program.end() == 0
        assert program.acted() == ["a", "b"]
    finally:
        program.process.kill()
        program.process.wait()
        broker.close()


def depth_of(broker: Broker, name: str = QUEUE) -> int | None:
    """Messages in a journey's queue, or None while it cannot be told."""
    try:
        return broker.depth(name)
    except BrokerError:
        return None


def publish_until_taken(broker: Broker, id_: str) -> None:
    """Publish once the broker takes messages again."""

    def taken() -> bool:
        try:
            publish(broker, id_)
        except (BrokerError, TimeoutError):
            return False
        return True

    wait_until(taken, "the broker to take a message", 60)


_OUTSIDER = """
import importlib.abc, runpy, sys
OURS = ("shared", "services", "tests")
ALLOWED = {"pika", "msgspec", "contracts", "examples"}

class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ImportError(f"an outsider has no {name}")
        return None

sys.meta_path.insert(0, Guard())
sys.argv = ["journey", *sys.argv[1:]]
runpy.run_module("examples.journey.journey", run_name="__main__")
"""


@pytest.mark.rabbitmq
def test_the_example_runs_for_an_outsider_with_pika_and_msgspec_alone(rabbitmq_url: str, tmp_path: Path) -> None:
    """It starts before Moments has made anything at the broker, and prints what it would do of every kind."""
    program = Program(
        subprocess.Popen(
            [sys.executable, "-c", _OUTSIDER, rabbitmq_url, "--memory", str(tmp_path / "seen")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    broker = connect_broker(rabbitmq_url, SystemClock())
    wanted = ("moment.cart_abandon", "moment.cart_abandon.recovered", "signal.survey.start", "audience.profile")
    examples = {message.name: message for message in all_messages()}
    try:
        wait_until(lambda: depth_of(broker, "example.journey") == 0, "the example to declare its queue", 40)
        broker.declare(moments_topology(2))
        publisher = broker.publisher()

        def seen_all() -> bool:
            """Publish everything once more: until it is bound nothing arrives, and what comes again is not acted on."""
            for name in wanted:
                body, id_ = examples[name].example, json.loads(examples[name].example)["id"]
                publisher.publish(Message(exchange=JOURNEYS, routing_key=name, body=body, message_id=id_)).result(60)
            return (tmp_path / "seen").read_text().count("\n") == 4

        wait_until(seen_all, "four events", 30)
        assert program.end() == 0
    finally:
        program.process.kill()
        broker.close()

    said = {line.split()[0]: line for line in program.lines}
    assert sorted(said) == ["greet", "remind", "thank", "update"]
    assert len(program.lines) == 4
    assert all("ada@example.com" in line for line in program.lines)
    assert "Blue mug" in said["remind"]
