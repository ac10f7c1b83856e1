"""What the views answer: a moment's outcomes, ledger, waits and contradictions, read from the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import msgspec

from contracts.moments import MomentState, Status
from contracts.templates import Template, validate_settings
from services.trigger.api.cursors import cursor_text
from services.trigger.engine.decide import ProcessId
from services.trigger.engine.moment import Moment, compile_moment
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import due_of
from services.trigger.preview import preview
from services.trigger.store import reading
from services.trigger.store.raises import RaiseRow
from services.trigger.store.reading import ContradictionRow, PendingWait, RecoveredRow
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.http import NotFound, Unprocessable
from shared.problems import Fault
from shared.store import connected

_OUTCOMES = {"raised": True, "suppressed": False, "all": None}


class UnknownMoment(NotFound):
    """Trigger knows no moment of this id."""


class Readings:
    """Reads for one request at a time per thread. An unknown moment raises UnknownMoment."""

    def __init__(self, rows: Rows, templates: dict[str, Template], clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._templates = templates

    def events(
        self,
        moment_id: str,
        *,
        outcome: str,
        reason: str | None,
        since: int | None,
        until: int | None,
        cursor: tuple[int, str] | None,
        limit: int,
    ) -> dict[str, Any]:
        """Decided occurrences, the newest first; of the raised ones with the data of the published event."""
        chosen = reading.Chosen(_OUTCOMES[outcome], reason, since, until)
        with self._moment(moment_id) as (rows, _):
            found = reading.outcomes_page(rows, moment_id, chosen, cursor, limit + 1)
            names = reading.names_of(rows, found)
        last = [(row.decided_at, row.id) for row in found]
        return _page([outcome_document(row, names.get(row.process_key)) for row in found], last, limit)

    def ledger(self, moment_id: str) -> dict[str, Any]:
        """The counters of a moment at one instant, and whether they balance (DOMAIN §6.11)."""
        with self._moment(moment_id) as (rows, _):
            counters = reading.ledgers(rows, moment_id).get(moment_id, {})
        return ledger_document(counters)

    def waits(self, moment_id: str, cursor: tuple[int, bytes, int] | None, limit: int) -> dict[str, Any]:
        """Pending waits, in the order of the due index: about by due."""
        with self._moment(moment_id) as (rows, state):
            found = reading.waits_page(rows, moment_id, cursor, limit + 1)
        moment = self._compiled(state)
        last = [(row.due_at, row.process_key, row.number) for row in found]
        return _page([_wait(row, moment_id, moment) for row in found], last, limit)

    def contradictions(self, moment_id: str, cursor: tuple[int, bytes, str, str] | None, limit: int) -> dict[str, Any]:
        """Signals that spoke against a raise, the newest first (DOMAIN §6.7)."""
        with self._moment(moment_id) as (rows, _):
            found = reading.contradictions_page(rows, moment_id, cursor, limit + 1)
        last = [(row.received_at, row.profile_key, row.source, row.signal_id) for row in found]
        return _page([_contradiction(row) for row in found], last, limit)

    def recoveries(
        self,
        moment_id: str,
        *,
        since: int | None,
        until: int | None,
        cursor: tuple[int, str] | None,
        limit: int,
    ) -> dict[str, Any]:
        """Raises after which the process was completed, the newest recovery first (DOMAIN §6.10)."""
        with self._moment(moment_id) as (rows, _):
            found = reading.recoveries_page(rows, moment_id, since, until, cursor, limit + 1)
        last = [(row.recorded_at, row.raise_id) for row in found]
        return _page([_recovery(row) for row in found], last, limit)

    def preview(
        self, moment_id: str, settings: dict[str, Any] | None = None, status: Status | None = None
    ) -> dict[str, Any]:
        """What a change of settings (merged one by one) or status would do to the pending waits."""
        self._check_known(moment_id)
        with connected(self._rows.database), reading.snapshot(self._rows.database) as rows:
            state = reading.moment_state(rows, moment_id)
            template = self._templates.get(state.type) if state is not None else None
            if state is None or template is None:
                raise UnknownMoment
            merged = _merged(template, state.settings, settings) if settings else None
            found = preview(rows, state, template, self._clock.now(), settings=merged, status=status)
        expected = {"before": found.raises_before, "after": found.raises_after}
        return {**asdict(found), "raises_in_next_hour": expected}

    @staticmethod
    def _check_known(moment_id: str) -> None:
        if "\0" in moment_id:  # PostgreSQL does not take it
            raise UnknownMoment

    @contextmanager
    def _moment(self, moment_id: str) -> Iterator[tuple[Rows, MomentState]]:
        self._check_known(moment_id)
        with connected(self._rows.database):
            state = reading.moment_state(self._rows, moment_id)
            if state is None:
                raise UnknownMoment
            yield self._rows, state

    def _compiled(self, state: MomentState) -> Moment | None:
        template = self._templates.get(state.type)
        return compile_moment(state, template) if template is not None and state.history else None


def _merged(template: Template, former: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings with a change merged in, in normal form; raises Unprocessable."""
    normal, faults = validate_settings(template, {**former, **given})
    if faults:
        found = [Fault(f"/settings{fault.pointer}", fault.reason) for fault in faults]
        raise Unprocessable("The settings are not right.", faults=found)
    return normal


