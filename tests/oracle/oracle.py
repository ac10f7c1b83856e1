"""A slow, independent oracle of DOMAIN §4-6.11: every template and every setting.

It walks a complete recorded history in virtual time. After each arrival the occurrences of the profile's processes are
derived anew by sorting and folding all their signals; nothing is kept between two derivations but the waits themselves.
All times and durations are integers of microseconds. Standard library only, nothing of the product is imported.
Readings of DOMAIN that were chosen here are listed in README.md beside this file.

Its rooms: words.py (what goes in and comes out), catalogue.py (templates, the part each signal plays, processes),
content.py (what a process holds, filters), quiet.py (quiet hours), waits.py (waits and the parts they follow).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.oracle.catalogue import TEMPLATES, VIEWS, opens_cart, processes_of, roles
from tests.oracle.content import filtered, holding
from tests.oracle.quiet import moved
from tests.oracle.waits import Part, Wait, closed_of, home_of, is_between, is_new_though_ended, raise_of
from tests.oracle.words import (
    DAY,
    MINUTE,
    Arrival,
    Ledger,
    Moment,
    Outcome,
    Process,
    Profile,
    Recovery,
    Settings,
    SignalKey,
)

ATTRIBUTION = 7 * DAY  # §6.10
SPREAD = MINUTE  # §5
STATES = ("raised", "suppressed", "ended")


class Simulation:
    """The state of one moment over a history. See `simulate`."""

    def __init__(self, moment: Moment, expiry: int) -> None:
        self.moment = moment
        self.expiry = expiry
        self.template = TEMPLATES[moment.type]
        self.signals: dict[Profile, dict[SignalKey, Arrival]] = {}
        self.came: dict[Process, set[SignalKey]] = {}  # the signals that came to a process so far
        self.waits: dict[Process, list[Wait]] = {}
        self.pending: list[Wait] = []
        self.closed: list[Wait] = []  # in the order of decision
        self.contradictions: dict[tuple[Process, SignalKey], None] = {}
        self.recovered: list[Recovery] = []

    def due(self, settings: Settings, members: Sequence[Arrival]) -> int:
        """The due time of an occurrence (§6.2)."""
        opened_at = members[0].time
        if self.template.instant:
            return moved(opened_at + settings.duration, settings.quiet)
        due = members[-1].time + settings.duration
        return moved(
            due if settings.maximum_wait is None else min(due, opened_at + settings.maximum_wait), settings.quiet
        )

    # Time

    def run(self, arrivals: Sequence[Arrival], run_out: bool) -> None:
        by_instant: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            by_instant.setdefault(arrival.came_at, []).append(arrival)
        end = max(by_instant, default=0)
        changes = {at for run in self.moment.runs for at in run if at is not None}
        changes |= {since for since, _ in self.moment.versions}
        for instant in sorted(set(by_instant) | {at for at in changes if run_out or at <= end}):
            self.decide_before(instant)
            self.change_moment(instant)
            for arrival in by_instant.get(instant, ()):
                self.apply(arrival)
            self.decide_at(instant)
        if run_out:
            self.decide_before(math.inf)

    def decide_before(self, instant: float) -> None:
        while self.pending:
            ready_at = min(wait.ready_at for wait in self.pending)
            if ready_at >= instant:
                return
            self.decide_at(ready_at)

    def decide_at(self, now: int) -> None:
        ready = [wait for wait in self.pending if wait.ready_at <= now]
        for wait in sorted(ready, key=lambda wait: (wait.due, wait.process)):
            self.decide(wait, now)

    def change_moment(self, now: int) -> None:
        """What an edit, a stop or a start does to pending waits (§5)."""
        if self.moment.running_since(now) is None or any(since == now for since, _ in self.moment.runs):
            for wait in list(self.pending):
                self.close(wait, "suppressed", "stopped", now)
        if any(since == now for since, _ in self.moment.versions):
            self.retime(self.moment.settings_at(now), now)

    def retime(self, settings: Settings, now: int) -> None:
        """Move pending waits to the dues of new settings; what becomes due at once is spread over a minute (§5)."""
        at_once = []
        for wait in self.pending:
            due = self.due(settings, wait.members)
            if wait.given is None and due <= now < wait.due:
                at_once.append(wait)
            elif wait.given is None:
                wait.due = due
        begin = moved(now, settings.quiet)
        if moved(now + SPREAD, settings.quiet) != now + SPREAD:
            begin = moved(now + SPREAD, settings.quiet)
        for place, wait in enumerate(sorted(at_once, key=lambda wait: (wait.due, wait.process)), start=1):
            wait.due = begin + SPREAD * place // len(at_once)
            wait.given = (wait.due, now)

    # Arrivals

    def apply(self, arrival: Arrival) -> None:
        known = self.signals.setdefault(arrival.profile, {})
        if arrival.key in known:
            return  # the copy applied first counts in full (§6.8)
        known[arrival.key] = arrival
        now = arrival.came_at
        processes = processes_of(self.template.process, list(known.values()))
        for process_id, signals in sorted(processes.items()):
            process = Process(profile=arrival.profile, kind=self.template.process, id=process_id)
            self.look_back(process, signals, now)
            since = self.moment.running_since(now)
            if since is not None:
                self.rederive(process, signals, since, now)

    def look_back(self, process: Process, signals: Sequence[Arrival], now: int) -> None:
        """What the signals that have just come to the process mean for its raises, whether or not the moment runs."""
        came = self.came.setdefault(process, set())
        raised = [wait for wait in self.waits.get(process, ()) if wait.state == "raised"]
        for signal in signals:
            if signal.key in came:
                continue
            came.add(signal.key)
            if any(wait.is_contradicted_by(signal) for wait in raised):
                self.contradictions[process, signal.key] = None
            elif signal.kind in self.template.completes:
                self.recover(process, signal, [wait for wait in raised if wait.due < signal.time], now)

    def recover(self, process: Process, signal: Arrival, raised: Sequence[Wait], now: int) -> None:
        """The latest raise before a completing signal is recovered, once and within the attribution window (§6.10)."""
        latest = max(raised, key=lambda wait: wait.due, default=None)
        if latest is not None and not latest.recovered and signal.time <= latest.due + ATTRIBUTION:
            latest.recovered = True
            self.recovered.append(Recovery(process=process, due_at=latest.due, signal=signal.key, at=now))

    def rederive(self, process: Process, signals: Sequence[Arrival], since: int, now: int) -> None:
        """Derive the occurrences of the process anew and bring its undecided waits in line (§6.11)."""
        waits = self.waits.setdefault(process, [])
        pending = sorted((wait for wait in waits if wait.state == "pending"), key=lambda wait: wait.members[0].order)
        latest_decided_due = max((wait.reaches_to for wait in waits if wait.freezes), default=-math.inf)
        barred: set[SignalKey] = set()
        while True:
            parts = self.derive(signals, [wait for wait in waits if wait.freezes], pending, since, barred)
            homes = {id(wait): home_of(wait, parts) for wait in pending}
            kept = {id(part) for part in homes.values() if part is not None}
            founders = [part.members[0] for part in parts if id(part) not in kept]
            refused = {founder.key for founder in founders if founder.time <= latest_decided_due}
            if not refused:
                break
            barred |= refused  # no signal at or before the latest decided due opens a new wait (§6.7)
        split_off = {signal.key for wait in pending for signal in wait.members}
        taken: set[int] = set()
        for wait in pending:
            part = homes[id(wait)]
            if part is None:
                self.close(wait, "ended", "void", now)
            elif id(part) in taken:
                self.close(wait, "ended", "merged", now)
            else:
                taken.add(id(part))
                self.update(wait, part, now)
        for part in parts:
            if id(part) not in taken and (part.ender is None or is_new_though_ended(part, split_off, waits)):
                self.open(process, part, now)

    def derive(
        self,
        signals: Sequence[Arrival],
        frozen: Sequence[Wait],
        pending: Sequence[Wait],
        since: int,
        barred: set[SignalKey],
    ) -> list[Part]:
        """The undecided occurrences of a process (§6.3)."""
        given = {wait.last.key: wait.given for wait in pending if wait.given is not None}
        going_on = {signal.key for wait in pending for signal in wait.members}
        parts: list[Part] = []
        current: Part | None = None
        for signal, role in zip(signals, self.roles(signals), strict=True):
            settings = self.moment.settings_at(signal.received_at)
            reached = current is not None and signal.time <= self.due_before(signal, settings, current, given)
            if role == "ender":
                if current is not None and reached:
                    current.ender = signal
                current = None
            elif role == "activity" and (
                signal.key in going_on or not any(wait.opened_at <= signal.time <= wait.reaches_to for wait in frozen)
            ):
                if current is not None and reached:
                    current.members.append(signal)
                    continue
                current = None
                if signal.received_at >= since and settings.opens(signal) and signal.key not in barred:
                    current = Part(members=[signal])
                    parts.append(current)
        return parts

    def due_before(
        self, signal: Arrival, settings: Settings, current: Part, given: dict[SignalKey, tuple[int, int]]
    ) -> int:
        """The due that stood before the signal, with the settings in force at its receivedAt (§5, §6.3)."""
        due, since = given.get(current.members[-1].key, (0, math.inf))
        return due if signal.received_at >= since else self.due(settings, current.members)

    # The life of a wait

    def open(self, process: Process, part: Part, now: int) -> None:
        wait = Wait(process=process, members=part.members, due=0)
        self.waits[process].append(wait)
        self.pending.append(wait)
        self.update(wait, part, now)

    def update(self, wait: Wait, part: Part, now: int) -> None:
        if part.ender is not None:
            if not wait.due:
                wait.due = self.due(self.moment.settings_at(now), wait.members)
            completed = part.ender.kind in self.template.completes
            self.close(wait, "ended", "completed" if completed else "ended", now)
            wait.members = sorted({*wait.members, *part.members}, key=lambda signal: signal.order)
            return
        if wait.given is not None and part.members[-1].key != wait.last.key:
            wait.given = None
        wait.members = part.members
        if wait.given is None:
            wait.due = self.due(self.moment.settings_at(now), wait.members)

    def close(self, wait: Wait, state: str, reason: str, now: int) -> None:
        wait.state, wait.reason, wait.decided_at = state, reason, now
        self.pending.remove(wait)
        self.closed.append(wait)

    def roles(self, signals: Sequence[Arrival]) -> list[str]:
        return roles(self.moment.type, signals, self.expiry)

    # The raise

    def decide(self, wait: Wait, now: int) -> None:
        """Raise or suppress a wait that is ready (§6.4)."""
        process = wait.process
        signals = processes_of(process.kind, list(self.signals[process.profile].values()))[process.id]
        until_due = [signal for signal in signals if signal.time <= wait.due]
        wait.known = {signal.key for signal in signals}
        wait.holding = holding(self.moment.type, process.kind, until_due)
        wait.views = self.views(wait, until_due)
        reason = self.objection(wait, signals, self.moment.settings_at(now))
        self.close(wait, "suppressed" if reason else "raised", reason, now)

    def views(self, wait: Wait, signals: Sequence[Arrival]) -> int:
        """The views since the last raise of the process before this due (§4)."""
        dues = [other.due for other in self.raised_of(wait.process) if other.due < wait.due]
        last_raise = max(dues, default=-math.inf)
        return sum(signal.kind in VIEWS and signal.time > last_raise for signal in signals)

    def objection(self, wait: Wait, signals: Sequence[Arrival], settings: Settings) -> str:
        """The first reason not to raise, empty when there is none (§4, §6.4)."""
        if any(signal.stitched_at is not None and wait.due <= signal.stitched_at for signal in wait.members):
            return "stitched"
        enders = [signal for signal, role in zip(signals, self.roles(signals), strict=True) if role == "ender"]
        if any(ender.order > wait.last.order for ender in enders):
            return "ended_before_raise"
        if self.moment.type == "cart_abandon" and not wait.holding.items:
            return "empty"
        if self.moment.type == "browse_abandon" and wait.views < settings.minimum_views:
            return "minimum_views"
        reason = filtered(settings, wait.holding.items)
        if reason:
            return reason
        if self.is_repeat(wait, signals, settings):
            return "repeat"
        return "cool_down" if self.is_too_soon(wait, settings) else ""

    def is_repeat(self, wait: Wait, signals: Sequence[Arrival], settings: Settings) -> bool:
        """Whether the process, or the order, had its raise (§4)."""
        raised = self.raised_of(wait.process)
        if raised and (self.template.once or settings.once):
            return True
        if self.moment.type != "post_purchase":
            return False
        thanked = {order for other in self.raised_of_profile(wait.process.profile) for order in other.orders}
        own = {signal.order_id for signal in wait.members if signal.order_id is not None}
        if wait.holding.order_id is not None:
            return wait.holding.order_id in thanked
        if own:
            return own <= thanked
        openings = [signal for signal in signals if opens_cart(signal)]
        return any(not any(is_between(signal, other, wait) for signal in openings) for other in raised)

    def is_too_soon(self, wait: Wait, settings: Settings) -> bool:
        """Whether the profile's last raise, that with the greatest due, lies less than the cool-down before (§4)."""
        dues = [other.due for other in self.raised_of_profile(wait.process.profile)]
        return settings.cool_down is not None and bool(dues) and wait.due - max(dues) < settings.cool_down

    def raised_of(self, process: Process) -> list[Wait]:
        return [wait for wait in self.waits[process] if wait.state == "raised"]

    def raised_of_profile(self, profile: Profile) -> list[Wait]:
        return [wait for wait in self.closed if wait.state == "raised" and wait.process.profile == profile]

    # What came of it

    def outcome(self) -> Outcome:
        every = [wait for waits in self.waits.values() for wait in waits]
        in_state = {state: [wait for wait in self.closed if wait.state == state] for state in STATES}
        return Outcome(
            raises=[raise_of(wait) for wait in in_state["raised"]],
            suppressed=[closed_of(wait) for wait in in_state["suppressed"]],
            ended=[closed_of(wait) for wait in in_state["ended"]],
            pending=[closed_of(wait) for wait in sorted(self.pending, key=lambda wait: (wait.due, wait.process))],
            contradictions=list(self.contradictions),
            ledger=Ledger(
                opened=len(every),
                raised=len(in_state["raised"]),
                ended=dict(Counter(wait.reason for wait in in_state["ended"])),
                suppressed=dict(Counter(wait.reason for wait in in_state["suppressed"])),
                pending=len(self.pending),
                contradicted=len({(process.profile, key) for process, key in self.contradictions}),
            ),
            recovered=list(self.recovered),
        )


def simulate(arrivals: Sequence[Arrival], moment: Moment, expiry: int = DAY, run_out: bool = True) -> Outcome:
    """What the moment does over a complete history of arrivals, which must be sorted by `came_at`.

    `run_out`: let time go on until no wait is pending; otherwise stop at the last arrival's instant, with the
    decisions that are ready at that instant taken.
    """
    instants = [arrival.came_at for arrival in arrivals]
    if instants != sorted(instants):
        raise ValueError("arrivals must be sorted by came_at")
    simulation = Simulation(moment, expiry)
    simulation.run(arrivals, run_out)
    return simulation.outcome()


def redelivered(arrival: Arrival, received_at: int) -> Arrival:
    """One more delivery of the same signal."""
    return replace(arrival, received_at=received_at)
