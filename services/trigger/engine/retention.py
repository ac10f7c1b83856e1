"""How long a process is needed (DOMAIN §6.13)."""

from __future__ import annotations

from services.trigger.engine.state import Process


def needed_until(process: Process, retention: int, aftermath: int) -> int | None:
    """The instant (µs) until which a process must be kept; None while a wait of it is pending.

    `retention`: after its last signal, by its time or its receipt, whichever is later. `aftermath`: after the due of
    its latest decided occurrence, for the signals that may still complete or contradict it.
    """
    last = max(process.last[0] if process.last is not None else 0, process.latest_received)
    until = last + retention
    for track in process.tracks.values():
        if track.waits:
            return None
        dues = [decided.due for decided in track.decided]
        until = max(until, max([track.frozen_until, *dues]) + aftermath)
    return until
