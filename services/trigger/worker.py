"""The trigger worker: one process that consumes partitions, keeps timers and publishes moments."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from contracts.templates import use_templates
from contracts.times import SECOND
from contracts.topology import moments_topology, partition_queue
from contracts.wire import Marker, SpoolWord
from services.trigger.alarm import Alarm
from services.trigger.answers import answer_reader
from services.trigger.applying import AWAY, FAULTS, Applier
from services.trigger.changes import Changes
from services.trigger.erasing import Eraser
from services.trigger.firing import CHUNK, fire, put_off_first
from services.trigger.following import Follower
from services.trigger.housekeeping import DUTIES, House, Keeper
from services.trigger.intake import Told, sort_deliveries
from services.trigger.joining import Joins, resolve_old_links
from services.trigger.lateness import note_sent
from services.trigger.markers import Markers
from services.trigger.refusal_replays import Refusals
from services.trigger.registry import Registry
from services.trigger.rounds import Rounds
from services.trigger.spools import Spools
from services.trigger.states import States
from services.trigger.stitching import Stitcher
from services.trigger.store import records, waits
from services.trigger.store.cache import Cache
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.suppressed import Suppressed
from services.trigger.sweeping import SWEEPS, Sweeps
from services.trigger.webhooks.running import Webhooks
from shared.broker import Broker, Consumer, Delivery, connect_broker
from shared.clock import Clock, SystemClock
from shared.ending import end_each
from shared.logs import set_up_logs
from shared.outbox import Outbox, Relay, RelayThread, Sent
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

_log = structlog.get_logger("trigger.worker")

BATCH = 2000
IDLE_WAIT = 0.2
_CATCH_UP = 3.0
_LONGEST_PAUSE = 5.0


class Worker:
    """One session after the other: take partitions, apply, fire, until a fault or the end.

    All writes to processes and waits are made by the thread that calls `run`.
    """

    def __init__(self, settings: Settings, clock: Clock, broker: Broker):
        self._settings = settings
        self._clock = clock
        self._broker = broker
        self._ended = threading.Event()
        self._database = open_database(
            settings.trigger_database_url, schema="moments_trigger", synchronous="FULL", busy=True
        )
        self._rows = Rows(self._database)
        self._registry = Registry(settings.expiry, attribution=settings.attribution)
        self._cache = Cache()
        self._partitions = range(settings.partitions)
        self._topology = moments_topology(settings.partitions)
        self._publisher = broker.publisher(self._topology)
        self._markers = Markers(self._publisher, clock)
        self._spools = Spools(self._transaction, clock, settings.spool_patience)
        self._epochs: dict[int, int] = {}
        self._credits: dict[int, int] = {}
        self._limit: int | None = None
        self._relay = RelayThread(self._make_relay())
        self._outbox = Outbox(self._database, clock, self._relay.nudge)
        self._eraser = Eraser(settings.secret_pepper, self._outbox)
        self._joins = Joins(
            *(self._rows, self._transaction, self._publisher, clock),
            *(self._spools, self._epochs, self._eraser.has_erased),
        )
        suppressed = Suppressed(settings.secret_pepper)
        stitcher = Stitcher(
            *(self._outbox, settings.partitions, self._eraser.has_erased, suppressed.has),
            self._eraser.admit_visitors,
        )
        self._applier = Applier(
            *(self._transaction, self._outbox, self._registry, self._cache, self._eraser, stitcher),
            *(self._publisher, clock),
        )
        self._follower = Follower(broker, self._publisher, settings.trigger_name)
        self._refusals = Refusals(settings, Rows(self._database), broker, self._publisher, clock)
        self._keeper = Keeper(DUTIES, self._transaction, self._house)
        self._sweeper = Keeper(SWEEPS, self._transaction, self._house)
        self._rounds = Rounds(
            *(settings, self._rows, clock, self._markers, self._is_held),
            *(Sweeps(self._rows, broker, self._publisher, self._sweeper.call), self._epochs, self._ring),
        )
        self._alarm = Alarm(
            *(clock, self._rounds.wake, self._rounds.sweep, self._keeper.call),
            keep_every=settings.housekeeping / SECOND,
        )
        changes = Changes(self._transaction, self._registry, self._cache)
        self._states = States(
            *(self._rows, self._registry, changes, suppressed, clock, self._epochs),
            settled=lambda: self._alarm.at(clock.now()),
            # In a partition that is quiet, an edit would else not be heeded before the due that stood before it.
            told=lambda: self._rounds.ask_for(self._partitions),
        )
        self._answers = answer_reader(broker, Rows(self._database))
        self._webhooks = Webhooks(settings, clock, broker, self._publisher)

    def _make_relay(self) -> Relay:
        return Relay(self._database, self._publisher, self._clock, lambda: list(self._epochs), self._note_sent)

    def _ring(self, instant: int | None) -> None:
        self._alarm.at(instant)

    def _is_held(self) -> bool:
        return bool(self._spools.held or self._joins.held)

    def _note_sent(self, sent: Sequence[Sent], now: int) -> None:
        note_sent(self._rows, sent, now)

    def run(self) -> None:
        """Work until `stop`."""
        self._prepare()
        self._follower.start()
        self._refusals.start()
        self._answers.start()
        self._relay.start()
        self._webhooks.start()
        self._alarm.start()
        pause = 0.1
        while not self._ended.is_set():
            try:
                with connected(self._database):
                    self._session()
                pause = 0.1
            except FAULTS as error:
                _log.warning("worker.session_lost", error=type(error).__name__, detail=str(error)[:200])
                self._ended.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        end_each(
            *(self._alarm.stop, self._webhooks.stop, self._follower.stop, self._refusals.stop, self._answers.stop),
            *(self._relay.stop, self._broker.close, lambda: close_database(self._database)),
        )

    def stop(self) -> None:
        """End after the batch in hand."""
        self._ended.set()

    def _prepare(self) -> None:
        while not self._ended.is_set():
            try:
                migrate(self._database, MIGRATIONS)
                with connected(self._database):
                    self._load()
                self._broker.declare(self._topology)
                return
            except AWAY as error:
                _log.warning("worker.waiting", error=type(error).__name__, detail=str(error)[:200])
                self._ended.wait(1.0)

    def _load(self) -> None:
        with self._database.atomic():
            records.make_partitions(self._rows, self._settings.partitions)
            self._states.load()
        resolve_old_links(self._rows, self._database.atomic, self._settings.partitions)

    def _session(self) -> None:
        self._epochs.clear()
        self._credits.clear()
        self._cache.clear()
        self._keeper.abandon()
        self._sweeper.abandon()
        self._markers.renew()
        self._spools.begin()
        self._joins.begin()
        self._learn_states()
        consumer = self._broker.consumer([partition_queue(n) for n in self._partitions], prefetch=4 * BATCH)
        try:
            self._alarm.at(self._clock.now())
            self._rounds.ask_for(self._partitions)
            while not self._ended.is_set():
                self._turn(consumer)
        finally:
            consumer.drop()

    def _learn_states(self) -> None:
        """Take what config has told since before anything is decided; go on alone when nothing comes."""
        waited = 0.0
        while waited < _CATCH_UP and not self._follower.caught_up.is_set() and not self._ended.is_set():
            self._states.take(self._follower)
            self._follower.caught_up.wait(0.05)
            waited += 0.05
        self._states.take(self._follower)

    def _turn(self, consumer: Consumer) -> None:
        self._states.take(self._follower)
        rest = self._joins.rest(self._sweeper.rest(self._keeper.rest(IDLE_WAIT)))
        deliveries = consumer.receive(BATCH, 0.0 if self._credits else rest)
        if deliveries:
            self._take(consumer, deliveries)
        if self._credits:
            self._fire()
        self._joins.step()
        self._spools.note()
        self._keeper.step()
        self._sweeper.step()

    def _take(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        found = sort_deliveries(deliveries, self._settings.partitions)
        self._own(found.partitions)
        applied = self._applier.apply(found)
        for delivery, reason in found.unreadable:
            self._applier.bury(delivery, reason)
        for tombstone in found.tombstones:
            self._arm(self._applier.erase(tombstone).earliest_due)
            self._sweeper.call()
        self._spools.meet(found.words)
        self._joins.keep(found.joinings)
        consumer.ack(deliveries[-1])
        self._arm(applied.earliest_due)
        for each in found.told:
            self._hear(each)

    def _arm(self, due: int | None) -> None:
        """New waits are due from then on."""
        self._alarm.at(due)
        self._joins.armed(due)

    def _own(self, partitions: set[int]) -> None:
        """Take the partitions of which this session gets its first delivery."""
        new = sorted(partitions - self._epochs.keys())
        if not new:
            return
        with self._database.atomic():
            taken = {n: records.take_partition(self._rows, n, self._settings.trigger_name) for n in new}
            settled = records.settled_versions(self._rows, new)
            self._eraser.load(self._rows)
            waited_for = self._spools.own(self._rows, new)
        self._cache.clear()  # what was read of these partitions before may be another's past
        self._epochs.update(taken)
        self._markers.forget(new, void=waited_for)
        self._alarm.at(self._clock.now())
        self._states.settle(new, settled)

    def _hear(self, told: Told) -> None:
        """A marker of one's own lets waits be raised; a word of a machine with a spool says up to when.

        So does a reply from where signals join profiles, to waits that a marker let be raised before.
        """
        if isinstance(told, SpoolWord):
            if self._spools.hear(told):
                self._alarm.at(self._clock.now())
        elif not isinstance(told, Marker):
            for partition, until in self._joins.hear(told).items():
                self._credits[partition] = max(until, self._credits.get(partition, 0))
        elif self._markers.take(told) and told.partition in self._epochs:
            self._credits[told.partition] = self._spools.until(told.partition, told.at)

    def _fire(self) -> None:
        now = self._clock.now()
        try:
            with self._transaction() as rows:
                fired = fire(
                    rows, self._outbox, self._registry, self._credits, now, self._cache, self._joins, self._limit
                )
        except FAULTS:
            raise
        except Exception as error:
            self._falter(error, now)
            return
        if fired.raised or fired.suppressed:
            _log.debug("worker.fired", raised=fired.raised, suppressed=fired.suppressed)
        if not fired.more:
            partitions = list(self._credits)
            self._limit = None
            self._joins.end_pass(self._credits, now)
            self._credits.clear()
            due = waits.next_due(self._rows, partitions, self._joins.held)
            # What is held back goes on with a machine's next word, else with the sweeper.
            held = {n for n in self._spools.held if due.get(n, now) <= now}
            self._alarm.at(min((instant for n, instant in due.items() if n not in held), default=None))

    def _falter(self, error: Exception, now: int) -> None:
        """A wait that cannot be decided holds up no other: it is found by taking ever fewer, and put off."""
        if self._limit != 1:
            self._limit = max(1, (self._limit or CHUNK) // 2)
            self._joins.abandon_pass(self._credits)
            return
        with self._transaction() as rows:
            wait = put_off_first(rows, self._credits, now, self._joins)
        if wait is None:
            raise error
        _log.error("worker.wait_put_off", moment=wait.key[1], due=wait.due_at, exc_info=error)
        self._limit = None

    @contextmanager
    def _transaction(self) -> Iterator[Rows]:
        """A transaction that holds only while every owned partition is still owned."""
        try:
            with self._database.atomic():
                if self._epochs:
                    records.check_epochs(self._rows, self._epochs)
                yield self._rows
        except BaseException:
            self._cache.clear()
            raise

    def _house(self) -> House:
        return House(self._rows, self._epochs, self._cache, self._registry, self._settings, self._clock.now())


def main() -> None:
    """Run the worker of this environment until SIGTERM or SIGINT."""
    gc.set_threshold(100_000, 50, 50)
    settings = Settings.from_environment(os.environ)
    set_up_logs("trigger-worker", settings.log_level)
    use_templates(settings.templates)
    clock = SystemClock()
    worker = Worker(settings, clock, connect_broker(settings.broker_url, clock))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
