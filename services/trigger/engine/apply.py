"""Applying a signal to a process: the newest one by one step, any other by deriving anew (DOMAIN §6)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.processes import change_quantities
from contracts.signals import Key, Signal
from contracts.templates import Template
from contracts.times import DAY
from services.trigger.engine.aftermath import judge_decided
from services.trigger.engine.effects import Effects, ProcessKey
from services.trigger.engine.gate import Role, role_of
from services.trigger.engine.matching import Matching
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Process, Track, Wait
from services.trigger.engine.waits import copy_wait, end_wait, open_wait, rearm, stop_waits
from services.trigger.engine.walk import Walk

LATEST = 256
"""Signals of a process within which the order of arrival does not matter (DOMAIN §6.1)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the engine holds signals of one kind of process against.

    `templates`: those of the kind, whether or not a moment of theirs runs. `moments`: the running ones by template.
    `completing`: by moment, running or not, the signals that complete its processes. `attribution`: µs after a due
    within which that is a recovery.
    """

    templates: tuple[Template, ...]
    moments: dict[str, tuple[Moment, ...]]
    expiry: int
    completing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attribution: int = 7 * DAY


Step = tuple[Role, str, Signal]
"""A signal with its role and, of an end, the reason."""


class Entry(NamedTuple):
    """A signal with its place in the signal log."""

    sequence: int
    signal: Signal


def needs_history(process: Process, key: Key, rules: Rules) -> bool:
    """Whether a signal can only be applied with the process's stored signals at hand."""
    if process.last is None:
        return False
    if key <= process.last:
        return True
    for moments in rules.moments.values():
        for moment in moments:
            track = process.tracks.get(moment.id)
            if (track is None or track.run != moment.run) and process.latest_received >= moment.run:
                return True
    return False


def apply_newest(
    process: Process, process_key: ProcessKey, entry: Entry, rules: Rules, effects: Effects, *, own: bool = True
) -> None:
    """Apply a signal that needs no history. `own`: it names this process; else it belongs to every one of its site."""
    signal = entry.signal
    key = signal.key
    previous = process.last[0] if process.last is not None else None
    emptied = fold_quantities(process.quantities, signal)
    judge_decided(process, process_key, signal, rules.completing, rules.attribution, effects)
    for template in rules.templates:
        role, reason = role_of(template, process.gates, signal, expiry=rules.expiry, emptied=emptied, previous=previous)
        for moment in rules.moments.get(template.type, ()):
            track = _track(process, process_key, moment, effects)
            if role is not Role.CONTENT:
                walk = Walk(moment, track, track.waits, track.wait(track.current), None)
                walk.step(role, reason, signal)
                _settle_walk(walk, process_key, effects)
    process.entries.append((key[0], entry.sequence))
    process.last = key
    _note(process, signal, own=own)


def _settle_walk(walk: Walk, process_key: ProcessKey, effects: Effects) -> None:
    """Number what one step opened, write what it ended."""
    track, moment = walk.track, walk.moment
    for wait in walk.opened:
        open_wait(track, process_key, moment, wait, effects)
    if walk.slid:
        effects.count(moment.id, "slid", len(walk.slid))
        for wait in walk.slid:
            rearm(process_key, moment, wait, effects)
    for wait, reason in walk.ended:
        end_wait(track, process_key, moment, wait, reason, effects)
    track.current = -1 if walk.current is None else walk.current.number
    effects.walked(walk)


def apply_with_history(
    process: Process,
    process_key: ProcessKey,
    entry: Entry,
    history: list[Entry],
    rules: Rules,
    effects: Effects,
    *,
    own: bool = True,
) -> None:
    """Insert a signal of any time into a process and derive its undecided waits anew.

    `history`: the process's entries in order; the new one is inserted, unless it is older than the snapshot: then it
    is ignored and counted (DOMAIN §6.1).
    """
    if _too_old(process, history, entry.signal.key):
        process.ignored += 1
        for moments in rules.moments.values():
            for moment in moments:
                effects.count(moment.id, "ignored")
        return
    _insert(history, entry)
    judge_decided(process, process_key, entry.signal, rules.completing, rules.attribution, effects)
    _note(process, entry.signal, own=own)
    derive(process, process_key, history, rules, effects)


