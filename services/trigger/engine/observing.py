"""What one application of a signal did to the waits of a process: the state before held against that after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from contracts.signals import Key
from services.trigger.engine.account import Change, Effect, ProcessName
from services.trigger.engine.apply import Entry
from services.trigger.engine.effects import Effects, ProcessKey, WaitKey
from services.trigger.engine.moment import Moment
from services.trigger.engine.reasons import SignalCode
from services.trigger.engine.state import Ended, Process, Track, Wait
from services.trigger.engine.waits import MERGED, copy_wait, due_of, ready_of
from services.trigger.engine.walk import Walk
from services.trigger.engine.wording import due_line, instant, text_of_change


@dataclass(slots=True)
class Seen:
    """What was to be seen while a signal was applied to a process. `ended`: (number, reason) in order."""

    walk: Walk | None = None
    ended: list[tuple[int, str]] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Observer(Effects):
    """Effects that tell what they hear, process by process."""

    tell: Callable[[ProcessKey, Process, Entry, Seen], None] = field(kw_only=True)
    _seen: Seen = field(default_factory=Seen)
    _last: WaitKey | None = None
    _told: tuple[int, int] = (0, 0)

    def disarm(self, key: WaitKey) -> None:
        """A wait is no longer pending; the counter that follows says why."""
        Effects.disarm(self, key)
        self._last = key

    def count(self, moment: str, counter: str, by: int = 1) -> None:
        """Add to a counter."""
        Effects.count(self, moment, counter, by)
        kind, _, reason = counter.partition(":")
        if kind == "ended" and self._last is not None:
            self._seen.ended.append((self._last[2], reason))

    def walked(self, walk: Walk) -> None:
        """A moment has walked."""
        self._seen.walk = walk

    def applied(self, process_key: ProcessKey, process: Process, entry: Entry) -> None:
        """A signal has been applied to a process."""
        contradicted, recovered = self._told
        self._seen.contradicted = [found.raise_id for found in self.contradictions[contradicted:]]
        self._seen.recovered = [found.raise_id for found in self.recoveries[recovered:]]
        self._told = (len(self.contradictions), len(self.recoveries))
        seen, self._seen = self._seen, Seen()
        self.tell(process_key, process, entry, seen)

    def take(self) -> Seen:
        """What was to be seen beside the application of a signal."""
        seen, self._seen = self._seen, Seen()
        return seen


@dataclass(frozen=True, slots=True)
class Standing:
    """The waits of a moment on a process at some instant; `dues`: number → due, and when it may be decided."""

    count: int = 0
    waits: Mapping[int, Wait] = field(default_factory=dict)
    dues: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    ended: Sequence[Ended] = ()
    ignored: int = 0


NOTHING = Standing()


def standing_of(process: Process, moment: Moment | None) -> Standing:
    """What stands now."""
    track = process.tracks.get(moment.id) if moment is not None else None
    if track is None or moment is None:
        return Standing(ignored=process.ignored)
    return Standing(
        count=track.count,
        waits={wait.number: copy_wait(wait) for wait in track.waits},
        dues={wait.number: (due_of(moment, wait), ready_of(moment, wait)) for wait in track.waits},
        ended=tuple(track.ended),
        ignored=process.ignored,
    )


def changes_of(name: ProcessName, moment: Moment, track: Track, before: Standing, seen: Seen) -> Iterator[Change]:
    """What became of the waits since `before`, the opened ones first."""
    made = _made(seen.walk)
    after = {wait.number: wait for wait in track.waits}
    for number in range(before.count, track.count):
        wait = made.get(number) or after.get(number)
        if wait is not None:
            yield _opened(name, moment, wait, before, late=seen.walk is not None and seen.walk.stored is not None)
    for number, reason in seen.ended:
        wait = made.get(number) or before.waits.get(number)
        if wait is not None:
            yield _ended(name, wait, number, reason, (*after.values(), *made.values()))
    for number, wait in sorted(after.items()):
        if number in before.waits:
            yield from _moved(name, moment, wait, before)


def _made(walk: Walk | None) -> dict[int, Wait]:
    """The occurrences of a walk that have a wait, by its number."""
    if walk is None:
        return {}
    found = [*walk.opened, *walk.waits, *(wait for wait, _ in walk.ended)]
    return {wait.number: wait for wait in found if wait.number >= 0}


def _opened(name: ProcessName, moment: Moment, wait: Wait, before: Standing, *, late: bool) -> Change:
    split = [n for n, known in before.waits.items() if _overlap(known.opened, known.last, wait)] if late else []
    return _worded(
        Change(
            effect="opened",
            process=name,
            wait=wait.number,
            text="",
            opened_at=instant(wait.opened[0]),
            last_activity_at=instant(wait.last[0]),
            due=due_line(moment, wait),
            split_from=split[0] if split else None,
            revived=late and any(_overlap(known.opened, known.last, wait) for known in before.ended),
        )
    )


def _ended(name: ProcessName, wait: Wait, number: int, reason: str, others: Sequence[Wait]) -> Change:
    into = None
    if reason == MERGED:
        holding = [o for o in others if o.number != number and o.opened <= wait.last <= o.last]
        near = [o for o in others if o.number != number and _overlap(wait.opened, wait.last, o)]
        into = next((other.number for other in (*holding, *near)), None)
    return _worded(
        Change(
            effect="ended",
            process=name,
            wait=number,
            text="",
            reason=reason,
            opened_at=instant(wait.opened[0]),
            last_activity_at=instant(wait.last[0]),
            merged_into=into,
        )
    )


def _moved(name: ProcessName, moment: Moment, wait: Wait, before: Standing) -> Iterator[Change]:
    known = before.waits[wait.number]
    due = (due_of(moment, wait), ready_of(moment, wait))
    if wait.last != known.last:
        yield _worded(_now(name, moment, wait, "slid"))
    elif wait.opened != known.opened or due != before.dues[wait.number]:
        yield _worded(_now(name, moment, wait, "retimed"))
    if wait.ended_after and not known.ended_after:
        yield _worded(_now(name, moment, wait, "closed_after_due"))


def _now(name: ProcessName, moment: Moment, wait: Wait, effect: Effect) -> Change:
    return Change(
        effect=effect,
        process=name,
        wait=wait.number,
        text="",
        opened_at=instant(wait.opened[0]),
        last_activity_at=instant(wait.last[0]),
        due=due_line(moment, wait),
    )


def _worded(change: Change) -> Change:
    return msgspec.structs.replace(change, text=text_of_change(change))


def aftermath_of(name: ProcessName, track: Track, seen: Seen) -> Iterator[Change]:
    """What a signal said of raises that were made before it came."""
    numbers = {decided.raise_id: decided.number for decided in track.decided if decided.raised}
    effects: tuple[tuple[Effect, list[str]], ...] = (
        ("contradicted", seen.contradicted),
        ("recovered", seen.recovered),
    )
    for effect, raises in effects:
        for raise_id in raises:
            if raise_id in numbers:
                change = Change(effect=effect, process=name, wait=numbers[raise_id], text="", raise_id=raise_id)
                yield _worded(change)


def place_of(key: Key, seen: Seen, before: Standing, track: Track) -> SignalCode:
    """Where activity lies in the occurrences that there are now."""
    walk = seen.walk
    found = [*track.waits, *(wait for wait, _ in walk.ended)] if walk is not None else list(track.waits)
    if any(wait.opened == key and wait.number >= before.count for wait in found):
        return SignalCode.OPENED
    return SignalCode.SLID if any(wait.last == key for wait in found) else SignalCode.JOINED


def _overlap(opened: Key, last: Key, wait: Wait) -> bool:
    return wait.opened <= last and opened <= wait.last
