"""The trigger worker: one process that consumes partitions, keeps timers and publishes moments."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from contracts.configurations import ConfigurationState
from contracts.erasures import Tombstone
from contracts.moments import MomentState
from contracts.suppressions import SuppressionState
from contracts.templates import use_templates
from contracts.times import SECOND
from contracts.tokens import TokenState
from contracts.topology import moments_topology, partition_queue
from contracts.wire import Marker, SpoolWord
from services.trigger.alarm import Alarm
from services.trigger.answers import answer_reader
from services.trigger.changes import Changes
from services.trigger.dead_letters import dead_letter
from services.trigger.erasing import Eraser, resend_tombstones
from services.trigger.faltering import put_off
from services.trigger.firing import fire
from services.trigger.following import Follower
from services.trigger.housekeeping import DUTIES, House, Keeper
from services.trigger.intake import Applied, Sorted, Told, apply_batch, sort_deliveries
from services.trigger.joining import Joins, resolve_old_links
from services.trigger.lateness import note_sent
from services.trigger.markers import Markers
from services.trigger.refusal_replays import Refusals
from services.trigger.registry import Registry
from services.trigger.spools import Spools
from services.trigger.stitching import Anonymous, Stitcher, in_parts
from services.trigger.store import records, waits
from services.trigger.store.cache import Cache
from services.trigger.store.erasures import find_erasure
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import Fenced
from services.trigger.store.rows import Rows
from services.trigger.store.shelf import Arrival
from services.trigger.store.tokens import save_token
from services.trigger.suppressed import Suppressed
from services.trigger.sweeping import SWEEPS, Sweeps, erasures_to_go_on_with
from services.trigger.webhooks.running import Webhooks
from shared.broker import Broker, BrokerError, Consumer, Delivery, connect_broker
from shared.clock import Clock, SystemClock
from shared.ending import end_each
from shared.logs import set_up_logs
from shared.outbox import Outbox, Relay, RelayThread, Sent
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, migrate, open_database

_log = structlog.get_logger("trigger.worker")

BATCH = 2000
IDLE_WAIT = 0.2
_CATCH_UP = 3.0
_CONFIRM = 10.0
_LONGEST_PAUSE = 5.0
_AWAY: tuple[type[Exception], ...] = (*STORE_FAULTS, BrokerError)
_FAULTS: tuple[type[Exception], ...] = (*_AWAY, Fenced)


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
        self._changes = Changes(self._transaction, self._registry, self._cache)
        self._topology = moments_topology(settings.partitions)
        self._publisher = broker.publisher(self._topology)
        self._markers = Markers(self._publisher, clock)
        self._spools = Spools(self._transaction, clock, settings.spool_patience)
        self._epochs: dict[int, int] = {}
        self._credits: dict[int, int] = {}
        self._relay = RelayThread(self._make_relay())
        self._outbox = Outbox(self._database, clock, self._relay.nudge)
        self._eraser = Eraser(settings.secret_pepper, self._outbox)
        self._joins = Joins(
            *(self._rows, self._transaction, self._publisher, clock),
            *(self._spools, self._epochs, self._eraser.has_erased),
        )
        self._suppressed = Suppressed(settings.secret_pepper)
        self._stitcher = Stitcher(
            *(self._outbox, settings.partitions, self._eraser.has_erased, self._suppressed.has),
            self._eraser.admit_visitors,
        )
        self._follower = Follower(broker, self._publisher, settings.trigger_name)
        self._refusals = Refusals(settings, Rows(self._database), broker, self._publisher, clock)
        self._keeper = Keeper(DUTIES, self._transaction, self._house)
        self._alarm = Alarm(
            clock, self._wake, self._sweep, self._keeper.call, keep_every=settings.housekeeping / SECOND
        )
        self._sweeper = Keeper(SWEEPS, self._transaction, self._house)
        self._sweeps = Sweeps(Rows(self._database), broker, self._sweeper.call)
        self._answers = answer_reader(broker, Rows(self._database))
        self._webhooks = Webhooks(settings, clock, broker, self._publisher)

    def _make_relay(self) -> Relay:
        return Relay(self._database, self._publisher, self._clock, lambda: list(self._epochs), self._note_sent)

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
            except _FAULTS as error:
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
            except _AWAY as error:
                _log.warning("worker.waiting", error=type(error).__name__, detail=str(error)[:200])
                self._ended.wait(1.0)

    def _load(self) -> None:
        with self._database.atomic():
            records.make_partitions(self._rows, self._settings.partitions)
            self._suppressed.load(self._rows)
            for configuration in records.load_configurations(self._rows).values():
                self._registry.put_configuration(configuration)
            for moment in records.load_moments(self._rows).values():
                self._registry.put_moment(moment)
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
        consumer = self._broker.consumer(
            [partition_queue(n) for n in range(self._settings.partitions)], prefetch=4 * BATCH
        )
        try:
            self._alarm.at(self._clock.now())
            self._ask_for_partitions()
            while not self._ended.is_set():
                self._turn(consumer)
        finally:
            consumer.drop()

    def _learn_states(self) -> None:
        """Take what config has told since before anything is decided; go on alone when nothing comes."""
        waited = 0.0
        while waited < _CATCH_UP and not self._follower.caught_up.is_set() and not self._ended.is_set():
            self._take_states()
            self._follower.caught_up.wait(0.05)
            waited += 0.05
        self._take_states()

    def _turn(self, consumer: Consumer) -> None:
        self._take_states()
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
        applied = self._apply(found)
        for delivery, reason in found.unreadable:
            self._dead_letter(delivery, reason)
        for tombstone in found.tombstones:
            self._erase(tombstone)
        self._spools.meet(found.words)
        self._joins.keep(found.joinings)
        consumer.ack(deliveries[-1])
        self._alarm.at(applied.earliest_due)
        for each in found.told:
            self._hear(each)

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
        for state in list(self._registry.states.values()):
            moment = self._registry.moment(state.id)
            behind = [n for n in new if settled.get((state.id, n), (0, 0))[0] < state.version]
            if moment is not None and behind:
                started = any(settled.get((state.id, n), (0, 0))[1] != moment.run for n in behind)
                self._changes.settle(moment, state.version, behind, self._clock.now(), new_run=started)

    def _apply(self, found: Sorted) -> Applied:
        try:
            *before, last = in_parts(found.anonymous)
            for part in before:
                with self._transaction() as rows:
                    self._stitcher.take(rows, part, self._clock.now())
            with self._transaction() as rows:
                self._stitcher.take(rows, last, self._clock.now())
                return self._apply_in(rows, found.arrivals)
        except _FAULTS:
            raise
        except Exception:
            _log.exception("worker.batch_failed", signals=len(found.arrivals) + len(found.anonymous))
            self._stitch_singly(found.anonymous)
            return self._apply_singly(found.arrivals)

    def _apply_in(self, rows: Rows, arrivals: Sequence[Arrival]) -> Applied:
        admitted = self._eraser.admit(rows, arrivals)
        return apply_batch(rows, self._outbox, admitted, self._registry, self._clock.now(), self._cache)

    def _erase(self, tombstone: Tombstone) -> None:
        """A tombstone that cannot be taken must not hold the partition up; it is sent again, later each time."""
        try:
            self._erase_in(tombstone)
        except _FAULTS:
            raise
        except Exception as error:
            _log.exception("worker.not_erased", erasure=tombstone.erasure)
            with self._transaction() as rows:
                erasure = find_erasure(rows, tombstone.erasure)
                if erasure is not None:
                    put_off(rows, erasure, error, self._clock.now())

    def _erase_in(self, tombstone: Tombstone) -> None:
        """What came since the request stands in the log already, perhaps: it is applied anew, and counted once."""
        now = self._clock.now()
        with self._transaction() as rows:
            since = self._eraser.erase(rows, self._cache, tombstone.erasure, now)
            applied = apply_batch(rows, self._outbox, since, self._registry, now, self._cache, counted=True)
        self._alarm.at(applied.earliest_due)
        self._sweeper.call()

    def _apply_singly(self, arrivals: Sequence[Arrival]) -> Applied:
        """One signal to a transaction: what the engine cannot take goes to the dead letters, the rest goes on."""
        new = repeated = 0
        earliest: int | None = None
        for arrival in arrivals:
            try:
                with self._transaction() as rows:
                    applied = self._apply_in(rows, [arrival])
            except _FAULTS:
                raise
            except Exception as error:
                _log.exception("worker.signal_failed")
                self._publish_dead(arrival.body, arrival.partition, f"not applied: {type(error).__name__}")
                continue
            new, repeated = new + applied.new, repeated + applied.repeated
            if applied.earliest_due is not None:
                earliest = min(earliest or applied.earliest_due, applied.earliest_due)
        return Applied(new, repeated, earliest)

    def _stitch_singly(self, arrivals: Sequence[Anonymous]) -> None:
        """The same of anonymous customers."""
        for arrival in arrivals:
            try:
                with self._transaction() as rows:
                    self._stitcher.take(rows, [arrival], self._clock.now())
            except _FAULTS:
                raise
            except Exception as error:
                _log.exception("worker.stitching_failed")
                self._publish_dead(arrival.body, arrival.partition, f"not applied: {type(error).__name__}")

    def _dead_letter(self, delivery: Delivery, reason: str) -> None:
        _log.error("worker.unreadable", queue=delivery.queue, reason=reason[:200])
        self._publish_dead(delivery.body, int(delivery.queue.rpartition(".")[2]), reason)

    def _publish_dead(self, body: bytes, partition: int, reason: str) -> None:
        self._publisher.publish(dead_letter(body, partition_queue(partition), reason)).result(_CONFIRM)

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
        with self._transaction() as rows:
            fired = fire(rows, self._outbox, self._registry, self._credits, now, self._cache, self._joins)
        if fired.raised or fired.suppressed:
            _log.debug("worker.fired", raised=fired.raised, suppressed=fired.suppressed)
        if not fired.more:
            partitions = list(self._credits)
            self._joins.end_pass(self._credits, now)
            self._credits.clear()
            due = waits.next_due(self._rows, partitions, self._joins.held)
            # What is held back goes on with a machine's next word, else with the sweeper.
            held = {n for n in self._spools.held if due.get(n, now) <= now}
            self._alarm.at(min((instant for n, instant in due.items() if n not in held), default=None))

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

    def _take_states(self) -> None:
        while not self._follower.news.empty():
            news = self._follower.news.get()
            try:
                self._suppressed.keep(self._rows, (each for each in news.states if isinstance(each, SuppressionState)))
                for state in news.states:
                    if not isinstance(state, SuppressionState):
                        self._keep_state(state)
            except _FAULTS:
                self._follower.news.put(news)
                raise
            news.kept.set()

    def _keep_state(self, state: MomentState | ConfigurationState | TokenState) -> None:
        """Store first: a state whose effects were cut off is settled when its partitions are taken again."""
        if isinstance(state, ConfigurationState):
            with self._database.atomic():
                records.save_configuration(self._rows, state)
            self._registry.put_configuration(state)
            return
        if isinstance(state, TokenState):
            with self._database.atomic():
                save_token(self._rows, state)
            return
        with self._database.atomic():
            records.save_moment(self._rows, state)
        before = self._registry.moment(state.id)
        moment = self._registry.put_moment(state)
        if moment is not None and self._epochs:
            new_run = before is None or not before.running or before.run != moment.run
            new_timing = before is None or before.timing != moment.timing
            owned, now = sorted(self._epochs), self._clock.now()
            self._changes.settle(moment, state.version, owned, now, new_run=new_run, new_timing=new_timing)
            self._alarm.at(self._clock.now())
        if moment is not None:
            self._ask_for_partitions()

    def _ask_for_partitions(self) -> None:
        """A moment's state is settled where a partition is owned, and it is taken at its first delivery: send one.

        In a partition that is quiet, an edit would else not be heeded before the due that stood before it.
        """
        partitions = range(self._settings.partitions)
        self._markers.send([n for n in partitions if n not in self._epochs], ())

    def _wake(self) -> None:
        """In the scheduler's thread: send markers into the partitions with due waits, set the next alarm."""
        with self._guarded("wake"), connected(self._database):
            self._send_markers()

    def _sweep(self) -> None:
        with self._guarded("sweep"), connected(self._database):
            caught = self._send_markers()
            if caught and not self._spools.held and not self._joins.held:
                _log.info("worker.sweeper_caught", partitions=caught)
            self._ask_for_orphans()
            resend_tombstones(Rows(self._database), self._publisher, self._clock.now())
            self._sweeps.look(self._clock.now())
            with self._database.atomic():
                name, now = self._settings.trigger_name, self._clock.now()
                records.note_worker(Rows(self._database), name, now, list(self._epochs))

    def _send_markers(self) -> int:
        now = self._clock.now()
        due = waits.next_due(Rows(self._database), range(self._settings.partitions))
        self._alarm.at(min((instant for instant in due.values() if instant > now), default=None))
        return self._markers.send((partition for partition, instant in due.items() if instant <= now), self._epochs)

    def _ask_for_orphans(self) -> None:
        """Only an owner publishes or looks through the stores. A partition is taken at its first delivery: give it one.

        A process that died between a raise and its publishing, or an erasure and its end, may have left them in a
        partition that is quiet.
        """
        rows = Rows(self._database)
        erasures = erasures_to_go_on_with(rows, self._clock.now())
        left = records.unsent_partitions(rows) | {each.partition for each in erasures}
        self._markers.send(left - self._epochs.keys(), ())

    def _house(self) -> House:
        return House(self._rows, self._epochs, self._cache, self._registry, self._settings, self._clock.now())

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """A job that meets a fault leaves a line and lets the next run try."""
        try:
            yield
        except _AWAY as error:
            _log.warning(f"worker.{what}_failed", error=type(error).__name__)


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