def derive(process: Process, process_key: ProcessKey, history: list[Entry], rules: Rules, effects: Effects) -> None:
    """Walk over all signals anew and match the occurrences with the waits there were (DOMAIN §6.11)."""
    snapshot = process.snapshot
    process.quantities = dict(snapshot.quantities) if snapshot else {}
    process.gates = dict(snapshot.gates) if snapshot else {}
    steps = read_roles(process.quantities, process.gates, history, rules, snapshot.until[0] if snapshot else None)
    process.entries = [(entry.signal.time, entry.sequence) for entry in history]
    process.last = history[-1].signal.key if history else (snapshot.until if snapshot else None)
    for template in rules.templates:
        for moment in rules.moments.get(template.type, ()):
            _derive_moment(process, process_key, moment, steps[template.type], effects)


def _derive_moment(
    process: Process, process_key: ProcessKey, moment: Moment, steps: list[Step], effects: Effects
) -> None:
    """Walk until nothing that may not open has opened: mostly once."""
    track = _track(process, process_key, moment, effects)
    barred: set[Key] = set()
    while True:
        walk = begin_walk(process, track, moment, barred)
        for step in steps:
            walk.step(*step)
        matching = Matching(walk)
        refused = matching.refused()
        if not refused:
            matching.settle(process_key, effects)
            effects.walked(walk)
            return
        barred |= refused


def read_roles(
    quantities: dict[str, int], gates: dict[str, bool], history: list[Entry], rules: Rules, previous: int | None
) -> dict[str, list[Step]]:
    """Per template the role of every signal, in order; moves quantities and gates to the end."""
    steps: dict[str, list[Step]] = {template.type: [] for template in rules.templates}
    for entry in history:
        signal = entry.signal
        emptied = fold_quantities(quantities, signal)
        for template in rules.templates:
            role, reason = role_of(template, gates, signal, expiry=rules.expiry, emptied=emptied, previous=previous)
            steps[template.type].append((role, reason, signal))
        previous = signal.time
    return steps


def begin_walk(process: Process, track: Track, moment: Moment, barred: Set[Key] = frozenset()) -> Walk:
    """A walk that starts where the snapshot ends, without what has been decided since or must not open."""
    waits: list[Wait] = []
    current: Wait | None = None
    if process.snapshot is not None and moment.id in process.snapshot.occurrences:
        run, kept, open_ended = process.snapshot.occurrences[moment.id]
        if run == moment.run:
            gone = {decided.opened for decided in track.decided} | barred
            waits = [copy_wait(wait) for wait in kept if wait.opened not in gone]
            if open_ended and waits and kept[-1].opened == waits[-1].opened:
                current = waits[-1]
    return Walk(moment, track, waits, current, track.waits, barred)


def fold_quantities(quantities: dict[str, int], signal: Signal) -> tuple[bool, bool]:
    before = not quantities
    if signal.kind.process == "cart":
        change_quantities(quantities, signal)
    return before, not quantities


def _note(process: Process, signal: Signal, *, own: bool) -> None:
    process.latest_received = max(process.latest_received, signal.joined_at)
    if own:
        site = signal.site or ""
        known = process.sites.get(site)
        if known is None or signal.key < known:
            process.sites[site] = signal.key


def _too_old(process: Process, history: list[Entry], key: Key) -> bool:
    if process.snapshot is not None and key < process.snapshot.until:
        return True
    return len(history) > LATEST and key < history[-LATEST - 1].signal.key


def _insert(history: list[Entry], entry: Entry) -> None:
    key = entry.signal.key
    index = len(history)
    while index > 0 and history[index - 1].signal.key > key:
        index -= 1
    history.insert(index, entry)


def _track(process: Process, process_key: ProcessKey, moment: Moment, effects: Effects) -> Track:
    """The moment's track in its present run; waits of an earlier run are suppressed (DOMAIN §5)."""
    track = process.tracks.get(moment.id)
    if track is None:
        track = process.tracks[moment.id] = Track(run=moment.run)
    elif track.run != moment.run:
        stop_waits(track, process_key, moment, effects)
        track.run = moment.run
    return track