def ledger_document(counters: dict[str, int]) -> dict[str, Any]:
    """Counters as they stand in the database → the document, with reasons grouped."""
    document: dict[str, Any] = {
        name: counters.get(name, 0) for name in ("opened", "slid", "raised", "pending", "contradicted", "ignored")
    }
    for group in ("ended", "suppressed"):
        document[group] = {
            name.partition(":")[2]: value for name, value in sorted(counters.items()) if name.startswith(f"{group}:")
        }
    closed = document["raised"] + sum(document["ended"].values()) + sum(document["suppressed"].values())
    document["balanced"] = document["opened"] == closed + document["pending"]
    return document


def _page(items: list[dict[str, Any]], places: Sequence[tuple[Any, ...]], limit: int) -> dict[str, Any]:
    """Cut a list that was read one item longer than asked for."""
    more = len(items) > limit
    return {"items": items[:limit], "next": cursor_text(places[limit - 1]) if more else None}


def outcome_document(row: RaiseRow, name: ProcessId | None) -> dict[str, Any]:
    """A decided occurrence. `name`: of its process, when that is kept."""
    data = msgspec.json.decode(row.event)["data"] if row.event else None
    named = data or (None if name is None else _named(name)) or {"profile": None, "process": None}
    return {
        "id": row.id,
        "outcome": "raised" if row.raised else "suppressed",
        "reason": row.reason or None,
        "due_at": row.due_at,
        "decided_at": row.decided_at,
        "profile": named["profile"],
        "process": named["process"],
        "data": data,
    }


def _named(name: ProcessId) -> dict[str, Any]:
    return {
        "profile": {"idType": name.id_type, "id": name.profile},
        "process": {"kind": name.kind, "id": name.process},
    }


def _wait(row: PendingWait, moment_id: str, moment: Moment | None) -> dict[str, Any]:
    wait = wait_of(row, moment_id)
    due = row.due_at if wait is None or moment is None else due_of(moment, wait)
    return {
        **_named(row.identity),
        "opened_at": None if wait is None else wait.opened[0],
        "last_activity_at": None if wait is None else wait.last[0],
        "due_at": due,
    }


def wait_of(row: PendingWait, moment_id: str) -> Wait | None:
    """The wait of an index row; None for one that is about to be taken out of the index."""
    return row.process.wait(moment_id, row.number)


def _recovery(row: RecoveredRow) -> dict[str, Any]:
    data = msgspec.json.decode(row.event)["data"] if row.event else {}
    return {
        "raise_id": row.raise_id,
        "signal": {"source": row.source, "id": row.signal_id},
        "time": row.time,
        "received_at": row.received_at,
        "recorded_at": row.recorded_at,
        "value": msgspec.json.decode(row.value),
        "profile": data.get("profile"),
        "process": data.get("process"),
    }


def _contradiction(row: ContradictionRow) -> dict[str, Any]:
    data = msgspec.json.decode(row.event)["data"] if row.event else {}
    return {
        "raise_id": row.raise_id,
        "signal": {"source": row.source, "id": row.signal_id},
        "time": row.time,
        "received_at": row.received_at,
        "profile": data.get("profile"),
        "process": data.get("process"),
    }
