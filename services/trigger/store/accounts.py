"""What is stored of a moment and a profile, as an explanation needs it (DOMAIN §6.12)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from contracts.moments import MomentState
from contracts.signals import decode_signal
from contracts.templates import Template
from contracts.topology import partition_of
from services.trigger.engine.application import ProfileId, profile_of
from services.trigger.engine.apply import Entry
from services.trigger.engine.explanation import Known
from services.trigger.engine.membership import membership_of
from services.trigger.engine.retelling import Case
from services.trigger.engine.state import Process, decode_process
from services.trigger.engine.turns import InForce, Recorded
from services.trigger.registry import Registry
from services.trigger.store.course import Settlement, settlements
from services.trigger.store.keys import process_key, profile_key
from services.trigger.store.reading import partition_numbers
from services.trigger.store.refused import refusals_of
from services.trigger.store.rows import Rows

MOST_SIGNALS = 1_000
"""Signals of a profile that an explanation goes through: the latest."""
MOST_DECISIONS = 1_000
MOST_REFUSALS = 200
MOST_PROCESSES = 1_000

_BEFORE_ALL = -1
_CUT = f"Only the latest {MOST_SIGNALS} signals of the profile are gone through."
_FORGOTTEN = "Earlier signals are no longer kept."
_LAST_KEY = b"\xff" * 13


@dataclass(frozen=True, slots=True)
class Terms:
    """By which an installation judges: its templates, and spans in µs."""

    templates: dict[str, Template]
    expiry: int
    attribution: int


def read_case(rows: Rows, state: MomentState, profile: ProfileId, terms: Terms) -> tuple[Case, Known]:
    """Everything that is kept, read as of the caller's transaction. The moment's template must be known."""
    template, owner = terms.templates[state.type], profile_key(profile)
    entries, cut = _entries(rows, owner, profile)
    present = _processes(rows, owner, template.process)
    forgotten = _is_forgotten(entries, present)
    effective = _effective(rows, state, profile)
    names = _names(owner, template.process, entries, present)
    turns: list[InForce | Recorded] = [
        *_states(rows, state, effective, owner, names, terms),
        *_decisions(rows, state.id, owner, names, entries),
    ]
    refused = refusals_of(rows, profile, MOST_REFUSALS)
    case = Case(
        profile=profile,
        template=template,
        entries=entries,
        turns=turns,
        complete=not cut and not forgotten,
        expiry=terms.expiry,
        attribution=terms.attribution,
    )
    known = Known(
        state=state,
        runs=_runs([*(settled.state for settled in effective), state]),
        present=present,
        refusals=refused.refusals,
        missing=_CUT if cut else _FORGOTTEN if forgotten else None,
    )
    return case, known


def _entries(rows: Rows, owner: bytes, profile: ProfileId) -> tuple[list[Entry], bool]:
    """The latest signals of the profile in the order of their application; whether there are more."""
    places = rows.execute(
        "SELECT sequence FROM signals WHERE key >= ? AND key < ? ORDER BY sequence DESC LIMIT ?",
        (owner[:8], owner[:8] + _LAST_KEY, MOST_SIGNALS + 1),
    )
    wanted = [sequence for (sequence,) in places[:MOST_SIGNALS]]
    found = [
        Entry(sequence, decode_signal(bytes(body)))
        for sequence, body in rows.select_in(
            "SELECT sequence, body FROM signals WHERE sequence IN {values}", wanted, "int8"
        )
    ]
    mine = (entry for entry in found if profile_of(entry.signal) == profile)
    return sorted(mine, key=lambda entry: entry.sequence), len(places) > MOST_SIGNALS


def _processes(rows: Rows, owner: bytes, kind: str) -> dict[str, Process]:
    found = rows.execute(
        "SELECT process_id, head FROM processes WHERE profile_key = ? AND kind = ? ORDER BY last_at DESC LIMIT ?",
        (owner, kind, MOST_PROCESSES),
    )
    return {process_id: decode_process(bytes(head)) for process_id, head in found}


def _is_forgotten(entries: Sequence[Entry], present: Mapping[str, Process]) -> bool:
    """Whether a process began with a signal that is no longer kept."""
    keys = {entry.signal.key for entry in entries}
    return any(first not in keys for process in present.values() for first in process.sites.values())


def _names(owner: bytes, kind: str, entries: Sequence[Entry], present: Mapping[str, Process]) -> dict[bytes, str]:
    """Key of a process → its id, of all that are known by name."""
    named = {name for entry in entries for known, name in membership_of(entry.signal).own if known == kind}
    return {process_key(owner, kind, name): name for name in named | present.keys()}


def _effective(rows: Rows, state: MomentState, profile: ProfileId) -> list[Settlement]:
    """The states that took effect in the profile's partition, in order."""
    partitions = len(partition_numbers(rows))
    partition = partition_of(*profile, partitions) if partitions else 0
    return [settled for settled in settlements(rows, state.id) if partition in settled.partitions]


