"""Fire lag: from the instant at which a wait is due until the broker has confirmed its event.

Measured: the real trigger worker with many pending waits (due in 1 h) and a schedule of 500 waits a second that
come due one by one; per event the time at which the outbox marked it as confirmed, less its `dueAt`. The waits are
made by the trigger's own intake before the worker starts. One journey queue is bound. Beside it: a process that at the
same instants publishes the same number of messages of the same size and takes the time of each confirm.

Not shown: signals arriving at the same time; a journey that consumes; the first second after the start.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks.figures import Figure, percentile
from benchmarks.places import Place, Places
from benchmarks.trigger import prepare_store
from benchmarks.workload import MOMENT, TYPE, CartSignal, body_of, configuration_state, moment_state
from contracts.events import moment_routing_key
from contracts.signals import decode_signal
from contracts.times import HOUR, SECOND, from_datetime
from contracts.topology import JOURNEYS, Binding, Queue, moments_topology
from services.trigger.engine.application import profile_of
from services.trigger.engine.membership import membership_of
from services.trigger.intake import apply_batch
from services.trigger.registry import Registry
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from shared.broker import Broker, Message, connect_broker
from shared.clock import Clock, SystemClock
from shared.outbox import Outbox
from shared.settings import Settings
from shared.store import connected, open_database

PER_SECOND = 500
FLOOR = 1.0
PAIRS = (("embedded", "sqlite"), ("rabbitmq", "postgresql"))
_LEAD = 3 * SECOND
_PREPARED_PER_SECOND = 2_500
_WARM_UP = SECOND
_AT_ONCE = 2_000
_PATIENCE = 120 * SECOND
_SENT = "FROM outbox WHERE sent_at IS NOT NULL AND routing_key LIKE 'moment.%'"
_QUEUE = "benchmark.journey"
_EVENT_SIZE = 1_500


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds, of every event."""

    values: list[float]

    def at(self, share: float) -> float:
        """The percentile."""
        return percentile(self.values, share)


def names(brokers: Sequence[str], stores: Sequence[str]) -> list[str]:
    """The names of the figures."""
    return [f"fire lag {broker} {store}" for broker, store in PAIRS if broker in brokers and store in stores]


def measure(places: Places, pending: int, seconds: float, wanted: Collection[str]) -> Iterator[Figure]:
    """The figures of the wanted names, with so many pending waits and due ones for so long."""
    for broker, store in PAIRS:
        name = f"fire lag {broker} {store}"
        if name not in wanted:
            continue
        with places.place(broker, store) as place:
            bare = _bare_lags(place.settings, min(seconds / 2, 5.0))
        with places.place(broker, store) as place:
            found = _fire_lags(place, pending, seconds)
        for text, share in (("p50", 0.5), ("p99", 0.99)):
            floor = FLOOR if text == "p99" else None
            yield Figure(
                name=f"{name} {text}", value=found.at(share), unit="s", limit=bare.at(share), floor=floor, at_most=True
            )


def _fire_lags(place: Place, pending: int, seconds: float) -> Lags:
    settings, clock = place.settings, SystemClock()
    prepare_store(settings, "PT1H")
    _bind_journey(settings, clock)
    far = clock.now()
    _apply(settings, [_left_cart("far", n, far) for n in range(pending)])
    count = round(seconds * PER_SECOND)
    first = clock.now() + _LEAD + count * SECOND // _PREPARED_PER_SECOND
    step = SECOND // PER_SECOND
    _apply(settings, [_left_cart("due", n, first + n * step - HOUR) for n in range(count)])
    if clock.now() > first - _LEAD // 2:
        raise RuntimeError("preparing took too long; the waits came due before the worker started")
    with place.program("-m", "services.trigger.worker"):
        confirmed = _await_confirmed(settings, count, clock, first + count * step + _PATIENCE)
    return Lags([lag for due, lag in confirmed if due >= first + _WARM_UP])


def _left_cart(name: str, number: int, at: int) -> CartSignal:
    """The only signal of a cart of its own."""
    customer = f"{name}-{number}"
    return CartSignal(
        f"signal-{customer}", customer, f"cart-{customer}", at, tuple(range(number % 100, number % 100 + 5))
    )


def _apply(settings: Settings, signals: Sequence[CartSignal]) -> None:
    """Have the trigger's intake apply signals, as if they had come in time."""
    database = open_database(settings.trigger_database_url, schema="moments_trigger", busy=True)
    registry, clock = Registry(settings.expiry), SystemClock()
    registry.put_configuration(configuration_state())
    registry.put_moment(moment_state("PT1H"))
    with connected(database):
        for start in range(0, len(signals), _AT_ONCE):
            arrivals = [_arrival(signal, settings.partitions) for signal in signals[start : start + _AT_ONCE]]
            with database.atomic():
                apply_batch(Rows(database), Outbox(database, clock), arrivals, registry, clock.now())


def _arrival(cart: CartSignal, partitions: int) -> Arrival:
    body = body_of(cart)
    signal = decode_signal(body)
    return Arrival(cart.partition(partitions), signal, body, profile_of(signal), membership_of(signal))


def _bind_journey(settings: Settings, clock: Clock) -> Broker:
    broker = connect_broker(settings.broker_url, clock)
    broker.declare(moments_topology(settings.partitions))
    broker.declare_queue(Queue(_QUEUE), [Binding(JOURNEYS, _QUEUE, "moment.#")])
    return broker


def _await_confirmed(settings: Settings, count: int, clock: Clock, deadline: int) -> list[tuple[int, float]]:
    """Due (µs) and lag (seconds) of every event, once all are confirmed."""
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    with connected(database):
        while (done := _count_sent(Rows(database))) < count:
            if clock.now() > deadline:
                raise RuntimeError(f"{done} of {count} events are confirmed")
            time.sleep(0.25)
        rows = Rows(database).execute(f"SELECT body, sent_at {_SENT}")
    dues = [(_instant(bytes(body)), int(sent)) for body, sent in rows]
    return [(due, (sent - due) / SECOND) for due, sent in dues]


def _count_sent(rows: Rows) -> int:
    return int(rows.execute(f"SELECT count(*) {_SENT}")[0][0])


def _instant(event: bytes) -> int:
    return from_datetime(datetime.fromisoformat(json.loads(event)["data"]["dueAt"]))


def _bare_lags(settings: Settings, seconds: float) -> Lags:
    """Publish at every instant of the schedule; how long after it the confirm came."""
    clock = SystemClock()
    publisher = _bind_journey(settings, clock).publisher(moments_topology(settings.partitions))
    publisher.publish(_event("warm-up")).result(30)
    lags: list[float] = []
    count, first = round(seconds * PER_SECOND), clock.now() + SECOND // 10
    ended = threading.Semaphore(0)
    for number in range(count):
        due = first + number * SECOND // PER_SECOND
        time.sleep(max(0.0, (due - clock.now()) / SECOND))
        future = publisher.publish(_event(str(number)))

        def note(_: object, due: int = due) -> None:
            lags.append((clock.now() - due) / SECOND)
            ended.release()

        future.add_done_callback(note)
    for _ in range(count):
        ended.acquire(timeout=30)
    publisher.close()
    return Lags(lags)


def _event(identity: str) -> Message:
    return Message(
        exchange=JOURNEYS,
        routing_key=moment_routing_key(TYPE),
        body=b"x" * _EVENT_SIZE,
        message_id=f"{MOMENT}-{identity}",
    )
