"""A world in one thread: the real worker on a real SQLite file, a broker in memory, a clock that is moved by hand.

A seeded generator chooses the next step; every seed replays exactly. Faults: the worker is thrown away before a
commit, between commit and acknowledgement, between publishing and marking as sent; the clock steps by up to a minute.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import (
    Item,
    ProfileReference,
    Reference,
    Signal,
    SignalData,
    decode_signal,
    encode_signal,
)
from contracts.times import MINUTE, SECOND, to_datetime
from contracts.topology import (
    DEAD_LETTERS,
    JOURNEYS,
    PARTITIONS,
    Binding,
    Queue,
    Topology,
    partition_of,
    partition_queue,
)
from services.trigger import applying
from services.trigger import worker as worker_module
from services.trigger.worker import Worker
from shared.broker import Confirms, Delivery, Message
from shared.clock import ManualClock
from shared.outbox import Relay
from shared.settings import Settings

START = 1_790_000_000 * SECOND
N = 2
DURATION = 60 * SECOND


class Crash(Exception):
    """The process is gone."""


@dataclass
class MemoryBroker:
    """Queues of partitions, and what journeys received. What is not acknowledged comes again, in order."""

    queues: dict[str, list[Delivery]] = field(default_factory=dict)
    journeys: list[Message] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)
    tag: int = 0

    def put(self, queue: str, body: bytes, message_id: str) -> None:
        self.tag += 1
        delivery = Delivery(
            queue=queue,
            tag=self.tag,
            routing_key="",
            body=body,
            message_id=message_id,
            headers={},
            redelivered=False,
        )
        self.queues.setdefault(queue, []).append(delivery)

    def publish(self, message: Message) -> Future[None]:
        if message.exchange == PARTITIONS:
            self.put(partition_queue(int(message.routing_key.split(".")[1])), message.body, message.message_id)
        elif message.exchange == JOURNEYS:
            self.journeys.append(message)
        elif message.exchange == DEAD_LETTERS:
            self.dead.append(message)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def publish_all(self, messages: Sequence[Message]) -> list[Future[None]]:
        return [self.publish(message) for message in messages]

    def publish_together(self, messages: Sequence[Message]) -> Confirms:
        confirms = Confirms(len(messages))
        for place, message in enumerate(messages):
            self.publish(message)
            confirms.settle(place, None)
        return confirms

    @property
    def ready(self) -> bool:
        return True

    def fold(self) -> bool:
        """There is no file."""
        return True

    def publisher(self, topology: Topology | None = None) -> MemoryBroker:
        return self

    def declare(self, topology: Topology) -> None:
        pass

    def declare_queue(self, queue: Queue, bindings: Sequence[Binding]) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryConsumer:
    """One consumer of all partitions; a step takes from the queue that the generator names."""

    def __init__(self, broker: MemoryBroker, crash_before_ack: bool, queue: str, limit: int):
        self._broker = broker
        self._crash = crash_before_ack
        self._queue = queue
        self._limit = limit

    def receive(self, limit: int, wait: float) -> list[Delivery]:
        return self._broker.queues.get(self._queue, [])[: min(limit, self._limit)]

    def ack(self, last: Delivery) -> None:
        if self._crash:
            raise Crash
        waiting = self._broker.queues[self._queue]
        self._broker.queues[self._queue] = [delivery for delivery in waiting if delivery.tag > last.tag]

    def drop(self) -> None:
        pass


class World:
    """See the module. `profiles`: the customers' ids."""

    profiles: Sequence[str] = "abc"

    def __init__(self, folder: Path, seed: int, skews: Sequence[int] = (0, -SECOND, -MINUTE)):
        self.skews = skews
        self.skew = 0
        self.now = START
        self.random = random.Random(seed)
        self.clock = ManualClock(START)
        self.broker = MemoryBroker()
        self.settings = Settings.from_environment({"MOMENTS_DATA": str(folder), "MOMENTS_PARTITIONS": str(N)})
        self.moment = MomentState(
            id="moment",
            version=1,
            type="cart_abandon",
            name="Cart",
            configuration_id="configuration",
            status="running",
            running_since=START,
            history=(SettingsVersion(version=1, since=START, settings={"duration": "PT1M", "repeat": "on_change"}),),
        )
        self.signals: list[Signal] = []
        self.bodies: list[tuple[int, bytes, str]] = []
        self.crashes = 0
        self.worker = self._start()

    def _start(self) -> Worker:
        worker = Worker(self.settings, self.clock, self.broker)  # type: ignore[arg-type]
        worker._prepare()
        worker._database.connect(reuse_if_open=True)
        worker._states.keep(self.moment)
        return worker

    def crash(self) -> None:
        """Nothing survives but the file and the queues."""
        self.crashes += 1
        self.worker._database.close()
        self.worker = self._start()

    def step(self) -> None:
        """One thing happens."""
        choice = self.random.random()
        if choice < 0.35:
            self.send()
        elif choice < 0.5:
            self.pass_time(self.random.choice((SECOND, 10 * SECOND, 30 * SECOND, 30 * SECOND, DURATION)))
        elif choice < 0.52:
            self.skew = self.random.choice(self.skews)
            self.pass_time(0)
        elif choice < 0.55:
            self.repeat()
        elif choice < 0.75:
            self.guarded(self.consume)
        elif choice < 0.85:
            self.guarded(self.wake)
        elif choice < 0.97:
            self.guarded(self.relay)
        else:
            self.crash()

    def pass_time(self, span: int) -> None:
        """Time goes on; the worker's clock may be wrong."""
        self.now += span
        self.clock.set(self.now + self.skew)

    def guarded(self, action) -> None:  # type: ignore[no-untyped-def]
        try:
            action()
        except Crash:
            self.crash()

    def send(self) -> None:
        """A customer does something now, and the signal is acknowledged."""
        profile, cart = self.random.choice(self.profiles), self.random.choice("xy")
        kind = self.random.choice(("cart/add", "cart/add", "cart/add", "cart/remove", "cart/purchase", "cart/clear"))
        now = self.now
        data = SignalData(
            signal=kind,
            audience_configuration=Reference("configuration"),
            audience=Reference("audience"),
            profile=ProfileReference("external", profile),
            received_at=to_datetime(now),
            touchpoint="server",
            cart_id=None if kind == "cart/purchase" and self.random.random() < 0.5 else cart,
            items=(Item(product_id=self.random.choice("pq")),),
        )
        name = f"{len(self.bodies):04}"
        body = encode_signal(id=name, source="shop", time=now, data=data)
        partition = partition_of("configuration", "external", profile, N)
        self.bodies.append((partition, body, name))
        self.signals.append(decode_signal(body))
        self.broker.put(partition_queue(partition), body, name)

    def repeat(self) -> None:
        """A sender that missed the answer sends once more."""
        if self.bodies:
            partition, body, name = self.random.choice(self.bodies)
            self.broker.put(partition_queue(partition), body, name)

    def consume(self) -> None:
        """The worker takes a few messages from one partition; it may die before the commit, or before the ack."""
        fate = self.random.random()
        queue = partition_queue(self.random.randrange(N))
        consumer = MemoryConsumer(self.broker, 0.05 < fate < 0.1, queue, self.random.choice((1, 2, 5, 50)))
        if fate < 0.05:
            self._crash_in_transaction(consumer)
        else:
            self.worker._turn(consumer)  # type: ignore[arg-type]
        self.pass_time(1)  # what is sent from now on comes after what was decided

    def _crash_in_transaction(self, consumer: MemoryConsumer) -> None:
        """Everything is written, nothing is committed."""
        original = applying.apply_batch, worker_module.fire

        def dying(call):  # type: ignore[no-untyped-def]
            def run(*arguments: object) -> object:
                call(*arguments)
                raise applying.Fenced

            return run

        applying.apply_batch, worker_module.fire = dying(original[0]), dying(original[1])
        try:
            self.worker._turn(consumer)  # type: ignore[arg-type]
        except applying.Fenced:
            raise Crash from None
        finally:
            applying.apply_batch, worker_module.fire = original

    def wake(self) -> None:
        self.worker._rounds.send_markers()

    def relay(self) -> None:
        """Publish what lies in the outbox; sometimes the process dies before it is marked as sent."""
        relay = self.relay_of_all()
        if self.random.random() < 0.1:
            rows = relay._unsent(5)
            relay._publish(rows)
            raise Crash
        relay.run_once(limit=self.random.choice((1, 500)))

    def relay_of_all(self) -> Relay:
        """The worker's relay, for every partition."""
        return Relay(self.worker._database, self.broker, self.clock, on_sent=self.worker._note_sent)

    def run_out(self) -> None:
        """No more faults: everything is read, comes due and is published."""
        self.skew = 0
        self.pass_time(0)
        for _ in range(4):
            for queue in list(self.broker.queues):
                while self.broker.queues[queue] or self.worker._credits:
                    self.worker._turn(MemoryConsumer(self.broker, False, queue, 500))  # type: ignore[arg-type]
            self.pass_time(31 * SECOND + DURATION)
            self.worker._markers.renew()
            self.worker._rounds.send_markers()
        self.worker._database.close()
        self.worker._database.connect()
        self.relay_of_all().run_once()