def _states(
    rows: Rows,
    state: MomentState,
    effective: Sequence[Settlement],
    owner: bytes,
    names: Mapping[bytes, str],
    terms: Terms,
) -> list[InForce]:
    given: dict[int, dict[tuple[str, int], int]] = defaultdict(dict)
    for version, key, number, due in rows.execute(
        "SELECT version, process_key, number, due_at FROM retimed WHERE moment_id = ? AND profile_key = ?",
        (state.id, owner),
    ):
        given[version][names.get(bytes(key), ""), number] = due
    registry = Registry(terms.expiry, terms.templates)
    found: list[InForce] = []
    for settled in effective:
        moment = registry.put_moment(settled.state)
        if moment is not None:
            dues = given.get(settled.state.version, {})
            found.append(
                InForce(
                    after=settled.after, at=settled.settled_at, moment=moment, version=settled.state.version, given=dues
                )
            )
    if not found and state.running_since is not None:
        moment = registry.put_moment(state)
        if moment is not None:
            found.append(InForce(after=_BEFORE_ALL, at=state.running_since, moment=moment))
    return found


def _decisions(
    rows: Rows, moment_id: str, owner: bytes, names: Mapping[bytes, str], entries: Sequence[Entry]
) -> list[Recorded]:
    # "+": else SQLite takes the index of the moment for the order, and reads every raise that it ever made.
    found = rows.execute(
        "SELECT process_key, id, raised, reason, due_at, number, opened_at, last_at, version, after, decided_at, event"
        " FROM raises WHERE profile_key = ? AND moment_id = ? ORDER BY +decided_at DESC, id LIMIT ?",
        (owner, moment_id, MOST_DECISIONS),
    )
    return [
        Recorded(
            after=after if after is not None else _place_by_time(entries, decided_at),
            at=decided_at,
            process=names.get(bytes(key)) or _named_by(bytes(event)),
            raise_id=raise_id,
            raised=bool(raised),
            reason=reason,
            due=due,
            number=number,
            opened=opened,
            last=last,
            version=version,
        )
        for key, raise_id, raised, reason, due, number, opened, last, version, after, decided_at, event in found
    ]


def _place_by_time(entries: Sequence[Entry], decided_at: int) -> int:
    """About where a decision was made that was recorded before places were kept."""
    before = (entry.sequence for entry in entries if entry.signal.joined_at <= decided_at)
    return max(before, default=_BEFORE_ALL)


def _named_by(event: bytes) -> str:
    """The process of an event that was published; empty where nothing tells it any more."""
    return str(msgspec.json.decode(event)["data"]["process"]["id"]) if event else ""


def _runs(states: Sequence[MomentState]) -> list[tuple[int, int | None]]:
    """Every run that is known of: its start and, as far as it is known, its end."""
    runs: dict[int, int | None] = {}
    for state in states:
        if state.running_since is None:
            continue
        ended = state.status != "running" or state.deleted
        runs[state.running_since] = state.stopped_at if ended else runs.get(state.running_since)
    return sorted(runs.items())
