"""What a signal means for occurrences that are decided: a contradiction or a recovery (DOMAIN §6.7, §6.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import takewhile

from contracts.processes import CartContent, worth
from contracts.signals import Item, Signal
from services.trigger.engine.contents import fold
from services.trigger.engine.effects import Contradiction, Effects, ProcessKey, Recovery
from services.trigger.engine.state import Decided, Process, Track


def judge_decided(
    process: Process,
    process_key: ProcessKey,
    signal: Signal,
    completing: Mapping[str, frozenset[str]],
    attribution: int,
    effects: Effects,
) -> None:
    """Note what a signal that is applied says of the raises of its process, whether or not their moments run.

    `completing`: by moment the signals that complete. What contradicts a raise gives no recovery.
    """
    for moment_id, track in process.tracks.items():
        decided = _contradicted(track, signal) if signal.time <= track.frozen_until else None
        if decided is not None:
            decided.contradicted += 1
            effects.contradictions.append(_contradiction(moment_id, decided, signal))
        elif signal.kind.name in completing.get(moment_id, ()):
            decided = _recovered(track, signal, attribution)
            if decided is not None:
                decided.recovered = True
                effects.recoveries.append(
                    Recovery(moment=moment_id, process_key=process_key, raise_id=decided.raise_id, signal=signal)
                )


def _contradicted(track: Track, signal: Signal) -> Decided | None:
    """The raise that a signal with last activity < time ≤ due speaks against."""
    return next((d for d in track.decided if d.raised and d.last[0] < signal.time <= d.due), None)


def _recovered(track: Track, signal: Signal, attribution: int) -> Decided | None:
    """The raise with the greatest due before the signal, when that lies within the window and is not recovered yet."""
    before = (d for d in track.decided if d.raised and d.due < signal.time)
    latest = max(before, key=lambda decided: decided.due, default=None)
    if latest is None or latest.recovered or signal.time > latest.due + attribution:
        return None
    return latest


def _contradiction(moment_id: str, decided: Decided, signal: Signal) -> Contradiction:
    return Contradiction(
        moment=moment_id,
        profile=(signal.configuration, signal.id_type, signal.profile),
        raise_id=decided.raise_id,
        source=signal.source,
        signal=signal.id,
        time=signal.time,
        received_at=signal.joined_at,
    )


def recovered_value(
    process: Process, kind: str, history: Sequence[Signal], signal: Signal
) -> Mapping[str | None, Decimal]:
    """The worth by currency of what a completing signal bought or booked.

    That of the items it names when they have prices, else of what the process held. `history`: the signals of the
    process in order, this one among them.
    """
    named = worth(signal.data.items)
    if named or kind == "browse":
        return named
    return worth(_held(process, kind, history, signal))


def _held(process: Process, kind: str, history: Sequence[Signal], signal: Signal) -> list[Item]:
    content = fold(process, kind, takewhile(lambda known: known.key <= signal.key, history))
    return content.purchase().items if isinstance(content, CartContent) else content.items
