"""The real trigger worker as a process of its own, on a real broker and database, and what a test says to it."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.configurations import AudienceState, ConfigurationState
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
from contracts.templates import templates
from contracts.times import DAY, SECOND, from_rfc3339, to_datetime
from contracts.topology import (
    CONFIGURATION,
    DEAD_LETTERS,
    JOURNEYS,
    SIGNALS,
    STATE_CONFIGURATION,
    STATE_MOMENT,
    Binding,
    Queue,
    moments_topology,
    partition_key,
    partition_of,
    state_queue,
)
from contracts.wire import encode
from services.trigger.audit import check
from services.trigger.engine.moment import compile_moment
from services.trigger.replay import MomentBook, Outcome, Replay
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.broker import BrokerError, Delivery, Message, connect_broker
from shared.clock import SystemClock, stopwatch
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database
from tests.support import processes
from tests.support.forking import Forked, forge_of
from tests.support.publishing import ready_publisher

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
JOURNEY = "journey"
CONFIGURATION_ID = "c1"
SITE = "shop.example.com"
ITEM = Item(product_id="p1", price=2.5, currency="EUR")
STACKS = [
    "embedded",
    pytest.param("servers", marks=[pytest.mark.rabbitmq, pytest.mark.postgresql]),
]
"""The embedded broker with SQLite, and RabbitMQ with PostgreSQL."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for something observable, with a deadline."""
    processes.wait_until(condition, what, seconds)


@dataclass(frozen=True, slots=True)
class Event:
    """A moment event as a journey got it; instants in µs."""

    id: str
    routing_key: str
    data: dict[str, Any]

    @classmethod
    def of(cls, delivery: Delivery) -> Event:
        """The event of a delivery."""
        document = msgspec.json.decode(delivery.body)
        assert document["id"] == delivery.message_id
        assert document["type"] == delivery.routing_key
        return cls(document["id"], delivery.routing_key, document["data"])

    @property
    def profile(self) -> str:
        """The profile's id."""
        return str(self.data["profile"]["id"])

    @property
    def due_at(self) -> int:
        """When the wait was due."""
        return from_rfc3339(self.data["dueAt"])

    @property
    def raised_at(self) -> int:
        """When it was raised."""
        return from_rfc3339(self.data["raisedAt"])


