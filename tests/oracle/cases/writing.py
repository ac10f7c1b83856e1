"""Cases worked out by hand from DOMAIN, at least one for each sentence of §6.1-6.9 and 6.11, §4 and §2.2.

Times in this file are seconds after an arbitrary START; a duration of 60 s unless a case says otherwise. The cases are
data: the oracle must satisfy them (test_oracle.py), and so must anything else that claims to follow DOMAIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.words import DAY, SECOND, Arrival, Item, Moment, Settings

START = 1_000_000_000 * SECOND
ADA = ("email", "ada@example.com")
BOB = ("email", "bob@example.com")
MICROSECOND = 0.000_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One expected raise, in seconds after START. `last`: id of the occurrence's last signal, None: not compared."""

    process: str
    opened: float
    activity: float
    due: float
    decided: float
    content: Mapping[str, int] = field(default_factory=dict)
    views: int = 0
    last: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A sentence of DOMAIN, a history and what must come of it.

    `recovered`: of each recovery the due of the raise, the id of the signal, and when. `choice`: the number of the
    reading in README.md.
    """

    rule: str
    name: str
    arrivals: tuple[Arrival, ...]
    moment: Moment
    raises: tuple[Expected, ...] = ()
    opened: int
    ended: Mapping[str, int] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    contradicted: int = 0
    recovered: tuple[tuple[float, str, float], ...] = ()
    expiry: int = DAY
    run_out: bool = True
    choice: int | None = None


def us(seconds: float) -> int:
    """Seconds after START as microseconds since 1970."""
    return START + round(seconds * SECOND)


Lines = Mapping[str, int] | tuple[Item, ...] | None


def items_of(lines: Lines) -> tuple[Item, ...]:
    if isinstance(lines, tuple):
        return lines
    return tuple(Item(product_id=product, quantity=quantity) for product, quantity in (lines or {}).items())


def sent(
    kind: str,
    id: str,
    time: float,
    lines: Lines = None,
    *,
    received: float | None = None,
    source: str = "shop",
    profile: tuple[str, str] = ADA,
    site: str | None = None,
    cart: str | None = None,
    session: str | None = None,
    order: str | None = None,
    process: str | None = None,
    stitched: float | None = None,
) -> Arrival:
    """One arrival; received at its own time unless told."""
    return Arrival(
        id=id,
        kind=kind,
        time=us(time),
        received_at=us(time if received is None else received),
        profile=profile,
        source=source,
        site=site,
        cart_id=cart,
        session_id=session,
        order_id=order,
        process_id=process,
        items=items_of(lines),
        stitched_at=None if stitched is None else us(stitched),
    )


def cart(
    verb: str,
    id: str,
    time: float,
    lines: Lines = None,
    *,
    received: float | None = None,
    source: str = "shop",
    profile: tuple[str, str] = ADA,
    site: str | None = None,
    cart: str | None = "c",
    order: str | None = None,
    stitched: float | None = None,
) -> Arrival:
    """A cart signal, of cart `c` unless told."""
    return sent(
        f"cart/{verb}",
        id,
        time,
        lines,
        received=received,
        source=source,
        profile=profile,
        site=site,
        cart=cart,
        order=order,
        stitched=stitched,
    )


def view(
    id: str,
    time: float,
    *,
    received: float | None = None,
    kind: str = "product/view",
    site: str | None = None,
    session: str | None = "s",
) -> Arrival:
    """A view, in session `s` unless told."""
    return sent(kind, id, time, {"x": 1}, received=received, site=site, session=session)


def shop(
    verb: str,
    id: str,
    time: float,
    *,
    received: float | None = None,
    site: str | None = None,
    session: str | None = "s",
    lines: Mapping[str, int] | None = None,
) -> Arrival:
    """A cart signal as a browsing session sees it, in session `s` unless told."""
    return sent(f"cart/{verb}", id, time, lines or {"x": 1}, received=received, site=site, cart="c", session=session)


def step(
    kind: str,
    id: str,
    time: float,
    lines: Lines = None,
    *,
    received: float | None = None,
    profile: tuple[str, str] = ADA,
    site: str | None = None,
    process: str | None = "p",
    stitched: float | None = None,
) -> Arrival:
    """A signal of a booking, survey, game, conversion, subscription or app, of process `p` unless told."""
    return sent(
        kind, id, time, lines, received=received, profile=profile, site=site, process=process, stitched=stitched
    )


def item(
    product: str,
    quantity: int = 1,
    *,
    price: str | None = None,
    currency: str | None = "EUR",
    category: str | None = None,
) -> Item:
    """A line with what filters judge."""
    return Item(product_id=product, quantity=quantity, price=price, currency=currency, category=category)


def settings_of(
    duration: float = 60, maximum_wait: float | None = None, minimum_views: int = 1, sites: frozenset[str] | None = None
) -> Settings:
    return Settings(
        duration=round(duration * SECOND),
        maximum_wait=None if maximum_wait is None else round(maximum_wait * SECOND),
        minimum_views=minimum_views,
        sites=sites,
    )


def carts(
    duration: float = 60,
    maximum_wait: float | None = None,
    sites: frozenset[str] | None = None,
    runs: tuple[tuple[float, float | None], ...] = ((-1_000_000, None),),
    versions: tuple[tuple[float, Settings], ...] = (),
) -> Moment:
    """A cart_abandon moment; runs and versions in seconds after START."""
    return Moment(
        type="cart_abandon",
        settings=settings_of(duration, maximum_wait, sites=sites),
        runs=tuple((us(since), None if until is None else us(until)) for since, until in runs),
        versions=tuple((us(since), settings) for since, settings in versions),
    )


def moment(
    template: str,
    length: float = 60,
    *,
    runs: tuple[tuple[float, float | None], ...] = ((-1_000_000, None),),
    versions: tuple[tuple[float, Settings], ...] = (),
    **settings: Any,
) -> Moment:
    """A moment of any template with any settings; runs and versions in seconds after START."""
    return Moment(
        type=template,
        settings=Settings(duration=round(length * SECOND), **settings),
        runs=tuple((us(since), None if until is None else us(until)) for since, until in runs),
        versions=tuple((us(since), version) for since, version in versions),
    )


def browsing(duration: float = 60, minimum_views: int = 1) -> Moment:
    """A browse_abandon moment."""
    return Moment(type="browse_abandon", settings=settings_of(duration, minimum_views=minimum_views))


def raised(
    opened: float,
    activity: float,
    due: float,
    content: Mapping[str, int] | None = None,
    *,
    decided: float | None = None,
    process: str = "c",
    last: str | None = None,
    order: str | None = None,
) -> Expected:
    """An expected raise of a cart, decided at its due unless told."""
    return Expected(
        process=process,
        opened=opened,
        activity=activity,
        due=due,
        decided=due if decided is None else decided,
        content={"x": 1} if content is None else content,
        last=last,
        order=order,
    )


def abandoned(
    opened: float, activity: float, due: float, views: int, *, decided: float | None = None, process: str = "s"
) -> Expected:
    """An expected raise of a browsing session, decided at its due unless told."""
    return Expected(
        process=process,
        opened=opened,
        activity=activity,
        due=due,
        decided=due if decided is None else decided,
        views=views,
    )


X = {"x": 1}
Y = {"y": 1}
XY = {"x": 1, "y": 1}
A_MINUTE = 60
HALF_AN_HOUR = 30 * A_MINUTE


def finished(
    opened: float,
    activity: float,
    due: float,
    *,
    decided: float | None = None,
    process: str = "p",
    last: str | None = None,
    content: Mapping[str, int] | None = None,
) -> Expected:
    """An expected raise of any other process, decided at its due unless told; without items unless told."""
    return raised(opened, activity, due, content or {}, decided=decided, process=process, last=last)
