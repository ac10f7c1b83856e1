"""Metrics of the trigger, read from its database when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from contracts.times import SECOND
from services.trigger.store import reading
from services.trigger.store.anonymous import anonymous_counts
from services.trigger.store.erasures import ERASED, ERASING, REQUESTED, erasures_underway
from services.trigger.store.forgetting import DutyRecord, duty_records
from services.trigger.store.records import newest_worker
from services.trigger.store.rows import Rows
from services.trigger.store.spools import SpoolRow, spool_rows
from services.trigger.store.waits import next_due
from shared.clock import Clock
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.gauges")


class TriggerGauges(Collector):
    """Collected at each scrape; while the database is away there is only `moments_trigger_database_up 0`."""

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this instant."""
        try:
            with connected(self._rows.database):
                found = list(self._read(self._rows))
        except STORE_FAULTS as error:
            _log.warning("gauges.unreadable", error=type(error).__name__)
            found = []
        yield _gauge("moments_trigger_database_up", "Whether the database answers.", float(bool(found)))
        yield from found

    def _read(self, rows: Rows) -> Iterator[Metric]:
        now = self._clock.now()
        yield from _ledger(reading.ledgers(rows))
        overdue = now - min(next_due(rows, reading.partition_numbers(rows)).values(), default=now)
        yield _gauge(
            "moments_oldest_overdue_wait_seconds",
            "How long the earliest entry of the due index is past; 0 when none is.",
            max(0, overdue) / SECOND,
        )
        yield _gauge(
            "moments_trigger_outbox_waiting",
            "Messages that the broker has not confirmed.",
            reading.unsent_messages(rows),
        )
        yield from _spools(spool_rows(rows), now)
        yield from _erasures(erasures_underway(rows))
        yield from _anonymous(anonymous_counts(rows))
        yield from _housekeeping(duty_records(rows))
        seen = newest_worker(rows)
        if seen is not None:
            yield _gauge("moments_trigger_worker_seen_seconds", "Time since a worker was seen.", (now - seen) / SECOND)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _spools(machines: list[SpoolRow], now: int) -> Iterator[Metric]:
    """Of the machines that raises wait for: how far they hold raises back, and how many signals they keep."""
    behind = GaugeMetricFamily("moments_spool_behind_seconds", "How far raises are held back.", labels=("machine",))
    waiting = GaugeMetricFamily("moments_spool_waiting", "Signals that a machine keeps back.", labels=("machine",))
    states = GaugeMetricFamily("moments_spools", "Machines that can keep signals back.", labels=("state",))
    for machine in machines:
        if machine.state == "here":
            behind.add_metric((machine.machine,), max(0, now - machine.at) / SECOND)
            waiting.add_metric((machine.machine,), machine.waiting)
    for state in ("here", "left", "passed"):
        states.add_metric((state,), sum(machine.state == state for machine in machines))
    yield from (behind, waiting, states)


def _erasures(found: dict[str, tuple[int, int]]) -> Iterator[Metric]:
    """How many erasures are so far and no further, and of how many the last attempt failed."""
    underway = GaugeMetricFamily("moments_erasures_underway", "Erasures that are not done.", labels=("state",))
    failing = GaugeMetricFamily("moments_erasures_failing", "Of these, what failed when last tried.", labels=("state",))
    for state in (REQUESTED, ERASING, ERASED):
        count, failed = found.get(state, (0, 0))
        underway.add_metric((state,), count)
        failing.add_metric((state,), failed)
    yield from (underway, failing)


def _anonymous(counts: dict[str, int]) -> Iterator[Metric]:
    """What became of the signals of anonymous customers, and how many are held now."""
    outcomes = CounterMetricFamily(
        "moments_anonymous_signals", "Signals of anonymous customers by what became of them.", labels=("outcome",)
    )
    for outcome in ("held", "stitched", "forwarded", "dropped", "expired"):
        outcomes.add_metric((outcome,), counts.get(outcome, 0))
    yield outcomes
    gone = sum(counts.get(outcome, 0) for outcome in ("stitched", "dropped", "expired", "erased"))
    yield _gauge("moments_anonymous_signals_waiting", "Of these held now.", max(0, counts.get("held", 0) - gone))


def _housekeeping(records: list[DutyRecord]) -> Iterator[Metric]:
    """Of every duty of housekeeping: what it forgot, its failures, when it came to its end, its longest transaction."""
    forgotten = CounterMetricFamily("moments_forgotten", "Rows that housekeeping forgot.", labels=("duty",))
    failures = CounterMetricFamily("moments_housekeeping_failures", "Rounds that a duty failed.", labels=("duty",))
    done = GaugeMetricFamily("moments_housekeeping_done_timestamp_seconds", "The last round of it.", labels=("duty",))
    longest = GaugeMetricFamily(
        "moments_housekeeping_longest_seconds", "The longest transaction of the last round.", labels=("duty",)
    )
    for record in records:
        forgotten.add_metric((record.duty,), record.forgotten)
        failures.add_metric((record.duty,), record.failures)
        done.add_metric((record.duty,), record.done_at / SECOND)
        longest.add_metric((record.duty,), record.longest / SECOND)
    yield from (forgotten, failures, done, longest)


def _ledger(ledgers: dict[str, dict[str, int]]) -> Iterator[Metric]:
    """`moments_waits_pending{moment}` and `moments_ledger_total{moment,counter,reason}`."""
    pending = GaugeMetricFamily("moments_waits_pending", "Waits that are not decided.", labels=("moment",))
    counters = CounterMetricFamily(
        "moments_ledger", "What became of waits, by counter and reason.", labels=("moment", "counter", "reason")
    )
    for moment, counts in sorted(ledgers.items()):
        for name, value in sorted(counts.items()):
            if name != "pending":
                counter, _, reason = name.partition(":")
                counters.add_metric((moment, counter, reason), value)
        pending.add_metric((moment,), counts.get("pending", 0))
    yield pending
    yield counters
