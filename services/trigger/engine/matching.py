"""Matching the occurrences of a new walk with the waits there were: joined, void, split, revived (DOMAIN §6.11)."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.signals import Key
from services.trigger.engine.effects import Effects, ProcessKey
from services.trigger.engine.state import Ended, Wait
from services.trigger.engine.waits import end_wait, open_wait, rearm
from services.trigger.engine.walk import Walk

MERGED = "merged"
VOID = "void"


@dataclass(slots=True, eq=False)
class _Occurrence:
    wait: Wait
    ended: str | None
    owner: Wait | None = None
    known: Ended | None = None

    def overlaps(self, opened: Key, last: Key) -> bool:
        return self.wait.opened <= last and opened <= self.wait.last


def match(walk: Walk, process_key: ProcessKey, effects: Effects) -> None:
    """Give every occurrence of the walk its wait; end the waits that have none. Moves the track to the new state."""
    track, moment = walk.track, walk.moment
    found = [_Occurrence(wait, None) for wait in walk.waits]
    found += [_Occurrence(wait, reason) for wait, reason in walk.ended]
    found.sort(key=lambda occurrence: occurrence.wait.opened)
    stored = sorted(track.waits, key=lambda wait: wait.opened)
    track.waits = []
    for wait in stored:
        occurrence = _find(found, wait.opened, wait.last)
        if occurrence is None:
            end_wait(track, process_key, moment, wait, VOID, effects)
        elif occurrence.owner is not None:
            end_wait(track, process_key, moment, wait, MERGED, effects)
        else:
            occurrence.owner = wait
    for ended in track.ended:
        occurrence = _find(found, ended.opened, ended.last)
        if occurrence is not None:
            occurrence.known = ended
    for occurrence in found:
        _settle(walk, occurrence, process_key, effects)
    track.waits.sort(key=lambda wait: wait.opened)
    track.current = -1 if walk.current is None else walk.current.number


def _find(found: list[_Occurrence], opened: Key, last: Key) -> _Occurrence | None:
    """The occurrence that holds the last signal, else the latest one that shares some."""
    overlapping = [occurrence for occurrence in found if occurrence.overlaps(opened, last)]
    holding = [occurrence for occurrence in overlapping if occurrence.wait.opened <= last <= occurrence.wait.last]
    candidates = holding or overlapping
    return candidates[-1] if candidates else None


def _settle(walk: Walk, occurrence: _Occurrence, process_key: ProcessKey, effects: Effects) -> None:
    track, moment = walk.track, walk.moment
    wait, owner = occurrence.wait, occurrence.owner
    if owner is not None:
        _inherit(wait, owner)
        if wait.last != owner.last and occurrence.ended is None:
            effects.count(moment.id, "slid")
    if occurrence.ended is None:
        if owner is None:
            open_wait(track, process_key, moment, wait, effects)
        else:
            rearm(process_key, moment, wait, effects)
        track.waits.append(wait)
    elif owner is not None:
        end_wait(track, process_key, moment, wait, occurrence.ended, effects)
    elif occurrence.known is not None:
        occurrence.known.opened, occurrence.known.last = wait.opened, wait.last
    else:
        open_wait(track, process_key, moment, wait, effects)
        end_wait(track, process_key, moment, wait, occurrence.ended, effects)


def _inherit(wait: Wait, owner: Wait) -> None:
    wait.number, wait.armed = owner.number, owner.armed
    if wait.last == owner.last:
        wait.override = owner.override
