"""Matching the occurrences of a new walk with the waits there were: joined, void, split, revived (DOMAIN §6.11)."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.signals import Key
from services.trigger.engine.effects import Effects, ProcessKey
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import MERGED, VOID, end_wait, open_wait, rearm
from services.trigger.engine.walk import Walk


@dataclass(slots=True, eq=False)
class _Occurrence:
    wait: Wait
    ended: str | None
    owner: Wait | None = None

    def overlaps(self, opened: Key, last: Key) -> bool:
        return self.wait.opened <= last and opened <= self.wait.last


class Matching:
    """The occurrences of a walk, each with the pending wait that goes on with it, if any."""

    def __init__(self, walk: Walk):
        self._walk = walk
        self._found = [_Occurrence(wait, None) for wait in walk.waits]
        self._found += [_Occurrence(wait, reason) for wait, reason in walk.ended]
        self._found.sort(key=lambda occurrence: occurrence.wait.opened)
        self._stored = sorted(walk.track.waits, key=lambda wait: wait.opened)
        self._lost: list[tuple[Wait, str]] = []
        for wait in self._stored:
            occurrence = self._home(wait)
            if occurrence is None:
                self._lost.append((wait, VOID))
            elif occurrence.owner is not None:
                self._lost.append((wait, MERGED))
            else:
                occurrence.owner = wait

    def refused(self) -> set[Key]:
        """The openings of new occurrences at or before the latest decided due: they may not open (DOMAIN §6.7)."""
        until = self._walk.track.frozen_until
        return {o.wait.opened for o in self._found if o.owner is None and o.wait.opened[0] <= until}

    def settle(self, process_key: ProcessKey, effects: Effects) -> None:
        """Give every occurrence its wait and end the waits that have none; moves the track to the new state."""
        walk, track = self._walk, self._walk.track
        track.waits = []
        for wait, reason in self._lost:
            end_wait(track, process_key, walk.moment, wait, reason, effects)
        for occurrence in self._found:
            if occurrence.ended is None:
                self._go_on(occurrence, process_key, effects)
            else:
                self._end(occurrence, occurrence.ended, process_key, effects)
        track.waits.sort(key=lambda wait: wait.opened)
        track.current = -1 if walk.current is None else walk.current.number

    def _home(self, wait: Wait) -> _Occurrence | None:
        """The occurrence that holds the wait's last signal, else the latest one that shares some."""
        overlapping = [occurrence for occurrence in self._found if occurrence.overlaps(wait.opened, wait.last)]
        holding = [o for o in overlapping if o.wait.opened <= wait.last <= o.wait.last]
        candidates = holding or overlapping
        return candidates[-1] if candidates else None

    def _go_on(self, occurrence: _Occurrence, process_key: ProcessKey, effects: Effects) -> None:
        track, moment = self._walk.track, self._walk.moment
        wait, owner = occurrence.wait, occurrence.owner
        if owner is None:
            open_wait(track, process_key, moment, wait, effects)
        else:
            _inherit(wait, owner)
            if wait.last != owner.last:
                effects.count(moment.id, "slid")
            rearm(process_key, moment, wait, effects)
        track.waits.append(wait)

    def _end(self, occurrence: _Occurrence, reason: str, process_key: ProcessKey, effects: Effects) -> None:
        track, moment = self._walk.track, self._walk.moment
        wait, owner = occurrence.wait, occurrence.owner
        if owner is not None:
            _inherit(wait, owner)
        elif self._had_ended(occurrence):
            return
        else:
            open_wait(track, process_key, moment, wait, effects)
        end_wait(track, process_key, moment, wait, reason, effects)

    def _had_ended(self, occurrence: _Occurrence) -> bool:
        """Whether an ended occurrence had its wait before: unless it was split off a pending one just now."""
        if any(occurrence.overlaps(wait.opened, wait.last) for wait in self._stored):
            return False
        return any(occurrence.overlaps(ended.opened, ended.last) for ended in self._walk.track.ended)


def _inherit(wait: Wait, owner: Wait) -> None:
    wait.number, wait.armed = owner.number, owner.armed
    if wait.last == owner.last:
        wait.override = owner.override
        wait.held = owner.held
