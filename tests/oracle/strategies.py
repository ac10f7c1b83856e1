"""Hypothesis strategies of small histories in which edges, lateness and duplicates happen often.

All times lie on a coarse grid around the duration, now and then one microsecond beside it. `watched` says by `event()`
what a history led to, so that `--hypothesis-show-statistics` tells whether the interesting cases happen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import event
from hypothesis import strategies as st

from tests.oracle.catalogue import TEMPLATES as ROWS
from tests.oracle.oracle import simulate
from tests.oracle.quiet import EPOCH, QuietHours
from tests.oracle.words import DAY, MINUTE, SECOND, Arrival, Item, Moment, Money, Outcome, Raise, Settings

BASE = 1_700_000_000 * SECOND
PROFILES = (("email", "ada@example.com"), ("email", "bob@example.com"))
SITES = ("a", "b", None)
PRODUCTS = ("x", "y", "z")
PROCESSES = ("p", "q", None)
SOURCES = ("app", "web")
CART_KINDS = ("cart/add",) * 4 + ("cart/remove",) * 3 + ("cart/replace", "cart/clear", "cart/purchase")
BROWSE_KINDS = ("product/view",) * 4 + ("page/view",) * 2 + ("cart/add", "cart/replace", "cart/purchase", "cart/remove")
BOOKING_KINDS = (*("booking/start", "booking/update") * 3, "booking/complete", "booking/cancel")
SURVEY_KINDS = (*("survey/start", "survey/update") * 2, "survey/complete")
GAME_KINDS = (*("game/start", "game/update") * 2, "game/complete")
CONVERSION_KINDS = (*("conversion/create", "conversion/update") * 3, "conversion/complete", "conversion/delete")
LIST_KINDS = (*("newsletter/signup", "newsletter/cancel") * 2, "webinar/signup", "webinar/cancel")
KINDS = {  # of each template what happens in its histories, and what keeps its waits going
    "cart_abandon": (CART_KINDS, ("cart/add", "cart/add", "cart/remove")),
    "browse_abandon": (BROWSE_KINDS, ("product/view",)),
    "booking_abandon": (BOOKING_KINDS, ("booking/start", "booking/update")),
    "survey_abandon": (SURVEY_KINDS, ("survey/start", "survey/update")),
    "game_abandon": (GAME_KINDS, ("game/start", "game/update")),
    "conversion_abandon": (CONVERSION_KINDS, ("conversion/create", "conversion/update")),
    "post_purchase": (CART_KINDS, ("cart/add", "cart/purchase", "cart/purchase")),
    "booking_complete": (BOOKING_KINDS, ("booking/complete",)),
    "survey_complete": (SURVEY_KINDS, ("survey/complete",)),
    "game_start": (GAME_KINDS, ("game/start",)),
    "welcome": (LIST_KINDS, ("newsletter/signup",)),
    "welcome_app": (("app/install", "app/install", "app/uninstall"), ("app/install",)),
    "goodbye": (LIST_KINDS, ("newsletter/cancel",)),
}
EVERY = tuple(KINDS)
MONTH = 30 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The coarse grid of a template: a step, the durations in steps and the expiry in steps."""

    step: int
    durations: tuple[int, ...]
    expiry: int
    length: int = 14  # steps in a history


