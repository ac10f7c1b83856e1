"""A slow, independent oracle of DOMAIN §6.1-6.9 and 6.11 for cart_abandon and browse_abandon.

It walks a complete recorded history in virtual time. After each arrival the occurrences of the profile's processes are
derived anew by sorting and folding all their signals; nothing is kept between two derivations but the waits themselves.
All times and durations are integers of microseconds. Standard library only, nothing of the product is imported.
Readings of DOMAIN that were chosen here are listed in README.md beside this file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

SETTLE = 30 * SECOND  # §6.6
SETTLE_CAP = 5 * MINUTE  # §6.6
VISIT_GAP = 30 * MINUTE  # §4, browse_abandon

RANKS = {  # §6.1
    "product/view": 0,
    "page/view": 0,
    "cart/add": 0,
    "cart/remove": 1,
    "cart/clear": 2,
    "cart/replace": 2,
    "cart/purchase": 3,
}
VIEWS = frozenset({"product/view", "page/view"})
BROWSE_ENDERS = frozenset({"cart/add", "cart/replace", "cart/purchase"})

Profile = tuple[str, str]
SignalKey = tuple[str, str]  # (source, id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a cart signal, or the product of a view."""

    product_id: str
    quantity: int = 1
    price: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One delivery of a signal: a redelivery is one more arrival with the same source and id."""

    id: str
    kind: str
    time: int
    received_at: int
    profile: Profile
    source: str = "shop"
    site: str | None = None
    cart_id: str | None = None
    session_id: str | None = None
    order_id: str | None = None
    items: tuple[Item, ...] = ()

    @property
    def key(self) -> SignalKey:
        return (self.source, self.id)

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The place of the signal in its process (§6.1)."""
        return (self.time, RANKS[self.kind], self.source, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is set on a moment. `maximum_wait` None: no limit. `sites` None: every site, and none."""

    duration: int
    maximum_wait: int | None = None
    minimum_views: int = 1
    sites: frozenset[str] | None = None

    def due(self, opened_at: int, last_activity_at: int) -> int:
        """The due time of an occurrence (§6.2)."""
        due = last_activity_at + self.duration
        return due if self.maximum_wait is None else min(due, opened_at + self.maximum_wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment with the times at which it ran: [since, until), `until` None: still running.

    `versions` are later settings, each with the instant from which it is in force.
    """

    type: str
    settings: Settings
    runs: tuple[tuple[int, int | None], ...] = ((0, None),)
    versions: tuple[tuple[int, Settings], ...] = ()
    id: str = "moment"
    configuration: str = "configuration"

    def settings_at(self, instant: int) -> Settings:
        """The settings in force at the instant."""
        found = self.settings
        for since, settings in sorted(self.versions, key=lambda version: version[0]):
            if since <= instant:
                found = settings
        return found

    def running_since(self, instant: int) -> int | None:
        """The start of the run that holds the instant, None when the moment does not run."""
        for since, until in self.runs:
            if since <= instant and (until is None or instant < until):
                return since
        return None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Process:
    """Something a profile may leave unfinished."""

    profile: Profile
    kind: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """A wait that came due and was raised. `content`: product to quantity (cart); `views`: since the last raise."""

    process: Process
    opened_at: int
    last_activity_at: int
    due_at: int
    decided_at: int
    last_signal: SignalKey
    content: dict[str, int]
    views: int

    @property
    def profile(self) -> Profile:
        return self.process.profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A wait that is over without a raise: suppressed or ended, for a reason, at an instant."""

    process: Process
    opened_at: int
    last_activity_at: int
    due_at: int
    decided_at: int
    last_signal: SignalKey
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The counts of §6.11 and the contradictions of §6.7."""

    opened: int
    raised: int
    ended: dict[str, int]
    suppressed: dict[str, int]
    pending: int
    contradicted: int

    @property
    def balances(self) -> bool:
        return self.opened == self.raised + sum(self.ended.values()) + sum(self.suppressed.values()) + self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a history leads to. Lists are in the order of decision."""

    raises: list[Raise]
    suppressed: list[Closed]
    ended: list[Closed]
    pending: list[Closed]
    contradictions: list[tuple[Process, SignalKey]]
    ledger: Ledger


@dataclass(slots=True, eq=False)
class Wait:
    """A wait and its fate; `state` is pending, ended, suppressed or raised."""

    process: Process
    members: list[Arrival]
    due: int
    state: str = "pending"
    reason: str = ""
    decided_at: int = -1
    known: set[SignalKey] = field(default_factory=set)  # the process's signals at the decision
    content: dict[str, int] = field(default_factory=dict)
    views: int = 0

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
    def ready_at(self) -> int:
        """When the wait may be decided (§6.6)."""
        received = [signal.received_at for signal in self.members]
        if all(at < self.due for at in received):
            return self.due
        first_after_due = min(at for at in received if at >= self.due)
        return max(self.due, min(max(received) + SETTLE, first_after_due + SETTLE_CAP))


@dataclass(slots=True, eq=False)
class Part:
    """A derived occurrence: its activity signals and, where one stands inside, the ender."""

    members: list[Arrival]
    ender: Arrival | None = None


# Content and the part each signal plays in its process


def fold_cart(content: dict[str, int], signal: Arrival) -> dict[str, int]:
    """The cart after the signal (§2.2)."""
    if signal.kind in ("cart/clear", "cart/purchase"):
        return {}
    lines = {} if signal.kind == "cart/replace" else dict(content)
    sign = -1 if signal.kind == "cart/remove" else 1
    for item in signal.items:
        lines[item.product_id] = lines.get(item.product_id, 0) + sign * item.quantity
        if lines[item.product_id] <= 0:
            del lines[item.product_id]
    return lines


def cart_content(signals: Iterable[Arrival]) -> dict[str, int]:
    content: dict[str, int] = {}
    for signal in signals:
        content = fold_cart(content, signal)
    return content


def cart_roles(signals: Sequence[Arrival], expiry: int) -> list[str]:
    """For each signal of a cart in order: `activity`, `ender`, or `content` when it only changes content (§4)."""
    roles = []
    content: dict[str, int] = {}
    closed = False
    for signal in signals:
        before, content = content, fold_cart(content, signal)
        emptied = bool(before) and not content
        if signal.kind in ("cart/clear", "cart/purchase") or emptied:
            roles.append("ender")
            closed = True
        elif not content or is_expired(signal, expiry) or (closed and signal.kind == "cart/remove"):
            roles.append("content")
        else:
            roles.append("activity")
            closed = False
    return roles


def browse_roles(signals: Sequence[Arrival], expiry: int) -> list[str]:
    """For each signal of a browsing session in order: `activity`, `ender` or `content` (§4)."""
    roles = []
    closed = False
    previous = -math.inf
    for signal in signals:
        if signal.kind in BROWSE_ENDERS:
            roles.append("ender")
            closed = True
        elif is_expired(signal, expiry) or (closed and signal.time - previous <= VISIT_GAP):
            roles.append("content")
        else:
            roles.append("activity")
            closed = False
        previous = signal.time
    return roles


def is_expired(signal: Arrival, expiry: int) -> bool:
    return signal.received_at - signal.time > expiry


# Which process a signal belongs to


def own_process(kind: str, signal: Arrival) -> str | None:
    """The id of the one process of this kind that the signal names, None when it names none."""
    default = "default:" + (signal.site or "")
    if kind == "cart":
        if signal.kind in VIEWS or (signal.kind == "cart/purchase" and signal.cart_id is None):
            return None
        return signal.cart_id if signal.cart_id is not None else default
    if signal.kind in VIEWS:
        return signal.session_id if signal.session_id is not None else default
    return signal.session_id if signal.kind in BROWSE_ENDERS else None


def is_of_profile(kind: str, signal: Arrival) -> bool:
    """Whether the signal reaches every process of the profile and its site (§2.2, §4)."""
    if kind == "cart":
        return signal.kind == "cart/purchase" and signal.cart_id is None
    return signal.kind in BROWSE_ENDERS and signal.session_id is None


def processes_of(kind: str, signals: Sequence[Arrival]) -> dict[str, list[Arrival]]:
    """All processes of this kind of one profile, each with all its signals in order."""
    own: dict[str, list[Arrival]] = {}
    for signal in signals:
        process_id = own_process(kind, signal)
        if process_id is not None:
            own.setdefault(process_id, []).append(signal)
    everywhere = [signal for signal in signals if is_of_profile(kind, signal)]
    return {
        process_id: sorted(carried + [s for s in everywhere if reaches(s, carried)], key=lambda s: s.order)
        for process_id, carried in own.items()
    }


def reaches(of_profile: Arrival, carried: Sequence[Arrival]) -> bool:
    return any(
        signal.order < of_profile.order and (of_profile.site is None or signal.site == of_profile.site)
        for signal in carried
    )


class Simulation:
    """The state of one moment over a history. See `simulate`."""

    def __init__(self, moment: Moment, expiry: int) -> None:
        self.moment = moment
        self.expiry = expiry
        self.kind = {"cart_abandon": "cart", "browse_abandon": "browse"}[moment.type]
        self.roles = {"cart": cart_roles, "browse": browse_roles}[self.kind]
        self.signals: dict[Profile, dict[SignalKey, Arrival]] = {}
        self.waits: dict[Process, list[Wait]] = {}
        self.pending: list[Wait] = []
        self.closed: list[Wait] = []  # in the order of decision
        self.contradictions: dict[tuple[Process, SignalKey], None] = {}

    # Time

    def run(self, arrivals: Sequence[Arrival], run_out: bool) -> None:
        by_instant: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            by_instant.setdefault(arrival.received_at, []).append(arrival)
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
        for wait in self.pending:
            wait.due = self.moment.settings_at(now).due(wait.opened_at, wait.last.time)

    # Arrivals

    def apply(self, arrival: Arrival) -> None:
        known = self.signals.setdefault(arrival.profile, {})
        if arrival.key in known:
            return  # the copy applied first counts in full (§6.8)
        known[arrival.key] = arrival
        now = arrival.received_at
        for process_id, signals in sorted(processes_of(self.kind, list(known.values())).items()):
            process = Process(profile=arrival.profile, kind=self.kind, id=process_id)
            self.note_contradictions(process, signals)
            since = self.moment.running_since(now)
            if since is not None:
                self.rederive(process, signals, since, now)

    def note_contradictions(self, process: Process, signals: Sequence[Arrival]) -> None:
        """Signals between last activity and due that came to the process after its raise (§6.7)."""
        for wait in self.waits.get(process, ()):
            for signal in signals:
                inside = wait.last.time < signal.time <= wait.due
                if wait.state == "raised" and inside and signal.key not in wait.known:
                    self.contradictions[process, signal.key] = None

    def rederive(self, process: Process, signals: Sequence[Arrival], since: int, now: int) -> None:
        """Derive the occurrences of the process anew and bring its undecided waits in line (§6.11)."""
        waits = self.waits.setdefault(process, [])
        pending = sorted((wait for wait in waits if wait.state == "pending"), key=lambda wait: wait.members[0].order)
        latest_decided_due = max((wait.due for wait in waits if wait.freezes), default=-math.inf)
        barred: set[SignalKey] = set()
        while True:
            parts = self.derive(signals, [wait for wait in waits if wait.freezes], since, barred)
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
        self, signals: Sequence[Arrival], frozen: Sequence[Wait], since: int, barred: set[SignalKey]
    ) -> list[Part]:
        """The undecided occurrences of a process (§6.3)."""
        parts: list[Part] = []
        current: Part | None = None
        for signal, role in zip(signals, self.roles(signals, self.expiry), strict=True):
            settings = self.moment.settings_at(signal.received_at)
            reached = current is not None and signal.time <= settings.due(
                current.members[0].time, current.members[-1].time
            )
            if role == "ender":
                if current is not None and reached:
                    current.ender = signal
                current = None
            elif role == "activity" and not any(wait.opened_at <= signal.time <= wait.due for wait in frozen):
                if current is not None and reached:
                    current.members.append(signal)
                    continue
                current = None
                at_site = settings.sites is None or signal.site in settings.sites
                if signal.received_at >= since and at_site and signal.key not in barred:
                    current = Part(members=[signal])
                    parts.append(current)
        return parts

    # The life of a wait

    def open(self, process: Process, part: Part, now: int) -> None:
        wait = Wait(process=process, members=part.members, due=0)
        self.waits[process].append(wait)
        self.pending.append(wait)
        self.update(wait, part, now)

    def update(self, wait: Wait, part: Part, now: int) -> None:
        if part.ender is not None:
            if not wait.due:
                wait.due = self.moment.settings_at(now).due(wait.opened_at, wait.last.time)
            self.close(wait, "ended", "completed" if part.ender.kind == "cart/purchase" else "ended", now)
            wait.members = sorted({*wait.members, *part.members}, key=lambda signal: signal.order)
            return
        wait.members = part.members
        wait.due = self.moment.settings_at(now).due(wait.opened_at, wait.last.time)

    def close(self, wait: Wait, state: str, reason: str, now: int) -> None:
        wait.state, wait.reason, wait.decided_at = state, reason, now
        self.pending.remove(wait)
        self.closed.append(wait)

    def decide(self, wait: Wait, now: int) -> None:
        """Raise or suppress a wait that is ready (§6.4)."""
        process = wait.process
        signals = processes_of(self.kind, list(self.signals[process.profile].values()))[process.id]
        wait.known = {signal.key for signal in signals}
        enders = [s for s, role in zip(signals, self.roles(signals, self.expiry), strict=True) if role == "ender"]
        until_due = [signal for signal in signals if signal.time <= wait.due]
        raised = [other.due for other in self.waits[process] if other.state == "raised" and other.due < wait.due]
        last_raise = max(raised, default=-math.inf)
        wait.content = cart_content(until_due) if self.kind == "cart" else {}
        wait.views = sum(signal.kind in VIEWS and signal.time > last_raise for signal in until_due)
        settings = self.moment.settings_at(now)
        if any(ender.order > wait.last.order for ender in enders):
            self.close(wait, "suppressed", "ended_before_raise", now)
        elif self.kind == "cart" and not wait.content:
            self.close(wait, "suppressed", "empty", now)
        elif self.kind == "browse" and wait.views < settings.minimum_views:
            self.close(wait, "suppressed", "minimum_views", now)
        else:
            self.close(wait, "raised", "", now)

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
        )


STATES = ("raised", "suppressed", "ended")


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
        content=wait.content,
        views=wait.views if wait.process.kind == "browse" else 0,
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


def simulate(arrivals: Sequence[Arrival], moment: Moment, expiry: int = DAY, run_out: bool = True) -> Outcome:
    """What the moment does over a complete history of arrivals, which must be sorted by `received_at`.

    `run_out`: let time go on until no wait is pending; otherwise stop at the last arrival's instant, with the
    decisions that are ready at that instant taken.
    """
    instants = [arrival.received_at for arrival in arrivals]
    if instants != sorted(instants):
        raise ValueError("arrivals must be sorted by received_at")
    simulation = Simulation(moment, expiry)
    simulation.run(arrivals, run_out)
    return simulation.outcome()


def redelivered(arrival: Arrival, received_at: int) -> Arrival:
    """One more delivery of the same signal."""
    return replace(arrival, received_at=received_at)
