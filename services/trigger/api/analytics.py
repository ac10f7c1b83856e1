"""The analytics of a moment as documents, each read as of one instant (DOMAIN §8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contracts.moments import MomentState
from contracts.templates import Template
from contracts.times import DAY, HOUR
from services.trigger.api.periods import Period, Window
from services.trigger.api.readings import UnknownMoment, outcome_document, wait_of
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.engine.waits import due_of
from services.trigger.lateness import quantile, slots_of
from services.trigger.store import figures, reading
from services.trigger.store.records import load_moments
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.store import connected

_NAMES = ("signals", "opened", "slid", "raised", "contradicted", "recovered", "ignored")
_LATEST = 10
_WAITS_AT_ONCE = 50
_WAITS_READ = 200
_MICRO = 1_000_000


class Analytics:
    """Reads for one request at a time per thread. An unknown moment raises UnknownMoment."""

    def __init__(self, rows: Rows, templates: dict[str, Template], clock: Clock, minutes_kept: int) -> None:
        self._rows = rows
        self._templates = templates
        self._clock = clock
        self._minutes_kept = minutes_kept

    def document(self, moment_id: str, period: Period) -> dict[str, Any]:
        """Everything about a period, with the latest outcomes."""
        now = self._clock.now()
        window = self.window(period, now)
        with self.snapshot() as rows:
            state = known_moment(rows, moment_id)
            document = self.figures(rows, state, window, now)
            latest = reading.outcomes_page(rows, moment_id, reading.Chosen(), None, _LATEST)
            names = reading.names_of(rows, latest)
            document["latest"] = [outcome_document(row, names.get(row.process_key)) for row in latest]
        return document

    def overview(self) -> dict[str, Any]:
        """Per moment what was raised in the latest 24 hours, the present one included, and what is pending."""
        now = self._clock.now()
        start = now - now % HOUR - DAY + HOUR
        with self.snapshot() as rows:
            raised = figures.raised_series(rows, HOUR, start)
            pending = figures.pending(rows)
            states = [state for _, state in sorted(load_moments(rows).items()) if not state.deleted]
        hours = range(start, start + DAY, HOUR)
        items = []
        for state in states:
            by_hour = [raised[state.id].get(hour, 0) for hour in hours]
            items.append({"moment_id": state.id, "pending": pending.get(state.id, 0), "raised": sum(by_hour)})
            items[-1] |= {"raised_by_hour": by_hour, "type": state.type, "status": state.status}
        return {"as_of": now, "start": start, "items": items}

    def figures(self, rows: Rows, state: MomentState, window: Window, now: int) -> dict[str, Any]:
        """The document but for the latest outcomes, in the caller's transaction."""
        series = figures.series(rows, state.id, window.span, window.start, window.end)
        totals: Counter[str] = Counter()
        for counters in series.values():
            totals.update(counters)
        return {
            "moment_id": state.id,
            "as_of": now,
            "start": window.start,
            "end": window.end,
            "granularity": window.granularity,
            "totals": counts_document(totals),
            "now": {
                "pending": figures.pending(rows, state.id).get(state.id, 0),
                "next_due_at": self._next_due(rows, state),
            },
            "funnel": _funnel(totals),
            "lateness": _lateness(totals),
            "distinct_profiles": figures.distinct_profiles(rows, state.id, window.start, window.end),
            "series": [{"at": at, **counts_document(series.get(at, {}))} for at in window.buckets],
        }

    def window(self, period: Period, now: int) -> Window:
        """The buckets of a period; raises WrongPeriod."""
        return period.window(now, self._minutes_kept)

    @contextmanager
    def snapshot(self) -> Iterator[Rows]:
        """The tables as of one instant."""
        with connected(self._rows.database), reading.snapshot(self._rows.database) as rows:
            yield rows

    def _next_due(self, rows: Rows, state: MomentState) -> int | None:
        """The earliest due of the waits that stand first in the due index.

        A wait that slid stands there before its due: it is read on until no later entry can be due earlier, or until
        200 waits were read.
        """
        moment = self._compiled(state)
        best: int | None = None
        place: tuple[int, bytes, int] | None = None
        for _ in range(_WAITS_READ // _WAITS_AT_ONCE):
            page = reading.waits_page(rows, state.id, place, _WAITS_AT_ONCE)
            for row in page:
                if best is not None and row.due_at >= best:
                    return best
                wait = wait_of(row, state.id)
                due = row.due_at if wait is None or moment is None else due_of(moment, wait)
                best = due if best is None else min(best, due)
            if len(page) < _WAITS_AT_ONCE:
                break
            place = (page[-1].due_at, page[-1].process_key, page[-1].number)
        return best

    def _compiled(self, state: MomentState) -> Moment | None:
        template = self._templates.get(state.type)
        return compile_moment(state, template) if template is not None and state.history else None


def known_moment(rows: Rows, moment_id: str) -> MomentState:
    """The newest state of a moment; raises UnknownMoment."""
    state = reading.moment_state(rows, moment_id) if "\0" not in moment_id else None
    if state is None:
        raise UnknownMoment
    return state


def counts_document(counters: dict[str, int]) -> dict[str, Any]:
    """Counters as they stand in the tables → the document, with reasons and currencies grouped."""
    document: dict[str, Any] = {name: counters.get(name, 0) for name in _NAMES}
    for group in ("ended", "suppressed"):
        document[group] = _group(counters, group)
    values = _group(counters, "recovered_value")
    document["recovered_value"] = {currency: value / _MICRO for currency, value in values.items()}
    return document


def _group(counters: dict[str, int], group: str) -> dict[str, int]:
    prefix = f"{group}:"
    return {name.removeprefix(prefix): counters[name] for name in sorted(counters) if name.startswith(prefix)}


def _funnel(totals: dict[str, int]) -> dict[str, Any]:
    opened, raised, recovered = (totals.get(name, 0) for name in ("opened", "raised", "recovered"))
    return {
        "opened": opened,
        "raised": raised,
        "recovered": recovered,
        "raised_rate": round(raised / opened, 4) if opened else None,
        "recovered_rate": round(recovered / raised, 4) if raised else None,
    }


def _lateness(totals: dict[str, int]) -> dict[str, Any]:
    slots = slots_of(totals)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {"count": sum(slots.values()), **{name: quantile(slots, share) for name, share in shares.items()}}
