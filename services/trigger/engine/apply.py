"""Applying a signal to a process: the newest one by one step, any other by deriving anew (DOMAIN §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contracts.processes import change_quantities
from contracts.signals import Key, Signal
from contracts.templates import Template
from services.trigger.engine.effects import Contradiction, Effects, ProcessKey
from services.trigger.engine.gate import Role, role_of
from services.trigger.engine.matching import match
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
    """

    templates: tuple[Template, ...]
    moments: dict[str, tuple[Moment, ...]]
    expiry: int


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
    for template in rules.templates:
        role, reason = role_of(template, process.gates, signal, expiry=rules.expiry, emptied=emptied, previous=previous)
        for moment in rules.moments.get(template.type, ()):
            track = _track(process, process_key, moment, effects)
            _contradict(track, moment, signal, effects)
            if role is not Role.CONTENT:
                current = next((wait for wait in track.waits if wait.number == track.current), None)
                walk = Walk(moment, track, track.waits, current, None)
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


def apply_with_history(
    process: Process,
    process_key: ProcessKey,
    new: Sequence[Entry],
    own: Sequence[bool],
    history: list[Entry],
    rules: Rules,
    effects: Effects,
) -> bool:
    """Insert signals of any time into a process and derive its undecided waits anew, once.

    `history`: the process's entries in order; the new ones are inserted. Returns whether anything was inserted:
    signals older than the snapshot are ignored and counted (DOMAIN §6.1).
    """
    inserted = False
    for entry, is_own in zip(new, own, strict=True):
        if _too_old(process, history, entry.signal.key):
            process.ignored += 1
            for moment in (moment for moments in rules.moments.values() for moment in moments):
                effects.count(moment.id, "ignored")
            continue
        _insert(history, entry)
        inserted = True
        for moments in rules.moments.values():
            for moment in moments:
                track = process.tracks.get(moment.id)
                if track is not None:
                    _contradict(track, moment, entry.signal, effects)
        _note(process, entry.signal, own=is_own)
    derive(process, process_key, history, rules, effects)
    return inserted


def derive(process: Process, process_key: ProcessKey, history: list[Entry], rules: Rules, effects: Effects) -> None:
    """Walk over all signals anew and match the occurrences with the waits there were (DOMAIN §6.11)."""
    snapshot = process.snapshot
    process.quantities = dict(snapshot.quantities) if snapshot else {}
    process.gates = dict(snapshot.gates) if snapshot else {}
    walks: dict[str, list[Walk]] = {
        template.type: [
            begin_walk(process, process_key, moment, effects) for moment in rules.moments.get(template.type, ())
        ]
        for template in rules.templates
    }
    previous = snapshot.until[0] if snapshot else None
    for entry in history:
        previous = _step_all(process, entry.signal, previous, rules, walks)
    process.entries = [(entry.signal.time, entry.sequence) for entry in history]
    process.last = history[-1].signal.key if history else (snapshot.until if snapshot else None)
    for group in walks.values():
        for walk in group:
            match(walk, process_key, effects)


def _step_all(
    process: Process, signal: Signal, previous: int | None, rules: Rules, walks: dict[str, list[Walk]]
) -> int:
    emptied = fold_quantities(process.quantities, signal)
    for template in rules.templates:
        role, reason = role_of(template, process.gates, signal, expiry=rules.expiry, emptied=emptied, previous=previous)
        for walk in walks[template.type]:
            walk.step(role, reason, signal)
    return signal.time


def begin_walk(process: Process, process_key: ProcessKey, moment: Moment, effects: Effects) -> Walk:
    """A walk that starts where the snapshot ends, without what has been decided since."""
    track = _track(process, process_key, moment, effects)
    waits: list[Wait] = []
    current: Wait | None = None
    if process.snapshot is not None and moment.id in process.snapshot.occurrences:
        run, kept, open_ended = process.snapshot.occurrences[moment.id]
        if run == moment.run:
            decided = {d.opened for d in track.decided}
            waits = [copy_wait(wait) for wait in kept if wait.opened not in decided]
            if open_ended and waits and kept[-1].opened == waits[-1].opened:
                current = waits[-1]
    return Walk(moment, track, waits, current, track.waits)


def fold_quantities(quantities: dict[str, int], signal: Signal) -> tuple[bool, bool]:
    before = not quantities
    if signal.kind.process == "cart":
        change_quantities(quantities, signal)
    return before, not quantities


def _note(process: Process, signal: Signal, *, own: bool) -> None:
    process.latest_received = max(process.latest_received, signal.received_at)
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
        stop_waits(track, process_key, moment.id, effects)
        track.run = moment.run
    return track


def _contradict(track: Track, moment: Moment, signal: Signal, effects: Effects) -> None:
    """A late signal with last activity < time ≤ due speaks against a raise (DOMAIN §6.7)."""
    if signal.time > track.frozen_until or moment.template.effect(signal.kind.name) is None:
        return
    for decided in track.decided:
        if decided.raised and decided.last[0] < signal.time <= decided.due:
            decided.contradicted += 1
            effects.count(moment.id, "contradicted")
            effects.contradictions.append(
                Contradiction(
                    moment=moment.id,
                    raise_id=decided.raise_id,
                    source=signal.source,
                    signal=signal.id,
                    time=signal.time,
                    received_at=signal.received_at,
                )
            )
            return
