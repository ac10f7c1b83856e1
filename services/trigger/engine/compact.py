"""Folding the oldest signals of a long process into its snapshot (DOMAIN §6.1)."""

from __future__ import annotations

from collections.abc import Sequence

from services.trigger.engine.apply import LATEST, Entry, Rules, Step, begin_walk, read_roles
from services.trigger.engine.contents import fold
from services.trigger.engine.decide import content_until
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Process, Snapshot, Track, Wait
from services.trigger.engine.waits import copy_wait, due_of
from services.trigger.engine.walk import Walk

SLACK = 64
"""Signals kept beyond the latest ones, so that the fold is done seldom. They change nothing that can be seen."""


def is_long(process: Process) -> bool:
    """Whether the process should be compacted."""
    return len(process.entries) > LATEST + SLACK


def compact(process: Process, kind: str, history: list[Entry], rules: Rules) -> list[Entry]:
    """Fold all but the latest signals into the snapshot; returns the history that is left."""
    folded, kept = history[:-LATEST], history[-LATEST:]
    before = process.snapshot
    quantities = dict(before.quantities) if before else {}
    gates = dict(before.gates) if before else {}
    steps = read_roles(quantities, gates, folded, rules, before.until[0] if before else None)
    content = fold(process, kind, (entry.signal for entry in folded))
    walks = [
        _walk_over(process, moment, steps[template.type])
        for template in rules.templates
        for moment in rules.moments.get(template.type, ())
        if moment.id in process.tracks and process.tracks[moment.id].run == moment.run
    ]
    until = folded[-1].signal.key
    _hold_contents(process, kind, folded, rules)
    process.snapshot = Snapshot(
        until=until,
        content=content,
        quantities=quantities,
        gates=gates,
        occurrences={
            walk.moment.id: (walk.moment.run, [copy_wait(wait) for wait in walk.waits], walk.current is not None)
            for walk in walks
        },
    )
    process.entries = [(entry.signal.time, entry.sequence) for entry in kept]
    for moment_id, track in process.tracks.items():
        _, waits, _ = process.snapshot.occurrences.get(moment_id, (0, [], False))
        _prune(track, until[0], waits)
    return kept


def _hold_contents(process: Process, kind: str, folded: Sequence[Entry], rules: Rules) -> None:
    """Keep the contents of waits that were due before the last of the signals to be folded (DOMAIN §6.4).

    They are decided soon: what is due and not decided lies behind in a backlog.
    """
    until = folded[-1].signal.time
    for moments in rules.moments.values():
        for moment in moments:
            track = process.tracks.get(moment.id)
            for wait in track.waits if track is not None and track.run == moment.run else ():
                due = due_of(moment, wait)
                if wait.held is None and due < until:
                    wait.held = content_until(process, kind, folded, due)


def _walk_over(process: Process, moment: Moment, steps: list[Step]) -> Walk:
    walk = begin_walk(process, process.tracks[moment.id], moment)
    for step in steps:
        walk.step(*step)
    return walk


def _prune(track: Track, until: int, kept: list[Wait]) -> None:
    """Forget what no signal within the latest ones can touch; the newest raise stays, to count views since.

    An ended wait stays known while its occurrence is in the snapshot: an ender after it ends it in every walk.
    """
    newest = max((decided.due for decided in track.decided if decided.raised), default=None)
    track.ended = [
        ended
        for ended in track.ended
        if ended.last[0] >= until or any(wait.opened <= ended.last and ended.opened <= wait.last for wait in kept)
    ]
    track.decided = [d for d in track.decided if d.due >= until or (d.raised and d.due == newest)]
