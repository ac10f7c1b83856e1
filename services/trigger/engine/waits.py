"""The life of a wait: opened, armed in the index, ended, stopped."""

from __future__ import annotations

from services.trigger.engine.effects import Effects, ProcessKey, Stopped
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Decided, Ended, Track, Wait
from services.trigger.engine.timing import ready_at
from services.trigger.engine.walk import STOPPED

MERGED = "merged"
VOID = "void"


def due_of(moment: Moment, wait: Wait) -> int:
    """The due that stands now: with the settings in force, or the one that an edit gave."""
    return wait.override or moment.timing.due(wait.opened[0], wait.last[0])


def ready_of(moment: Moment, wait: Wait) -> int:
    """When the wait may be decided."""
    return ready_at(due_of(moment, wait), wait.latest_received, wait.received)


def open_wait(track: Track, process_key: ProcessKey, moment: Moment, wait: Wait, effects: Effects) -> None:
    """Give a new occurrence its wait."""
    wait.number = track.count
    track.count += 1
    wait.armed = ready_of(moment, wait)
    effects.count(moment.id, "opened")
    effects.arm((process_key, moment.id, wait.number), wait.armed)


def rearm(process_key: ProcessKey, moment: Moment, wait: Wait, effects: Effects) -> None:
    """Bring the index entry forward when the wait is now ready earlier; later it is left to be found (lazy sliding)."""
    ready = ready_of(moment, wait)
    if ready < wait.armed:
        wait.armed = ready
        effects.arm((process_key, moment.id, wait.number), ready)


def end_wait(track: Track, process_key: ProcessKey, moment: Moment, wait: Wait, reason: str, effects: Effects) -> None:
    """Close a wait that an ender, a join or a loss of ground ended; of an ender's the occurrence is remembered."""
    effects.disarm((process_key, moment.id, wait.number))
    effects.count(moment.id, f"ended:{reason}")
    if reason not in (MERGED, VOID):
        track.ended.append(Ended(number=wait.number, opened=wait.opened, last=wait.last))


def stop_waits(track: Track, process_key: ProcessKey, moment: Moment, effects: Effects) -> None:
    """Suppress every pending wait of a track: its moment was stopped."""
    for wait in list(track.waits):
        stop_wait(track, process_key, moment, wait, effects)


def stop_wait(track: Track, process_key: ProcessKey, moment: Moment, wait: Wait, effects: Effects) -> None:
    """Suppress one pending wait: its moment was stopped. It freezes nothing (DOMAIN §5)."""
    key, due = (process_key, moment.id, wait.number), due_of(moment, wait)
    effects.disarm(key)
    effects.count(moment.id, f"suppressed:{STOPPED}")
    effects.stopped.append(
        Stopped(
            key=key,
            run=track.run,
            opened=wait.opened,
            last=wait.last,
            due=due,
            version=moment.versions[-1].number,
            after=effects.after,
        )
    )
    track.waits = [pending for pending in track.waits if pending.number != wait.number]
    track.current = -1 if track.current == wait.number else track.current
    track.decided.append(
        Decided(
            number=wait.number,
            opened=wait.opened,
            last=wait.last,
            due=due,
            raised=False,
            reason=STOPPED,
            raise_id="",
        )
    )


def copy_wait(wait: Wait) -> Wait:
    """An independent copy."""
    return Wait(
        number=wait.number,
        opened=wait.opened,
        last=wait.last,
        latest_received=wait.latest_received,
        received=list(wait.received),
        site=wait.site,
        ended_after=wait.ended_after,
        armed=wait.armed,
        override=wait.override,
        held=wait.held,
        stitched=wait.stitched,
    )