class Rig:
    """An installation without config and ingestion: the test says what they would.

    `sent`: every signal that the broker has confirmed, in order. `events`: what the journey has got, with repeats.
    """

    def __init__(self, folder: Path, broker_url: str, database_url: str = "") -> None:
        self.folder = folder
        self.environment = {
            "MOMENTS_DATA": str(folder / "data"),
            "MOMENTS_BROKER_URL": broker_url,
            "MOMENTS_TRIGGER_DATABASE_URL": database_url,
            "MOMENTS_PARTITIONS": str(PARTITIONS),
            "MOMENTS_ADMIN_TOKEN": "a-token-for-the-tests",
        }
        self.settings = Settings.from_environment(self.environment)
        self.clock = SystemClock()
        self.topology = moments_topology(PARTITIONS)
        self.broker = connect_broker(broker_url, self.clock)
        self.broker.declare(self.topology)
        self.publisher = ready_publisher(self.broker, self.topology)
        self.database = open_database(self.settings.trigger_database_url, schema="moments_trigger")
        self.rows = Rows(self.database)
        self.sent: list[Signal] = []
        self.events: list[Event] = []
        self.states: dict[str, MomentState] = {}
        self._names = 0
        self._workers: dict[str, Forked] = {}
        self._journey = Queue(JOURNEY)
        self.broker.declare_queue(self._journey, [Binding(JOURNEYS, JOURNEY, "moment.#")])
        self.listen("trigger-1")
        migrate(self.database, MIGRATIONS)

    def close(self) -> None:
        """End the workers and give everything back."""
        for name in list(self._workers):
            self.kill(name)
        self.broker.close()
        close_database(self.database)

    # Workers.

    def listen(self, name: str) -> None:
        """Make the queue by which a worker of that name hears states, before its first start."""
        queue = state_queue(name)
        bindings = [Binding(CONFIGURATION, queue, key) for key in (STATE_MOMENT, STATE_CONFIGURATION)]
        self.broker.declare_queue(Queue(queue, dead_letter=DEAD_LETTERS), bindings)

    def start(self, name: str = "trigger-1") -> Forked:
        """Start a worker; it need not be ready when this returns."""
        environ = {**os.environ, **self.environment, "MOMENTS_TRIGGER_NAME": name}
        worker = forge_of("services.trigger.worker").start(environ, self.folder / "worker.log")
        self._workers[name] = worker
        return worker

    def started(self, name: str = "trigger-1") -> Forked:
        """Start a worker and wait until it has taken all partitions, or, where another has them, told that it lives."""
        since, before = self.clock.now(), self._epochs(name)
        worker = self.start(name)
        wait_until(
            lambda: self._epochs(name) >= before + PARTITIONS or self.seen(name) >= since,
            f"{name} to be there; see {self.folder}/worker.log",
            60,
        )
        return worker

    def _epochs(self, name: str) -> int:
        """The sum of the epochs of the partitions that a worker took last."""
        found = self.read("SELECT sum(epoch) FROM partitions WHERE owner = ?", (name,))
        return int(found[0][0] or 0)

    def seen(self, name: str) -> int:
        """When a worker was seen last; 0 for never."""
        found = self.read("SELECT seen_at FROM workers WHERE name = ?", (name,))
        return int(found[0][0]) if found else 0

    def kill(self, name: str = "trigger-1") -> None:
        """SIGKILL a worker, if it runs."""
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.kill()
            worker.wait()

    def stop(self, name: str = "trigger-1") -> int:
        """SIGTERM a worker; its exit code."""
        worker = self._workers.pop(name)
        worker.send_signal(signal.SIGTERM)
        return worker.wait(120)

    # What config would say.

    def moment(self, moment_id: str = "m1", *, since: int | None = None, **settings: Any) -> MomentState:
        """Publish a running Cart Abandon, and its configuration."""
        since = self.clock.now() if since is None else since
        values = {"duration": "PT1S", "repeat": "on_change", **settings}
        self.say(
            ConfigurationState(id=CONFIGURATION_ID, version=1, name="Shop", audience=AudienceState(id="a", name="A"))
        )
        return self.say(
            MomentState(
                id=moment_id,
                version=1,
                type="cart_abandon",
                name="Cart",
                configuration_id=CONFIGURATION_ID,
                status="running",
                running_since=since,
                history=(SettingsVersion(version=1, since=since, settings=values),),
            )
        )

    def change(self, moment_id: str = "m1", **fields: Any) -> MomentState:
        """Publish the next version of a moment."""
        state = self.states[moment_id]
        return self.say(msgspec.structs.replace(state, version=state.version + 1, **fields))

    def edit(self, moment_id: str = "m1", **settings: Any) -> MomentState:
        """Publish the next version of a moment with other settings, in force from now."""
        state = self.states[moment_id]
        history = state.history
        values = {**history[-1].settings, **settings}
        version = SettingsVersion(version=state.version + 1, since=self.clock.now(), settings=values)
        return self.change(moment_id, history=(*history, version))

    def say(self, state: Any) -> Any:
        """Publish a state to every worker that listens."""
        key = STATE_MOMENT if isinstance(state, MomentState) else STATE_CONFIGURATION
        if isinstance(state, MomentState):
            self.states[state.id] = state
        message = Message(exchange=CONFIGURATION, routing_key=key, body=encode(state), message_id=state.id)
        self.publisher.publish(message).result(60)
        return state

    def knows(self, state: MomentState) -> bool:
        """Whether a moment's state has been stored and settled in every partition that has been taken."""
        stored = self.read("SELECT version FROM moments WHERE id = ?", (state.id,))
        if not stored or stored[0][0] < state.version:
            return False
        taken = self.read("SELECT count(*) FROM partitions WHERE epoch > 0")
        sql = "SELECT count(*) FROM settled WHERE moment_id = ? AND version >= ?"
        return bool(self.read(sql, (state.id, state.version))[0][0] >= taken[0][0])

    # What ingestion would say.

    def signal(
        self, profile: str, kind: str = "cart/add", *, id: str = "", at: int | None = None, received: int | None = None,
        item: Item = ITEM,
    ) -> Signal:  # fmt: skip
        """A signal of a cart, as of now."""
        received = self.clock.now() if received is None else received
        self._names += 1
        data = SignalData(
            signal=kind,
            audience_configuration=Reference(CONFIGURATION_ID, "Shop"),
            audience=Reference("a", "A"),
            profile=ProfileReference("email", profile),
            received_at=to_datetime(received),
            touchpoint="web",
            site=SITE,
            cart_id="k",
            items=() if kind == "cart/clear" else (item,),
        )
        time = received if at is None else at
        return decode_signal(encode_signal(id=id or f"s{self._names}", source="shop", time=time, data=data))

    def send(self, *signals: Signal) -> None:
        """Publish signals and wait until the broker has confirmed them."""
        futures = self.publisher.publish_all([message_of(each) for each in signals])
        for each, future in zip(signals, futures, strict=True):
            future.result(60)
            self.sent.append(each)

    def add(self, profile: str, **given: Any) -> Signal:
        """Send a `cart/add` of now."""
        made = self.signal(profile, **given)
        self.send(made)
        return made

    def purchase(self, profile: str, **given: Any) -> Signal:
        """Send a `cart/purchase` of now."""
        made = self.signal(profile, "cart/purchase", **given)
        self.send(made)
        return made

    def applied(self, count: int | None = None) -> bool:
        """Whether the log holds that many signals; by default all that were sent, each once."""
        wanted = len({(each.profile, each.source, each.id) for each in self.sent}) if count is None else count
        return bool(self.read("SELECT count(*) FROM signals")[0][0] >= wanted)

    # What can be seen.

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of trigger's database."""
        with connected(self.database):
            return self.rows.execute(sql, parameters)

    def change_rows(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Change rows of trigger's database behind its back; how many."""
        with connected(self.database), self.database.atomic():
            return self.rows.change(sql, parameters)

    def listen_until(self, condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        """Take events from the journey until a condition holds; goes on after the loss of the broker."""
        end = stopwatch() + processes.stretched(seconds)
        while not condition():
            assert stopwatch() < end, f"waited {seconds:.0f} s in vain: {what}; {len(self.raised())} raises came"
            try:
                self._listen(condition, end)
            except BrokerError:
                threading.Event().wait(0.2)

    def _listen(self, condition: Callable[[], object], end: float) -> None:
        consumer = self.broker.consumer([JOURNEY])
        try:
            while not condition() and stopwatch() < end:
                deliveries = consumer.receive(200, 0.1)
                if deliveries:
                    self.events += map(Event.of, deliveries)
                    consumer.ack(deliveries[-1])
        finally:
            consumer.drop()

    def raised(self) -> set[str]:
        """The ids of the events that the journey has got."""
        return {event.id for event in self.events}

    def profiles(self) -> Counter[str]:
        """Profile → how many different raises the journey has got."""
        return Counter({event.id: event.profile for event in self.events}.values())

    def recorded(self) -> dict[str, tuple[bool, str]]:
        """Raise id → (raised, reason) of the table."""
        return {row[0]: (bool(row[1]), row[2]) for row in self.read("SELECT id, raised, reason FROM raises")}

    def ledger(self, moment_id: str = "m1") -> Counter[str]:
        """The counters of a moment."""
        sql = "SELECT counter, sum(value) FROM ledger WHERE moment_id = ? GROUP BY counter"
        return Counter({counter: int(value) for counter, value in self.read(sql, (moment_id,))})

    def pending(self) -> int:
        """How many waits stand in the due index."""
        return int(self.read("SELECT count(*) FROM waits")[0][0])

    def differences(self) -> list[str]:
        """What the audit finds."""
        return [str(difference) for difference in check(self.settings, self.clock)]

    def replayed(self) -> list[Outcome]:
        """What the engine decides over the signals that were sent, in virtual time, with the present moments."""
        book = MomentBook(templates(), {}, DAY)
        for state in self.states.values():
            book.put(compile_moment(state, templates()[state.type]))
        replay = Replay(book)
        outcomes: list[Outcome] = []
        for each in sorted(self.sent, key=lambda one: one.received_at):
            outcomes += replay.advance(each.received_at)
            replay.receive(each)
        return [*outcomes, *replay.run_out()]


def message_of(made: Signal) -> Message:
    """The message of a signal, as ingestion publishes it."""
    partition = partition_of(made.configuration, made.id_type, made.profile, PARTITIONS)
    return Message(
        exchange=SIGNALS,
        routing_key=made.kind.routing_key,
        body=encode_signal(id=made.id, source=made.source, time=made.time, data=made.data),
        message_id=made.id,
        hidden_copies=(partition_key(partition),),
    )


def raise_ids(outcomes: Iterable[Outcome]) -> set[str]:
    """The ids of the raised ones."""
    return {outcome.decision.raise_id for outcome in outcomes if outcome.decision.raised}


@contextmanager
def running_rig(request: pytest.FixtureRequest, folder: Path, stack: str, *, audited: bool = True) -> Iterator[Rig]:
    """A rig on a stack. At the end, when `audited` and unless the test has failed already, nothing may differ."""
    with ExitStack() as at_the_end:
        rig = rig_on(request, folder, stack, at_the_end)
        at_the_end.callback(rig.close)
        yield rig
        assert not audited or rig.differences() == []


def rig_on(request: pytest.FixtureRequest, folder: Path, stack: str, at_the_end: ExitStack) -> Rig:
    """A rig on a stack, whose vhost is given back at the end."""
    if stack == "embedded":
        return Rig(folder, f"embedded://{folder}/broker.db")
    rabbitmq, postgres = map(request.getfixturevalue, ("_rabbitmq_session", "_postgres_session"))
    rabbitmq.ensure_running()
    postgres.ensure_running()
    database = postgres.create_database(f"rig_{uuid.uuid4().hex[:12]}")
    vhost = rabbitmq.fresh_vhost()
    at_the_end.callback(rabbitmq.give_back, vhost)
    return Rig(folder, rabbitmq.url(vhost), database)


def seconds(count: float) -> int:
    """A span in µs."""
    return int(count * SECOND)
