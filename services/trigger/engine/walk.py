"""One moment walking over the signals of a process in order: which occurrences there are (DOMAIN §6.3)."""

from __future__ import annotations

from collections.abc import Set

from contracts.signals import Key, Signal
from services.trigger.engine.gate import Role
from services.trigger.engine.moment import Moment
from services.trigger.engine.reasons import BEFORE_DECIDED, DECIDED, NOT_RUNNING, SignalCode
from services.trigger.engine.state import Track, Wait

STOPPED = "stopped"


class Walk:
    """The walk's place. `waits`: undecided occurrences so far; `current`: the one that a next signal may slide.

    `stored`: the waits that were pending before (when re-deriving), or None (when the signal is the newest).
    `barred`: keys that must not open. `slid`, `opened` and `ended` tell what the steps did, `refused` which activity
    did nothing and why.
    """

    __slots__ = ("barred", "current", "ended", "moment", "opened", "refused", "slid", "stored", "track", "waits")

    def __init__(
        self,
        moment: Moment,
        track: Track,
        waits: list[Wait],
        current: Wait | None,
        stored: list[Wait] | None,
        barred: Set[Key] = frozenset(),
    ):
        self.moment = moment
        self.track = track
        self.waits = waits
        self.current = current
        self.stored = stored
        self.barred = barred
        self.opened: list[Wait] = []
        self.slid: list[Wait] = []
        self.ended: list[tuple[Wait, str]] = []
        self.refused: list[tuple[Key, SignalCode]] = []

    def step(self, role: Role, reason: str, signal: Signal) -> None:
        """Take the next signal in order, with its role."""
        if role is Role.END:
            self._end(reason, signal)
        elif role is Role.ACTIVITY:
            self._act(signal)

    def _end(self, reason: str, signal: Signal) -> None:
        current = self.current
        if current is not None and signal.time <= self.due(current, signal.received_at):
            self.waits.remove(current)
            self.ended.append((current, reason))
        for wait in self.waits:
            wait.ended_after = True
        self.current = None

    def _act(self, signal: Signal) -> None:
        key = signal.key
        if key[0] <= self.track.frozen_until and self._covered(key) and not self._goes_on(key):
            self.refused.append((key, DECIDED))
            return
        current = self.current
        if current is not None and key[0] <= self.due(current, signal.received_at):
            _slide(current, signal)
            self.slid.append(current)
            return
        objection = self._objection(signal)
        if objection is not None:
            self.refused.append((key, objection))
            return
        self.current = Wait(
            number=-1,
            opened=key,
            last=key,
            latest_received=signal.joined_at,
            received=[signal.joined_at],
            site=signal.site,
            stitched=signal.stitched_at,
        )
        self.waits.append(self.current)
        self.opened.append(self.current)

    def due(self, wait: Wait, received: int) -> int:
        """The due that stands before a signal, with the settings in force at its receivedAt (DOMAIN §5)."""
        versions = self.moment.versions
        if received >= versions[-1].since:
            override = wait.override or self._stored_override(wait)
            return override or versions[-1].timing.due(wait.opened[0], wait.last[0])
        return self.moment.version_at(received).timing.due(wait.opened[0], wait.last[0])

    def _stored_override(self, wait: Wait) -> int:
        if not self.stored:
            return 0
        return next((stored.override for stored in self.stored if stored.last == wait.last), 0)

    def _covered(self, key: Key) -> bool:
        """Whether the key lies in a decided occurrence, up to its due: it is then no activity of another."""
        return any(
            decided.opened <= key and (key <= decided.last or key[0] <= decided.due) and decided.reason != STOPPED
            for decided in self.track.decided
        )

    def _goes_on(self, key: Key) -> bool:
        """Whether a pending wait holds the key: it goes on, though an edit has moved the due of another past it."""
        return any(wait.opened <= key <= wait.last for wait in self.stored or ())

    def _objection(self, signal: Signal) -> SignalCode | None:
        """Why activity may not open. Only what was received in this run opens (DOMAIN §5).

        At or before the latest decided due nothing new opens (DOMAIN §6.7): the newest signal is refused at once;
        re-deriving, what is to be refused is known when the occurrences are matched with the waits there were.
        """
        if signal.received_at < self.moment.run:
            return NOT_RUNNING
        if signal.time <= self.track.frozen_until if self.stored is None else signal.key in self.barred:
            return BEFORE_DECIDED
        return self.moment.objection(signal)


def _slide(wait: Wait, signal: Signal) -> None:
    wait.last = signal.key
    wait.override = 0
    wait.latest_received = max(wait.latest_received, signal.joined_at)
    wait.received = [instant for instant in wait.received if instant >= signal.time]
    wait.received.append(signal.joined_at)
    wait.stitched = max(wait.stitched, signal.stitched_at)
