"""Waits, and how they follow the occurrences that are derived anew with every signal (§6.3, §6.6, §6.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.oracle.content import Holding
from tests.oracle.words import MINUTE, SECOND, Arrival, Closed, Process, Raise, SignalKey

SETTLE = 30 * SECOND  # §6.6
SETTLE_CAP = 5 * MINUTE  # §6.6


@dataclass(slots=True, eq=False)
class Wait:
    """A wait and its fate; `state` is pending, ended, suppressed or raised.

    `given`: the due that an edit gave, and when; it stands until the next activity (§5).
    """

    process: Process
    members: list[Arrival]
    due: int
    state: str = "pending"
    reason: str = ""
    decided_at: int = -1
    known: set[SignalKey] = field(default_factory=set)  # the process's signals at the decision
    holding: Holding = field(default_factory=Holding)
    views: int = 0
    recovered: bool = False
    given: tuple[int, int] | None = None

    @property
    def opened_at(self) -> int:
        return self.members[0].time

    @property
    def last(self) -> Arrival:
        return self.members[-1]

    @property
    def freezes(self) -> bool:
        """Raised and suppressed occurrences are frozen (§6.7), those of a stopped run are not (§5)."""
        return self.state == "raised" or (self.state == "suppressed" and self.reason != "stopped")

    @property
    def reaches_to(self) -> int:
        """Where the occurrence ends: at its due, or at its last activity where an edit has brought the due before."""
        return max(self.due, self.last.time)

    @property
    def ready_at(self) -> int:
        """When the wait may be decided (§6.6)."""
        received = [signal.came_at for signal in self.members]
        if all(at < self.due for at in received):
            return self.due
        first_after_due = min(at for at in received if at >= self.due)
        return max(self.due, min(max(received) + SETTLE, first_after_due + SETTLE_CAP))

    @property
    def orders(self) -> set[str]:
        """The orders that a raise of the wait thanks for: those of its purchases and that of its content."""
        named = [*(signal.order_id for signal in self.members), self.holding.order_id]
        return {order for order in named if order is not None}

    def is_contradicted_by(self, signal: Arrival) -> bool:
        """Whether a signal that came to the process after the raise speaks against it (§6.7)."""
        inside = self.last.time < signal.time <= self.due
        return self.state == "raised" and inside and signal.key not in self.known


@dataclass(slots=True, eq=False)
class Part:
    """A derived occurrence: its activity signals and, where one stands inside, the ender."""

    members: list[Arrival]
    ender: Arrival | None = None


def is_between(signal: Arrival, one: Wait, other: Wait) -> bool:
    """Whether the signal stands between the activity of two waits, in the order of events."""
    first, second = sorted((one, other), key=lambda wait: wait.members[0].order)
    return first.last.order < signal.order < second.members[0].order


def home_of(wait: Wait, parts: Sequence[Part]) -> Part | None:
    """The part that keeps the wait: the one with its last signal, else with the latest that is still activity."""
    for member in reversed(wait.members):
        for part in parts:
            if any(signal.key == member.key for signal in part.members):
                return part
    return None


def is_new_though_ended(part: Part, split_off: set[SignalKey], waits: Sequence[Wait]) -> bool:
    """Whether an occurrence that an ender closed is one more wait, opened and ended at once (§6.11).

    It is when a part of a pending wait was split off, and when none of its signals ever had a wait that an ender ended.
    """
    keys = {signal.key for signal in part.members}
    if keys & split_off:
        return True
    ended = [wait for wait in waits if wait.state == "ended" and wait.reason in ("completed", "ended")]
    return not any(keys & {signal.key for signal in wait.members} for wait in ended)


def raise_of(wait: Wait) -> Raise:
    return Raise(
        process=wait.process,
        opened_at=wait.opened_at,
        last_activity_at=wait.last.time,
        due_at=wait.due,
        decided_at=wait.decided_at,
        last_signal=wait.last.key,
        content={} if wait.process.kind == "browse" else wait.holding.quantities,
        views=wait.views if wait.process.kind == "browse" else 0,
        order_id=wait.holding.order_id,
    )


def closed_of(wait: Wait) -> Closed:
    return Closed(
        process=wait.process,
        opened_at=wait.opened_at,
        last_activity_at=wait.last.time,
        due_at=wait.due,
        decided_at=wait.decided_at,
        last_signal=wait.last.key,
        reason=wait.reason,
    )
