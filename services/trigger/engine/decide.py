"""Deciding a wait that came due: raise, suppress, or wait on (DOMAIN §6.4, §6.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, NamedTuple
from uuid import UUID

from contracts.ids import named_id
from contracts.processes import CartContent, ContentState
from contracts.signals import Item
from services.trigger.engine.apply import Entry
from services.trigger.engine.contents import fold
from services.trigger.engine.filters import NO_PAST, Past, objection, orders_of, reads_content, subject_of
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Decided, Process, Track, Wait
from services.trigger.engine.waits import due_of, ready_of
from services.trigger.engine.walk import STOPPED

RAISE_NAMESPACE = UUID("6f0c9d0e-9a3b-5f0e-8a51-2c7f4d1b7e42")
"""The constant namespace of raise ids (DOMAIN §6.9)."""

_SOMETHING = {"": Item(product_id="")}
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ProcessId(NamedTuple):
    """The full name of a process."""

    configuration: str
    id_type: str
    profile: str
    kind: str
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """The wait is not to be decided before `at` (µs)."""

    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A wait's outcome: raised, or suppressed for `reason`. `due`, `opened_at`, `last_activity_at` in µs.

    `orders`: those that count as raised, where raises are once for each order.
    """

    raise_id: str
    raised: bool
    reason: str
    due: int
    opened_at: int
    last_activity_at: int
    site: str | None
    number: int
    content: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    signal_ids: tuple[str, ...] = ()
    orders: frozenset[str] = frozenset()


def raise_id_of(moment: str, process: ProcessId, source: str, signal: str) -> str:
    """UUIDv5 of the namespace and the compact JSON array that names the occurrence (DOMAIN §6.9)."""
    parts = [
        moment,
        process.configuration,
        process.id_type,
        process.profile,
        process.kind,
        process.process,
        source,
        signal,
    ]
    return named_id(RAISE_NAMESPACE, _compact(parts).encode())


def stopped_id_of(raise_id: str, run: int, number: int) -> str:
    """The id of a wait that a stop suppressed. It freezes nothing: a later run may raise under the raise's own id."""
    return named_id(UUID(raise_id), f"{STOPPED}:{run}:{number}".encode())


def decide(
    process: Process,
    identity: ProcessId,
    moment: Moment,
    wait: Wait,
    history: Sequence[Entry],
    *,
    now: int,
    past: Past = NO_PAST,
    brief: bool = False,
) -> Decision | NotReady:
    """The outcome of a pending wait at `now`; the caller records it by `record`.

    `history`: the stored signals of the process in order. `past`: the profile's raises of this moment. `brief`: leave
    out what only the event tells: content, attributes and signal ids.
    """
    track = process.tracks[moment.id]
    ready = ready_of(moment, wait)
    due = due_of(moment, wait)
    if not moment.running or track.run != moment.run:
        return _decision(identity, moment, track, wait, due, STOPPED)
    if now < ready:
        return NotReady(at=ready)
    fold_until = outline_until if brief and not reads_content(moment) else content_until
    content = wait.held or fold_until(process, identity.kind, history, due)
    reason = objection(process, moment, wait, content, history, due, past)
    decision = _decision(identity, moment, track, wait, due, reason, content, history)
    return decision if brief else _with_details(decision, moment, wait, content, history)


def record(track: Track, wait: Wait, decision: Decision) -> None:
    """Freeze the occurrence (DOMAIN §6.7)."""
    track.waits = [pending for pending in track.waits if pending.number != wait.number]
    if track.current == wait.number:
        track.current = -1
    track.decided.append(
        Decided(
            number=wait.number,
            opened=wait.opened,
            last=wait.last,
            due=decision.due,
            raised=decision.raised,
            reason=decision.reason,
            raise_id=decision.raise_id,
        )
    )
    if decision.reason != STOPPED:
        track.frozen_until = max(track.frozen_until, decision.due, wait.last[0])
    if decision.raised:
        track.raises += 1


def content_until(process: Process, kind: str, history: Sequence[Entry], due: int) -> ContentState:
    """The fold of the signals with time ≤ due."""
    return fold(process, kind, (entry.signal for entry in takewhile(lambda known: known.signal.time <= due, history)))


def outline_until(process: Process, kind: str, history: Sequence[Entry], due: int) -> ContentState:
    """A content that is empty when the fold up to `due` is, and tells no more than that where it comes cheaper."""
    if kind == "cart" and history and history[-1].signal.time <= due:
        return CartContent(lines=_SOMETHING if process.quantities else {})
    return content_until(process, kind, history, due)


def _decision(
    identity: ProcessId,
    moment: Moment,
    track: Track,
    wait: Wait,
    due: int,
    reason: str,
    content: ContentState | None = None,
    history: Sequence[Entry] = (),
) -> Decision:
    raise_id = raise_id_of(moment.id, identity, wait.last[2], wait.last[3])
    raised = content if not reason else None
    return Decision(
        raise_id=stopped_id_of(raise_id, track.run, wait.number) if reason == STOPPED else raise_id,
        raised=not reason,
        reason=reason,
        due=due,
        opened_at=wait.opened[0],
        last_activity_at=wait.last[0],
        site=(content.site if content is not None else None) or wait.site,
        number=track.raises + (0 if reason else 1),
        orders=orders_of(moment, wait, raised, history) if raised is not None else frozenset(),
    )


def _with_details(
    decision: Decision, moment: Moment, wait: Wait, content: ContentState, history: Sequence[Entry]
) -> Decision:
    return replace(
        decision,
        content=subject_of(moment, content).describe(),
        attributes=content.attributes,
        signal_ids=tuple(entry.signal.id for entry in history if wait.opened <= entry.signal.key <= wait.last),
    )
