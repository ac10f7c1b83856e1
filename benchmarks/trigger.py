"""Signals per second through the trigger worker: consume, decide, commit, acknowledge.

Measured: one real worker process (`services.trigger.worker`) with one running Cart Abandon drains queues that were
filled before, from the first batch that is seen committed to the last. On each broker and store; SQLite commits with
`synchronous=FULL`. Beside it: the same queues filled the same way and drained by a process that takes the same batches
and acknowledges them without a decision. `processor` is what the worker's process spends on a signal, beside what the
plain consumer spends; it changes little when other work shares the machine.

Not shown: publishing at the same time (the queue is filled before); raises (nothing comes due within the run);
a database of months (it is empty at the start); more profiles at once than the worker keeps in memory; several workers.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks.figures import Figure, processor_seconds
from benchmarks.places import BROKERS, STORES, Place, Places
from benchmarks.workload import RUNNING_SINCE, cart_signals, configuration_state, message_of, moment_state
from contracts.topology import moments_topology, partition_queue
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import make_partitions, save_configuration, save_moment, settle
from services.trigger.store.rows import Rows
from shared.broker import Message, connect_broker
from shared.clock import SystemClock, stopwatch
from shared.settings import Settings
from shared.store import connected, migrate, open_database

FLOORS = {"sqlite": 10_000.0, "postgresql": 5_000.0}
_PATIENCE = 120.0
_PUBLISHED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Drained:
    """How fast: messages per second, and processor time of the process in µs per message."""

    rate: float
    processor: float


def names(brokers: Sequence[str] = BROKERS, stores: Sequence[str] = STORES) -> list[str]:
    """The names of the figures."""
    return [f"trigger {broker} {store}" for broker in brokers for store in stores]


def measure(places: Places, count: int, wanted: Collection[str]) -> Iterator[Figure]:
    """The figures of the wanted names, with queues of `count` signals."""
    for broker in BROKERS:
        stores = [store for store in STORES if f"trigger {broker} {store}" in wanted]
        if not stores:
            continue
        with places.place(broker, "sqlite") as place:
            plain = _drain_plainly(place, count)
        for store in stores:
            with places.place(broker, store) as place:
                found = _drain_by_worker(place, count)
            name, floor = f"trigger {broker} {store}", FLOORS[store]
            yield Figure(name=name, value=found.rate, unit="signals/s", limit=plain.rate, floor=floor)
            yield Figure(name=f"{name} processor", value=found.processor, unit="us/signal", limit=plain.processor)


def _drain_plainly(place: Place, count: int) -> Drained:
    _fill(place.settings, count)
    with place.program("-m", "benchmarks.plain_consumer", str(count)) as process:
        output, _ = process.communicate(timeout=_PATIENCE)
    found = json.loads(output)
    return Drained(found["messages"] / found["seconds"], found["processor"] / found["messages"] * 1e6)


def _drain_by_worker(place: Place, count: int) -> Drained:
    settings = place.settings
    prepare_store(settings)
    _fill(settings, count)
    with place.program("-m", "services.trigger.worker") as worker, _signals_committed(settings) as committed:
        first = _await(worker, committed, 1)
        began, used = stopwatch(), processor_seconds(worker.pid)
        _await(worker, committed, count)
        seconds, processor = stopwatch() - began, processor_seconds(worker.pid) - used
    left = _depth(settings)
    if left:
        raise RuntimeError(f"{left} signals were applied and not acknowledged")
    return Drained((count - first) / seconds, processor / (count - first) * 1e6)


def prepare_store(settings: Settings, duration: str = "PT2H") -> None:
    """Make the trigger's database, with one moment that has been running for a while."""
    database = open_database(settings.trigger_database_url, schema="moments_trigger", busy=True)
    migrate(database, MIGRATIONS)
    with connected(database), database.atomic():
        rows = Rows(database)
        save_configuration(rows, configuration_state())
        moment = moment_state(duration)
        save_moment(rows, moment)
        make_partitions(rows, settings.partitions)
        settle(rows, moment.id, range(settings.partitions), moment.version, RUNNING_SINCE)


def _fill(settings: Settings, count: int) -> None:
    """Publish signals into the partitions, as ingestion does, until all are confirmed."""
    broker = connect_broker(settings.broker_url, SystemClock())
    topology = moments_topology(settings.partitions)
    broker.declare(topology)
    publisher = broker.publisher(topology)
    start = SystemClock().now() - count * 1_000
    messages = (message_of(signal, settings.partitions) for signal in cart_signals(count, start=start))
    for group in _groups(messages, _PUBLISHED_AT_ONCE):
        for future in publisher.publish_all(group):
            future.result(30)
    broker.close()


def _groups(messages: Iterator[Message], size: int) -> Iterator[list[Message]]:
    while group := list(islice(messages, size)):
        yield group


def _depth(settings: Settings) -> int:
    broker = connect_broker(settings.broker_url, SystemClock())
    return sum(broker.depth(partition_queue(n)) for n in range(settings.partitions))


def _await(worker: subprocess.Popen[bytes], committed: Callable[[], int], count: int) -> int:
    deadline = stopwatch() + _PATIENCE
    while (found := committed()) < count:
        if worker.poll() is not None or stopwatch() > deadline:
            raise RuntimeError(f"the worker stands at {found} of {count} signals")
        time.sleep(0.005)
    return found


@contextmanager
def _signals_committed(settings: Settings) -> Iterator[Callable[[], int]]:
    """A function that counts the signals which the trigger has committed; their sequence has no gaps here."""
    url = settings.trigger_database_url
    connection: Any
    if url.startswith("sqlite:"):
        connection = sqlite3.connect(settings.data / "trigger.db", timeout=15, isolation_level=None)
        sql = "SELECT max(sequence) FROM signals"
    else:
        import psycopg

        connection = psycopg.connect(url, autocommit=True)
        sql = "SELECT max(sequence) FROM moments_trigger.signals"
    with closing(connection):
        yield lambda: connection.execute(sql).fetchone()[0] or 0
