"""The audit: do ledger, due index, processes, raises, outbox and roll-ups tell the same (DOMAIN §6.11)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from contracts.templates import templates
from contracts.times import MINUTE
from services.trigger.audit_rollups import rollup_differences
from services.trigger.differing import Difference
from services.trigger.engine.moment import Moment
from services.trigger.engine.waits import ready_of
from services.trigger.engine.walk import STOPPED
from services.trigger.registry import Registry
from services.trigger.store import reading
from services.trigger.store.forgetting import forgotten_counts
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.reading import ProcessRow
from services.trigger.store.records import load_moments
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

OUTBOX_KEPT = 50 * MINUTE
"""Messages are kept for an hour after they were sent; a margin is left for clock steps."""

_MOST_NAMED = 20


def check(settings: Settings, clock: Clock) -> list[Difference]:
    """Every difference in trigger's database, read as of one instant; services may run meanwhile."""
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    try:
        migrate(database, MIGRATIONS)
        with connected(database), reading.snapshot(database) as rows:
            return differences(rows, settings.expiry, clock.now())
    finally:
        close_database(database)


def differences(rows: Rows, expiry: int, now: int) -> list[Difference]:
    """Every difference that the caller's transaction sees. `expiry`: a span in µs; `now`: µs."""
    return list(_Audit(rows, expiry, now).differences())


class _Audit:
    def __init__(self, rows: Rows, expiry: int, now: int) -> None:
        self._rows = rows
        self._now = now
        registry = Registry(expiry, templates())
        for state in load_moments(rows).values():
            registry.put_moment(state)
        self._moments = registry.book.moments
        self._settled = reading.settled_everywhere(rows)

    def differences(self) -> Iterator[Difference]:
        """Rule by rule."""
        ledgers = reading.ledgers(self._rows)
        for moment, counts in sorted(ledgers.items()):
            yield from _balance(moment, counts)
        yield from self._outcomes(ledgers)
        yield from self._waits(ledgers)
        yield from self._publication()
        yield from rollup_differences(self._rows, ledgers, self._now)

    def _outcomes(self, ledgers: dict[str, dict[str, int]]) -> Iterator[Difference]:
        """Raised, suppressed, contradicted and recovered as counted = as recorded, those forgotten since too.

        What stops suppressed before they were recorded has a counter of its own.
        """
        recorded: dict[tuple[str, str], int] = Counter(forgotten_counts(self._rows))
        for (moment, raised, reason), count in reading.outcome_counts(self._rows).items():
            recorded[moment, "raised" if raised else f"suppressed:{reason}"] += count
        for moment, count in reading.contradiction_counts(self._rows).items():
            recorded[moment, "contradicted"] += count
        for moment, count in reading.recovery_counts(self._rows).items():
            recorded[moment, "recovered"] += count
        for moment, counts in ledgers.items():
            if f"unrecorded:{STOPPED}" in counts:
                recorded[moment, f"suppressed:{STOPPED}"] += counts[f"unrecorded:{STOPPED}"]
        counted = {
            (moment, counter): value
            for moment, counts in ledgers.items()
            for counter, value in counts.items()
            if counter in ("raised", "contradicted", "recovered") or counter.startswith("suppressed:")
        }
        for moment, counter in sorted(counted.keys() | recorded.keys()):
            expected, found = counted.get((moment, counter), 0), recorded.get((moment, counter), 0)
            if expected != found:
                yield Difference(moment=moment, rule=f"{counter} = rows recorded", expected=expected, found=found)

    def _waits(self, ledgers: dict[str, dict[str, int]]) -> Iterator[Difference]:
        """Rows of the due index = waits of the processes, each at its armed instant, none later than it is ready."""
        in_heads: Counter[str] = Counter()
        wrong: Counter[tuple[str, str]] = Counter()
        for row in reading.processes(self._rows):
            in_heads.update({moment: len(track.waits) for moment, track in row.process.tracks.items()})
            wrong.update(self._misplaced(row))
        for moment in sorted(in_heads.keys() | ledgers.keys()):
            expected, found = in_heads[moment], ledgers.get(moment, {}).get("pending", 0)
            if expected != found:
                yield Difference(
                    moment=moment, rule="waits of processes = rows of waits", expected=expected, found=found
                )
        for (moment, rule), count in sorted(wrong.items()):
            yield Difference(moment=moment, rule=rule, expected=0, found=count)

    def _misplaced(self, row: ProcessRow) -> Iterator[tuple[str, str]]:
        missing = dict(row.waits)
        for moment_id, track in row.process.tracks.items():
            for wait in track.waits:
                due = missing.pop((moment_id, wait.number), None)
                if due is None:
                    yield moment_id, "waits without a row"
                    continue
                if due != wait.armed:
                    yield moment_id, "rows of waits at another instant than armed"
                moment = self._judged_by(moment_id, row.partition)
                if moment is not None and (not moment.running or moment.run != track.run):
                    yield moment_id, "waits of a run that is over"
                elif moment is not None and due > ready_of(moment, wait):
                    yield moment_id, "rows of waits later than the wait is ready"
        yield from ((moment_id, "rows of waits without a wait") for moment_id, _ in missing)

    def _judged_by(self, moment_id: str, partition: int) -> Moment | None:
        """The moment, when the effects of its newest state are done in that partition."""
        return self._moments.get(moment_id) if (moment_id, partition) in self._settled else None

    def _publication(self) -> Iterator[Difference]:
        """Every raise of the last hour has its message in the outbox, sent or not."""
        missing: dict[str, list[str]] = {}
        for moment, raise_id in reading.unpublished_raises(self._rows, self._now - OUTBOX_KEPT, 1000):
            missing.setdefault(moment, []).append(raise_id)
        for moment, ids in missing.items():
            named = ", ".join(ids[:_MOST_NAMED])
            yield Difference(moment=moment, rule="raises without a message", expected=0, found=len(ids), detail=named)


def _balance(moment: str, counts: dict[str, int]) -> Iterator[Difference]:
    """opened = raised + ended + suppressed + pending."""
    closed = sum(
        value for counter, value in counts.items() if counter.partition(":")[0] in ("raised", "ended", "suppressed")
    )
    expected, found = counts.get("opened", 0), closed + counts.get("pending", 0)
    if expected != found:
        rule = "opened = raised + ended + suppressed + pending"
        yield Difference(moment=moment, rule=rule, expected=expected, found=found)
