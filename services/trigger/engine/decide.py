"""Deciding a wait that came due: raise, suppress, or wait on (DOMAIN §6.4, §6.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from contracts.processes import ContentState, empty_content
from contracts.signals import Item
from contracts.times import parse_duration
from services.trigger.engine.apply import Entry
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Decided, Process, Track, Wait
from services.trigger.engine.waits import due_of, ready_of
from services.trigger.engine.walk import STOPPED

RAISE_NAMESPACE = UUID("6f0c9d0e-9a3b-5f0e-8a51-2c7f4d1b7e42")
"""The constant namespace of raise ids (DOMAIN §6.9)."""

ENDED_BEFORE_RAISE = "ended_before_raise"
EMPTY = "empty"
TOO_FEW_VIEWS = "minimum_views"
TOO_CHEAP = "minimum_value"
OTHER_CATEGORY = "categories"
REPEATED = "repeat"
COOLING = "cool_down"


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
    """A wait's outcome: raised, or suppressed for `reason`. `due`, `opened_at`, `last_activity_at` in µs."""

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
    return str(uuid5(RAISE_NAMESPACE, json.dumps(parts, ensure_ascii=False, separators=(",", ":"))))


def stopped_id_of(raise_id: str, run: int, number: int) -> str:
    """The id of a wait that a stop suppressed. It freezes nothing: a later run may raise under the raise's own id."""
    return str(uuid5(UUID(raise_id), f"{STOPPED}:{run}:{number}"))


def decide(
    process: Process,
    identity: ProcessId,
    moment: Moment,
    wait: Wait,
    history: Sequence[Entry],
    *,
    now: int,
    last_raise_due: int | None = None,
) -> Decision | NotReady:
    """The outcome of a pending wait at `now`; the caller records it by `record`.

    `history`: the stored signals of the process in order. `last_raise_due`: the greatest due of the profile's
    raises of this moment, for the cool-down.
    """
    track = process.tracks[moment.id]
    ready = ready_of(moment, wait)
    due = due_of(moment, wait)
    if not moment.running or track.run != moment.run:
        return _decision(identity, moment, track, wait, due, STOPPED)
    if now < ready:
        return NotReady(at=ready)
    content = content_until(process, identity.kind, history, due)
    reason = _objection(moment, track, wait, content, due, last_raise_due)
    return _decision(identity, moment, track, wait, due, reason, content, history)


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
        track.frozen_until = max(track.frozen_until, decision.due)
    if decision.raised:
        track.raises += 1


def content_until(process: Process, kind: str, history: Sequence[Entry], due: int) -> ContentState:
    """The fold of the signals with time ≤ due."""
    content = process.snapshot.content if process.snapshot is not None else empty_content(kind)
    content = copy_content(content)
    for entry in history:
        if entry.signal.time > due:
            break
        content.apply(entry.signal)
    return content


def copy_content(content: ContentState) -> ContentState:
    """Contents replace their collections instead of changing them, so a shallow copy is independent."""
    return type(content)(**{name: getattr(content, name) for name in content.__struct_fields__})


def _objection(
    moment: Moment, track: Track, wait: Wait, content: ContentState, due: int, last_raise_due: int | None
) -> str:
    """Why a ready wait is not raised, or nothing."""
    settings = moment.settings
    if wait.ended_after:
        return ENDED_BEFORE_RAISE
    if content.empty:
        return EMPTY
    least = settings.get("minimumViews", 0)
    if least > 1 and _views_since_raise(content, track, due) < least:
        return TOO_FEW_VIEWS
    value = settings.get("minimumValue")
    if value is not None and _value(content.items, value["currency"]) < Decimal(repr(value["amount"])):
        return TOO_CHEAP
    categories = settings.get("categories")
    if categories and not any(item.category in categories for item in content.items):
        return OTHER_CATEGORY
    if settings.get("repeat") == "once" and track.raises:
        return REPEATED
    cool_down = settings.get("coolDown")
    if cool_down and last_raise_due is not None and due - last_raise_due < parse_duration(cool_down):
        return COOLING
    return ""


def _views_since_raise(content: ContentState, track: Track, due: int) -> int:
    since = max((decided.due for decided in track.decided if decided.raised and decided.due < due), default=-1)
    times: list[int] = getattr(content, "view_times", [])
    return sum(1 for time in times if time > since)


def _value(items: Sequence[Item], currency: str) -> Decimal:
    """Exact: 0.10 + 0.70 is worth 0.80, which binary fractions miss."""
    return sum(
        (Decimal(repr(item.price)) * item.quantity for item in items if item.price and item.currency == currency),
        Decimal(0),
    )


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
    return Decision(
        raise_id=stopped_id_of(raise_id, track.run, wait.number) if reason == STOPPED else raise_id,
        raised=not reason,
        reason=reason,
        due=due,
        opened_at=wait.opened[0],
        last_activity_at=wait.last[0],
        site=(content.site if content is not None else None) or wait.site,
        number=track.raises + (0 if reason else 1),
        content=content.describe() if content is not None else {},
        attributes=content.attributes if content is not None else {},
        signal_ids=tuple(entry.signal.id for entry in history if wait.opened <= entry.signal.key <= wait.last),
    )