CART_GRID = Grid(step=30 * SECOND, durations=(1, 2, 3, 4), expiry=9)
BROWSE_GRID = Grid(step=10 * MINUTE, durations=(1, 2, 3, 3), expiry=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A recorded history, sorted by `came_at`, with the moment that watches it."""

    arrivals: tuple[Arrival, ...]
    moment: Moment
    expiry: int

    def simulated(self, run_out: bool = True) -> Outcome:
        return simulate(self.arrivals, self.moment, self.expiry, run_out)


def grid_of(template: str) -> Grid:
    return BROWSE_GRID if template == "browse_abandon" else CART_GRID


def instants(grid: Grid) -> st.SearchStrategy[int]:
    """Instants on the grid, some a microsecond beside it."""
    beside = st.sampled_from((0, 0, 0, 0, 0, 0, -1, 1))
    return st.builds(lambda steps, by: BASE + steps * grid.step + by, st.integers(0, grid.length), beside)


def latenesses(grid: Grid) -> st.SearchStrategy[int]:
    """How late a signal is received: mostly at once, often around settle and due, sometimes about or beyond expiry."""
    steps = grid.step
    return st.one_of(
        st.just(0),
        st.just(0),
        st.sampled_from((1, SECOND, 30 * SECOND, 5 * MINUTE, steps // 2)),
        st.integers(1, 4).map(lambda count: count * steps),
        st.sampled_from((grid.expiry * steps, grid.expiry * steps + 1, (grid.expiry + 2) * steps)),
    )


ITEMS = tuple(
    Item(product_id=name, quantity=quantity, price=price, currency=currency, category=category)
    for name, quantity, (price, currency), category in product(
        PRODUCTS,
        (1, 1, 2, 3),
        (("10", "EUR"), ("20", "EUR"), ("10.5", "EUR"), ("20", "USD"), ("10", None), (None, None)),
        ("a", "b", None),
    )
)


def item_lists(minimum: int = 0) -> st.SearchStrategy[tuple[Item, ...]]:
    return st.lists(st.sampled_from(ITEMS), min_size=minimum, max_size=2).map(tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """What the signals of one history are drawn from: few processes and sites, so that signals meet."""

    kinds: tuple[str, ...]
    profiles: tuple[tuple[str, str], ...]
    processes: tuple[str | None, ...]
    sites: tuple[str | None, ...]


@st.composite
def focuses(draw: st.DrawFn, template: str, profiles: int) -> Focus:
    kinds, active = KINDS[template]
    return Focus(
        kinds=draw(st.sampled_from((kinds, kinds + 5 * active))),
        profiles=draw(st.sampled_from((PROFILES[:1], PROFILES[:1], PROFILES[:profiles]))),
        processes=draw(st.sampled_from((("p",), ("p",), (None,), ("p", "p", None), ("p", "q"), PROCESSES))),
        sites=draw(st.sampled_from(((None,), ("a",), ("a", "a", "b"), SITES))),
    )


@st.composite
def signals(draw: st.DrawFn, template: str, number: int, focus: Focus) -> Arrival:
    """One signal, first delivery. Ids are spread so that their order differs from that of time."""
    grid = grid_of(template)
    kind = draw(st.sampled_from(focus.kinds))
    time = draw(instants(grid))
    process = draw(st.sampled_from(focus.processes))
    is_cart, is_view = kind.startswith("cart/"), kind.endswith("/view")
    return Arrival(
        id=f"{(number * 37) % 101:03}",
        source=draw(st.sampled_from(SOURCES)),
        kind=kind,
        time=time,
        received_at=time + draw(latenesses(grid)),
        profile=draw(st.sampled_from(focus.profiles)),
        site=draw(st.sampled_from(focus.sites)),
        cart_id=process if is_cart else None,
        session_id=process if template == "browse_abandon" else None,
        process_id=None if is_cart or is_view else named(process, kind),
        order_id=draw(st.sampled_from((None, None, "o1", "o2"))) if kind == "cart/purchase" else None,
        items=lines_of(draw, kind),
    )


def named(process: str | None, kind: str) -> str | None:
    """Only apps and lists go without an id (§2.2)."""
    return process if kind.startswith(("app/", "newsletter/", "webinar/")) else process or "p"


def lines_of(draw: st.DrawFn, kind: str) -> tuple[Item, ...]:
    """What a signal of the kind carries; a view is of one product."""
    if kind.endswith("/view"):
        return (replace(draw(st.sampled_from(ITEMS)), quantity=1),)
    if kind.startswith(("cart/", "booking/")):
        return draw(item_lists(1 if kind == "cart/add" else 0))
    return ()


@st.composite
def held_back(draw: st.DrawFn, template: str, arrivals: list[Arrival]) -> list[Arrival]:
    """The arrivals after an outage: what happened before its end is received in a burst, seconds apart, mostly."""
    grid = grid_of(template)
    end = draw(instants(grid)) + grid.length // 2 * grid.step
    held = draw(st.sampled_from((1, 1, 1, 2)))  # all, or every second signal

    def received(number: int, arrival: Arrival) -> int:
        if arrival.time >= end or number % held:
            return arrival.received_at
        return end + draw(st.sampled_from((0, 0, 1, 5, 10, 20, 29, 30, 45))) * SECOND

    return [replace(arrival, received_at=received(number, arrival)) for number, arrival in enumerate(arrivals)]


@st.composite
def stitched(draw: st.DrawFn, template: str, arrivals: list[Arrival]) -> list[Arrival]:
    """The arrivals, some from one of two devices whose customer was known by what it had sent before an instant only.

    Copies of a signal come from the same device.
    """
    grid = grid_of(template)
    known = [draw(instants(grid)) + draw(st.sampled_from((0, 1, 4))) * grid.step for _ in range(2)]
    devices = {key: draw(st.sampled_from((None, 0, 0, 1))) for key in dict.fromkeys(a.key for a in arrivals)}

    def seen(arrival: Arrival) -> Arrival:
        device = devices[arrival.key]
        if device is None or arrival.received_at > known[device]:
            return arrival
        return replace(arrival, stitched_at=known[device])

    return [seen(arrival) for arrival in arrivals]


@st.composite
def duplicates(draw: st.DrawFn, template: str, signal: Arrival) -> Arrival:
    """One more delivery of the signal, later or at the same instant, as it was or changed."""
    grid = grid_of(template)
    copy = replace(
        signal, received_at=signal.received_at + draw(st.sampled_from((0, SECOND, grid.step, 5 * grid.step)))
    )
    changed = draw(st.sampled_from(("same", "same", "time", "items", "kind", "process")))
    if changed == "time":
        return replace(copy, time=min(copy.received_at, draw(instants(grid))))
    if changed == "items":
        return replace(copy, items=lines_of(draw, copy.kind))
    if changed == "kind":
        return replace(copy, kind=draw(st.sampled_from(KINDS[template][0])))
    if changed == "process":
        other = draw(st.sampled_from(PROCESSES))
        return replace(
            copy,
            cart_id=other if copy.cart_id is not None else None,
            session_id=other if copy.session_id is not None else None,
            process_id=other or "q" if copy.process_id is not None else None,
        )
    return copy


@st.composite
def settings_of(draw: st.DrawFn, template: str, rich: bool = False) -> Settings:
    """Settings of the template; `rich`: with quiet hours and everything that is judged at the raise."""
    grid = grid_of(template)
    instant = ROWS[template].instant
    wait = draw(st.sampled_from((None, None, None, 2, 3, 4)))
    plain = Settings(
        duration=draw(st.sampled_from((0, *grid.durations) if instant else grid.durations)) * grid.step,
        maximum_wait=None if wait is None or instant else wait * grid.step,
        minimum_views=draw(st.sampled_from((1, 1, 2, 3))) if template == "browse_abandon" else 1,
        sites=draw(st.sampled_from((None, None, None, None, frozenset({"a"})))),
        kinds=draw(st.sampled_from((None, None, frozenset({"newsletter"}))))
        if "newsletter/signup" in KINDS[template][0]
        else None,
    )
    if not rich:
        return plain
    kind = ROWS[template].process
    value = draw(st.sampled_from((None, None, "20", "30.5"))) if kind in ("cart", "booking") else None
    cool_down = draw(st.sampled_from((None, None, 1, 2, 4)))
    return replace(
        plain,
        quiet=draw(st.one_of(st.none(), st.none(), quiet_hours(grid))),
        minimum_value=None if value is None else Money(amount=Decimal(value), currency="EUR"),
        categories=draw(st.sampled_from((None, None, frozenset({"a"}))))
        if kind in ("cart", "booking", "browse")
        else None,
        once=draw(st.sampled_from((False, False, True))),
        cool_down=None if cool_down is None else cool_down * grid.step,
    )


@st.composite
def quiet_hours(draw: st.DrawFn, grid: Grid) -> QuietHours:
    """Quiet hours that the grid runs into, on the clock of some zone."""
    zone = draw(st.sampled_from(("UTC", "Europe/Paris", "America/New_York")))
    start = BASE + draw(st.integers(-2, grid.length)) * grid.step
    end = start + max(MINUTE, draw(st.integers(1, 6)) * grid.step)
    walls = [(EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).strftime("%H:%M") for at in (start, end)]
    return QuietHours(zone=zone, start=walls[0], end=walls[1])


@st.composite
def run_lists(draw: st.DrawFn, template: str) -> tuple[tuple[int, int | None], ...]:
    """When a moment runs: mostly always, else from some instant on, or with a stop and perhaps a restart."""
    grid = grid_of(template)
    shape = draw(st.sampled_from(("always",) * 5 + ("later", "stopped", "restarted", "restarted")))
    if shape == "always":
        return ((BASE - MONTH, None),)
    first, second = sorted(draw(st.lists(instants(grid), min_size=2, max_size=2, unique=True)))
    return {
        "later": ((first, None),),
        "stopped": ((BASE - MONTH, second),),
        "restarted": ((BASE - MONTH, first), (second, None)),
    }[shape]


@st.composite
def moments(draw: st.DrawFn, template: str, edits: bool = False, rich: bool = False) -> Moment:
    """A moment; with `edits` its settings may change once on the way."""
    versions: tuple[tuple[int, Settings], ...] = ()
    if edits and draw(st.booleans()):
        versions = ((draw(instants(grid_of(template))), draw(settings_of(template, rich))),)
    return Moment(
        type=template, settings=draw(settings_of(template, rich)), runs=draw(run_lists(template)), versions=versions
    )


def expiries(template: str) -> st.SearchStrategy[int]:
    grid = grid_of(template)
    return st.sampled_from((DAY, DAY, grid.expiry * grid.step))


@st.composite
def histories(
    draw: st.DrawFn,
    template: str,
    *,
    most: int = 14,
    profiles: int = 2,
    in_time: bool = False,
    copies: bool = True,
    edits: bool = False,
    plain: bool = False,
    rich: bool = False,
    anonymous: bool = False,
) -> History:
    """A history of up to `most` signals.

    `in_time`: every signal is received when it happens. `copies`: with redelivered and changed copies. `edits`: the
    settings may change. `plain`: a moment that always runs, without maximum wait, minimum views and sites. `rich`: with
    quiet hours and every filter. `anonymous`: in one of three, signals of senders who were told apart later.
    """
    count = draw(st.one_of(st.integers(1, most), st.integers(most // 2, most)))
    focus = draw(focuses(template, profiles))
    arrivals = [draw(signals(template, number, focus)) for number in range(count)]
    if in_time:
        arrivals = [replace(arrival, received_at=arrival.time) for arrival in arrivals]
    elif draw(st.sampled_from((False, True, True))):
        arrivals = draw(held_back(template, arrivals))
    if copies:
        chosen = draw(st.lists(st.sampled_from(arrivals), max_size=3))
        arrivals += [draw(duplicates(template, arrival)) for arrival in chosen]
    if anonymous and draw(st.sampled_from((False, False, True))):
        arrivals = draw(stitched(template, arrivals))
    if len(arrivals) > 1:
        arrivals = draw(st.permutations(arrivals))
    moment = draw(moments(template, edits, rich))
    if plain:
        moment = Moment(type=template, settings=Settings(duration=moment.settings.duration))
    return History(
        arrivals=tuple(sorted(arrivals, key=lambda arrival: arrival.came_at)),
        moment=moment,
        expiry=draw(expiries(template)),
    )


@st.composite
def shuffled_bursts(draw: st.DrawFn, template: str, *, most: int = 9, rich: bool = False) -> tuple[History, History]:
    """The same signals that came at one instant in two orders: nothing can be decided between them."""
    history = draw(histories(template, most=most, copies=False, rich=rich, anonymous=True))
    at = max(arrival.came_at for arrival in history.arrivals)
    arrivals = [
        replace(arrival, received_at=at) if arrival.stitched_at is None else replace(arrival, stitched_at=at)
        for arrival in history.arrivals
    ]
    return replace(history, arrivals=tuple(arrivals)), replace(history, arrivals=tuple(draw(st.permutations(arrivals))))


def any_history(**how: Any) -> st.SearchStrategy[History]:
    """A history of any template with any settings; the engine's two oldest templates come more often."""
    often = st.sampled_from(("cart_abandon", "browse_abandon", *EVERY))
    anonymous = not how.get("in_time", False)
    return often.flatmap(lambda template: histories(template, rich=True, anonymous=anonymous, **how))


def any_burst() -> st.SearchStrategy[tuple[History, History]]:
    """Shuffled bursts of any template with any settings."""
    return st.sampled_from(EVERY).flatmap(lambda template: shuffled_bursts(template, rich=True))


def is_moved(history: History, found: Raise) -> bool:
    """Whether the due was moved to the end of quiet hours."""
    quiet = history.moment.settings_at(found.decided_at).quiet
    return quiet is not None and quiet.hold(found.due_at - 1)


def watched(history: History, outcome: Outcome) -> Outcome:
    """The outcome, with an event for everything interesting that the history held or led to."""
    ledger = outcome.ledger
    event(history.moment.type)
    for reason in ledger.ended:
        event(f"ended: {reason}")
    for reason in ledger.suppressed:
        event(f"suppressed: {reason}")
    event(f"raises: {min(ledger.raised, 4)}")
    keys = {(arrival.profile, arrival.key) for arrival in history.arrivals}
    happened = {
        "contradicted": bool(ledger.contradicted),
        "recovered": bool(outcome.recovered),
        "moved out of quiet hours": any(is_moved(history, each) for each in outcome.raises),
        "settled": any(each.decided_at > each.due_at for each in outcome.raises),
        "on the due": any(a.time == each.due_at for each in outcome.raises for a in history.arrivals),
        "expired signal": any(a.received_at - a.time > history.expiry for a in history.arrivals),
        "stitched": any(a.stitched_at is not None for a in history.arrivals),
        "raised with a stitched signal": any(
            a.stitched_at is not None and a.key == each.last_signal and a.profile == each.profile
            for each in outcome.raises
            for a in history.arrivals
        ),
        "copies": len(keys) < len(history.arrivals),
        "two raises of a process": len({each.process for each in outcome.raises}) < len(outcome.raises),
        "decided out of order": any(
            first.process == second.process and first.due_at > second.due_at
            for first, second in zip(outcome.raises, outcome.raises[1:], strict=False)
        ),
    }
    for name, yes in happened.items():
        if yes:
            event(name)
    return outcome
