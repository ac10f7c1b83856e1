"""The oracle's words: what goes in and what comes out. Times are integers of microseconds.

Standard library only, nothing of the product is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tests.oracle.quiet import QuietHours

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

RANKS = {  # §6.1, by verb
    **dict.fromkeys(("view", "start", "create", "add", "update", "signup", "install"), 0),
    "remove": 1,
    **dict.fromkeys(("clear", "replace"), 2),
    **dict.fromkeys(("purchase", "complete", "cancel", "delete", "uninstall"), 3),
}

Profile = tuple[str, str]
SignalKey = tuple[str, str]  # (source, id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a cart or booking signal, or the product of a view."""

    product_id: str
    quantity: int = 1
    price: str | None = None
    currency: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One delivery of a signal: a redelivery is one more arrival with the same source and id.

    `process_id`: the id of the booking, survey, game, conversion or app, or the name of the subscription.
    `stitched_at`: when its anonymous sender was told to be the profile, None where that was known at its receipt.
    """

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
    process_id: str | None = None
    items: tuple[Item, ...] = ()
    stitched_at: int | None = None

    @property
    def came_at(self) -> int:
        """When the signal came to the profile."""
        return self.received_at if self.stitched_at is None else max(self.received_at, self.stitched_at)

    @property
    def key(self) -> SignalKey:
        return (self.source, self.id)

    @property
    def group(self) -> str:
        """The class of the signal, `cart` of `cart/add`."""
        return self.kind.partition("/")[0]

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The place of the signal in its process (§6.1)."""
        return (self.time, RANKS[self.kind.partition("/")[2]], self.source, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount of a currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is set on a moment.

    `duration`: an instant moment's delay. `maximum_wait` None: no limit. `sites` None: every site, and none. `kinds`
    and `categories` None: every one. `once`: repeat is `once`.
    """

    duration: int
    maximum_wait: int | None = None
    quiet: QuietHours | None = None
    sites: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    minimum_views: int = 1
    minimum_value: Money | None = None
    categories: frozenset[str] | None = None
    once: bool = False
    cool_down: int | None = None

    def opens(self, signal: Arrival) -> bool:
        """What is judged at opening (§4)."""
        return (self.sites is None or signal.site in self.sites) and (self.kinds is None or signal.group in self.kinds)


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
    """A wait that came due and was raised.

    `content`: product to quantity (carts, what was bought, bookings); `views`: since the last raise.
    """

    process: Process
    opened_at: int
    last_activity_at: int
    due_at: int
    decided_at: int
    last_signal: SignalKey
    content: dict[str, int]
    views: int
    order_id: str | None = None

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
class Recovery:
    """A completing signal that recovered the raise of a process with that due (§6.10)."""

    process: Process
    due_at: int
    signal: SignalKey
    at: int


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
    recovered: list[Recovery] = field(default_factory=list)
