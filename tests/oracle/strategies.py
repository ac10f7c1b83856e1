"""Hypothesis strategies of small histories in which edges, lateness and duplicates happen often.

All times lie on a coarse grid around the duration, now and then one microsecond beside it. `watched` says by `event()`
what a history led to, so that `--hypothesis-show-statistics` tells whether the interesting cases happen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import event
from hypothesis import strategies as st

from tests.oracle.oracle import simulate
from tests.oracle.words import DAY, MINUTE, SECOND, Arrival, Item, Moment, Outcome, Settings

BASE = 1_700_000_000 * SECOND
PROFILES = (("email", "ada@example.com"), ("email", "bob@example.com"))
SITES = ("a", "b", None)
PRODUCTS = ("x", "y", "z")
PROCESSES = ("p", "q", None)
SOURCES = ("app", "web")
CART_KINDS = ("cart/add",) * 4 + ("cart/remove",) * 3 + ("cart/replace", "cart/clear", "cart/purchase")
BROWSE_KINDS = ("product/view",) * 4 + ("page/view",) * 2 + ("cart/add", "cart/replace", "cart/purchase", "cart/remove")
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
    """A recorded history, sorted by `received_at`, with the moment that watches it."""

    arrivals: tuple[Arrival, ...]
    moment: Moment
    expiry: int

    def simulated(self, run_out: bool = True) -> Outcome:
        return simulate(self.arrivals, self.moment, self.expiry, run_out)


def grid_of(template: str) -> Grid:
    return CART_GRID if template == "cart_abandon" else BROWSE_GRID


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


def item_lists(minimum: int = 0) -> st.SearchStrategy[tuple[Item, ...]]:
    quantities = st.sampled_from((1, 1, 1, 2, 3))
    item = st.builds(Item, product_id=st.sampled_from(PRODUCTS), quantity=quantities)
    return st.lists(item, min_size=minimum, max_size=2).map(tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """What the signals of one history are drawn from: few processes and sites, so that signals meet."""

    kinds: tuple[str, ...]
    profiles: tuple[tuple[str, str], ...]
    processes: tuple[str | None, ...]
    sites: tuple[str | None, ...]


@st.composite
def focuses(draw: st.DrawFn, template: str, profiles: int) -> Focus:
    kinds = CART_KINDS if template == "cart_abandon" else BROWSE_KINDS
    active = ("cart/add", "cart/add", "cart/remove") if template == "cart_abandon" else ("product/view",)
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
    is_cart = kind.startswith("cart/")
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
        items=draw(item_lists(1 if kind == "cart/add" or not is_cart else 0)),
    )


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
        return replace(copy, items=draw(item_lists(1)))
    if changed == "kind":
        return replace(copy, kind="cart/purchase")
    if changed == "process":
        other = draw(st.sampled_from(PROCESSES))
        return replace(copy, cart_id=other if copy.kind.startswith("cart/") else None, session_id=other)
    return copy


def settings_of(template: str) -> st.SearchStrategy[Settings]:
    grid = grid_of(template)

    def build(duration: int, wait: int | None, views: int, sites: frozenset[str] | None) -> Settings:
        return Settings(
            duration=duration * grid.step,
            maximum_wait=None if wait is None else wait * grid.step,
            minimum_views=views if template == "browse_abandon" else 1,
            sites=sites,
        )

    return st.builds(
        build,
        st.sampled_from(grid.durations),
        st.sampled_from((None, None, None, 2, 3, 4)),
        st.sampled_from((1, 1, 2, 3)),
        st.sampled_from((None, None, None, None, frozenset({"a"}))),
    )


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
def moments(draw: st.DrawFn, template: str, edits: bool = False) -> Moment:
    """A moment; with `edits` its settings may change once on the way."""
    versions: tuple[tuple[int, Settings], ...] = ()
    if edits and draw(st.booleans()):
        versions = ((draw(instants(grid_of(template))), draw(settings_of(template))),)
    return Moment(
        type=template, settings=draw(settings_of(template)), runs=draw(run_lists(template)), versions=versions
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
) -> History:
    """A history of up to `most` signals.

    `in_time`: every signal is received when it happens. `copies`: with redelivered and changed copies. `edits`: the
    settings may change. `plain`: a moment that always runs, without maximum wait, minimum views and sites.
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
    if len(arrivals) > 1:
        arrivals = draw(st.permutations(arrivals))
    moment = draw(moments(template, edits))
    if plain:
        moment = Moment(type=template, settings=Settings(duration=moment.settings.duration))
    return History(
        arrivals=tuple(sorted(arrivals, key=lambda arrival: arrival.received_at)),
        moment=moment,
        expiry=draw(expiries(template)),
    )


@st.composite
def shuffled_bursts(draw: st.DrawFn, template: str, *, most: int = 9) -> tuple[History, History]:
    """The same signals received at one instant in two orders: nothing can be decided between them."""
    history = draw(histories(template, most=most, copies=False))
    at = max(arrival.received_at for arrival in history.arrivals)
    arrivals = [replace(arrival, received_at=at) for arrival in history.arrivals]
    return replace(history, arrivals=tuple(arrivals)), replace(history, arrivals=tuple(draw(st.permutations(arrivals))))


TEMPLATES = ("cart_abandon", "browse_abandon")


def watched(history: History, outcome: Outcome) -> Outcome:
    """The outcome, with an event for everything interesting that the history held or led to."""
    ledger = outcome.ledger
    for reason in ledger.ended:
        event(f"ended: {reason}")
    for reason in ledger.suppressed:
        event(f"suppressed: {reason}")
    event(f"raises: {min(ledger.raised, 4)}")
    keys = {(arrival.profile, arrival.key) for arrival in history.arrivals}
    happened = {
        "contradicted": bool(ledger.contradicted),
        "settled": any(each.decided_at > each.due_at for each in outcome.raises),
        "on the due": any(a.time == each.due_at for each in outcome.raises for a in history.arrivals),
        "expired signal": any(a.received_at - a.time > history.expiry for a in history.arrivals),
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
