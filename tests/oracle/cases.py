"""Cases worked out by hand from DOMAIN, at least one for each sentence of §6.1-6.9 and 6.11, §4 and §2.2.

Times in this file are seconds after an arbitrary START; a duration of 60 s unless a case says otherwise. The cases are
data: the oracle must satisfy them (test_oracle.py), and so must anything else that claims to follow DOMAIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.oracle.oracle import DAY, SECOND, Arrival, Item, Moment, Settings

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A sentence of DOMAIN, a history and what must come of it. `choice`: the number of the reading in README.md."""

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
    expiry: int = DAY
    run_out: bool = True
    choice: int | None = None


def us(seconds: float) -> int:
    """Seconds after START as microseconds since 1970."""
    return START + round(seconds * SECOND)


def sent(
    kind: str,
    id: str,
    time: float,
    lines: Mapping[str, int] | None = None,
    *,
    received: float | None = None,
    source: str = "shop",
    profile: tuple[str, str] = ADA,
    site: str | None = None,
    cart: str | None = None,
    session: str | None = None,
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
        items=tuple(Item(product_id=product, quantity=quantity) for product, quantity in (lines or {}).items()),
    )


def cart(
    verb: str,
    id: str,
    time: float,
    lines: Mapping[str, int] | None = None,
    *,
    received: float | None = None,
    source: str = "shop",
    profile: tuple[str, str] = ADA,
    site: str | None = None,
    cart: str | None = "c",
) -> Arrival:
    """A cart signal, of cart `c` unless told."""
    return sent(
        f"cart/{verb}", id, time, lines, received=received, source=source, profile=profile, site=site, cart=cart
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
) -> Expected:
    """An expected raise of a cart, decided at its due unless told."""
    return Expected(
        process=process,
        opened=opened,
        activity=activity,
        due=due,
        decided=due if decided is None else decided,
        content=content or {"x": 1},
        last=last,
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

FOLDING = [
    Case(
        rule="2.2",
        name="add sums quantities",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 10, {"x": 2})),
        moment=carts(),
        raises=(raised(0, 10, 70, {"x": 3}, last="2"),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="remove subtracts",
        arrivals=(cart("add", "1", 0, {"x": 3}), cart("remove", "2", 10, X)),
        moment=carts(),
        raises=(raised(0, 10, 70, {"x": 2}),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="remove never goes below zero and drops the line at zero",
        arrivals=(cart("add", "1", 0, XY), cart("remove", "2", 10, {"x": 5}), cart("add", "3", 20, X)),
        moment=carts(),
        raises=(raised(0, 20, 80, XY),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="removing what is not there changes nothing but is activity",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 10, Y)),
        moment=carts(),
        raises=(raised(0, 10, 70, X, last="2"),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="replace sets the cart",
        arrivals=(cart("add", "1", 0, XY), cart("replace", "2", 10, {"z": 2})),
        moment=carts(),
        raises=(raised(0, 10, 70, {"z": 2}),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="clear empties the whole cart whatever items it names",
        arrivals=(cart("add", "1", 0, XY), cart("clear", "2", 10, X)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="2.2",
        name="purchase empties the whole cart whatever items it names",
        arrivals=(cart("add", "1", 0, XY), cart("purchase", "2", 10, X), cart("add", "3", 20, {"z": 1})),
        moment=carts(),
        raises=(raised(20, 20, 80, {"z": 1}),),
        opened=2,
        ended={"completed": 1},
    ),
    Case(
        rule="2.2",
        name="the default cart is one per profile and site",
        arrivals=(
            cart("add", "1", 0, X, cart=None, site="a"),
            cart("add", "2", 10, Y, cart=None, site="b"),
            cart("add", "3", 20, {"z": 1}, cart=None),
            cart("add", "4", 30, X, cart=None, site="a", profile=BOB),
        ),
        moment=carts(),
        raises=(
            raised(0, 0, 60, X, process="default:a"),
            raised(10, 10, 70, Y, process="default:b"),
            raised(20, 20, 80, {"z": 1}, process="default:"),
            raised(30, 30, 90, X, process="default:a"),
        ),
        opened=4,
    ),
    Case(
        rule="2.2",
        name="a purchase without cartId belongs to every cart of the profile that carries a signal of that site",
        arrivals=(
            cart("add", "1", 0, X, cart="c1", site="a"),
            cart("add", "2", 1, X, cart="c2", site="a"),
            cart("add", "3", 2, X, cart="c3", site="b"),
            cart("add", "4", 3, X, cart=None, site="a"),
            cart("add", "5", 4, X, cart="c4", site="a", profile=BOB),
            cart("purchase", "6", 20, X, cart=None, site="a"),
        ),
        moment=carts(),
        raises=(raised(2, 2, 62, process="c3"), raised(4, 4, 64, process="c4")),
        opened=5,
        ended={"completed": 3},
    ),
    Case(
        rule="2.2",
        name="a purchase without cartId does not belong to a cart whose signals are ordered after it",
        arrivals=(cart("purchase", "1", 0, cart=None, site="a"), cart("add", "2", 10, X, site="a")),
        moment=carts(),
        raises=(raised(10, 10, 70),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="a purchase without cartId belongs to a cart whose earlier signal arrives after it",
        arrivals=(
            cart("purchase", "1", 20, cart=None, site="a"),
            cart("add", "2", 30, Y, site="a"),
            cart("add", "3", 10, X, received=35, site="a"),
        ),
        moment=carts(),
        raises=(raised(30, 30, 90, Y),),
        opened=2,
        ended={"completed": 1},
        choice=1,
    ),
    Case(
        rule="2.2",
        name="a purchase with neither cartId nor site belongs to every cart of the profile",
        arrivals=(
            cart("add", "1", 0, X, cart="c1", site="a"),
            cart("add", "2", 1, X, cart="c2"),
            cart("purchase", "3", 20, X, cart=None),
        ),
        moment=carts(),
        opened=2,
        ended={"completed": 2},
    ),
    Case(
        rule="2.2",
        name="a purchase with a site does not belong to a cart whose signals have none",
        arrivals=(cart("add", "1", 0, X), cart("purchase", "2", 20, cart=None, site="a")),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="2.2",
        name="a purchase without cartId makes no cart",
        arrivals=(cart("purchase", "1", 0, X, cart=None, site="a"), cart("purchase", "2", 1, X, cart=None)),
        moment=carts(),
        opened=0,
    ),
    Case(
        rule="2.2",
        name="a purchase with a cartId ends that cart only",
        arrivals=(
            cart("add", "1", 0, X, cart="c1"),
            cart("add", "2", 0, X, cart="c2"),
            cart("purchase", "3", 20, cart="c1"),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, process="c2"),),
        opened=2,
        ended={"completed": 1},
    ),
]

CART_TEMPLATE = [
    Case(
        rule="4",
        name="cart/replace opens while items remain",
        arrivals=(cart("replace", "1", 0, X),),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="4",
        name="cart/clear ends",
        arrivals=(cart("add", "1", 0, X), cart("clear", "2", 59)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="a remove that empties the cart ends",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 10, X)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="a replace that empties the cart ends",
        arrivals=(cart("add", "1", 0, X), cart("replace", "2", 10)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="a cart signal that leaves the cart empty never opens",
        arrivals=(
            cart("remove", "1", 0, X, cart="c1"),
            cart("clear", "2", 0, cart="c2"),
            cart("replace", "3", 0, cart="c3"),
            cart("purchase", "4", 0, X, cart="c4"),
        ),
        moment=carts(),
        opened=0,
    ),
    Case(
        rule="4",
        name="a first remove opens when items remain, the start may have been lost",
        arrivals=(cart("add", "1", 0, {"x": 2}, received=200), cart("remove", "2", 190, X, received=201)),
        moment=carts(),
        expiry=100 * SECOND,
        raises=(raised(190, 190, 250, X),),
        opened=1,
    ),
    Case(
        rule="4",
        name="after an ender an opening signal opens again",
        arrivals=(cart("add", "1", 0, X), cart("clear", "2", 10), cart("add", "3", 20, Y)),
        moment=carts(),
        raises=(raised(20, 20, 80, Y),),
        opened=2,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="after an ender a sliding signal only changes content",
        arrivals=(
            cart("clear", "1", 0),
            cart("add", "2", 1, {"x": 2}, received=200),
            cart("remove", "3", 199, X, received=201),
        ),
        moment=carts(),
        expiry=100 * SECOND,
        opened=0,
    ),
    Case(
        rule="4",
        name="what a sliding signal changed after an ender is content of the next opening",
        arrivals=(
            cart("clear", "1", 0),
            cart("add", "2", 1, {"x": 2}, received=200),
            cart("remove", "3", 199, X, received=201),
            cart("add", "4", 210, Y),
        ),
        moment=carts(),
        expiry=100 * SECOND,
        raises=(raised(210, 210, 270, XY),),
        opened=1,
    ),
    Case(
        rule="4",
        name="views are no part of a cart",
        arrivals=(cart("add", "1", 0, X), view("2", 30), view("3", 50, session=None)),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a signal of another site opens no wait",
        arrivals=(cart("add", "1", 0, X, site="b"), cart("add", "2", 0, X, cart="d")),
        moment=carts(sites=frozenset({"a"})),
        opened=0,
    ),
    Case(
        rule="4",
        name="sites are judged at opening: a signal of another site slides",
        arrivals=(cart("add", "1", 0, X, site="a"), cart("add", "2", 10, Y, site="b")),
        moment=carts(sites=frozenset({"a"})),
        raises=(raised(0, 10, 70, XY),),
        opened=1,
    ),
    Case(
        rule="4",
        name="after a signal of another site one of the moment's sites opens at its own time",
        arrivals=(cart("add", "1", 0, X, site="b"), cart("add", "2", 10, Y, site="a")),
        moment=carts(sites=frozenset({"a"})),
        raises=(raised(10, 10, 70, XY),),
        opened=1,
        choice=2,
    ),
    Case(
        rule="4",
        name="maximum wait limits sliding, from the occurrence's opening",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 50, Y), cart("remove", "3", 90, Y)),
        moment=carts(maximum_wait=100),
        raises=(raised(0, 90, 100),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a signal after the maximum wait opens a new occurrence with a maximum wait of its own",
        arrivals=(
            cart("add", "1", 0, X),
            cart("remove", "2", 50, Y),
            cart("remove", "3", 100, Y),
            cart("remove", "4", 101, Y),
            cart("remove", "5", 150, Y),
            cart("remove", "6", 200, Y),
        ),
        moment=carts(maximum_wait=100),
        raises=(raised(0, 100, 100, decided=130, last="3"), raised(101, 200, 201, last="6")),
        opened=2,
    ),
]

BROWSE_TEMPLATE = [
    Case(
        rule="4",
        name="product/view and page/view open and slide",
        arrivals=(view("1", 0, kind="page/view"), view("2", 60), view("3", 100, kind="page/view")),
        moment=browsing(),
        raises=(abandoned(0, 100, 160, 3),),
        opened=1,
    ),
    Case(
        rule="4",
        name="the default session is one per profile and site",
        arrivals=(view("1", 0, session=None, site="a"), view("2", 10, session=None)),
        moment=browsing(),
        raises=(abandoned(0, 0, 60, 1, process="default:a"), abandoned(10, 10, 70, 1, process="default:")),
        opened=2,
    ),
    Case(
        rule="4",
        name="cart/add of the same session ends",
        arrivals=(view("1", 0), shop("add", "2", 10), view("3", 0, session="t")),
        moment=browsing(),
        raises=(abandoned(0, 0, 60, 1, process="t"),),
        opened=2,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="cart/replace of the same session ends",
        arrivals=(view("1", 0), shop("replace", "2", 10)),
        moment=browsing(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="cart/purchase of the same session completes",
        arrivals=(view("1", 0), shop("purchase", "2", 10)),
        moment=browsing(),
        opened=1,
        ended={"completed": 1},
    ),
    Case(
        rule="4",
        name="cart/remove and cart/clear are no part of browsing",
        arrivals=(view("1", 0), shop("remove", "2", 10), shop("clear", "3", 20), shop("clear", "4", 30, session=None)),
        moment=browsing(),
        raises=(abandoned(0, 0, 60, 1),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a cart/add without sessionId ends every session that carries a signal of that site ordered before it",
        arrivals=(
            view("1", 0, session="s1", site="a"),
            view("2", 1, session="s2", site="a"),
            view("3", 2, session="s3", site="b"),
            view("4", 3, session=None, site="a"),
            shop("add", "5", 20, session=None, site="a"),
            view("6", 30, session="s4", site="a"),
        ),
        moment=browsing(),
        raises=(abandoned(2, 2, 62, 1, process="s3"), abandoned(30, 30, 90, 1, process="s4")),
        opened=5,
        ended={"ended": 3},
    ),
    Case(
        rule="4",
        name="a purchase with neither sessionId nor site ends every session of the profile",
        arrivals=(
            view("1", 0, session="s1", site="a"),
            view("2", 1, session="s2"),
            shop("purchase", "3", 20, session=None),
        ),
        moment=browsing(),
        opened=2,
        ended={"completed": 2},
    ),
    Case(
        rule="4",
        name="the session stays closed: views within 30 min of its last signal, rolling, open nothing",
        arrivals=(
            view("1", 0),
            shop("add", "2", 10),
            view("3", 10 + 20 * A_MINUTE),
            view("4", 10 + 45 * A_MINUTE),
            view("5", 10 + 75 * A_MINUTE),
        ),
        moment=browsing(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="4",
        name="a view exactly 30 min after the ender keeps the session closed",
        arrivals=(shop("add", "1", 0), view("2", HALF_AN_HOUR)),
        moment=browsing(),
        opened=0,
    ),
    Case(
        rule="4",
        name="a view later than 30 min after the last signal is a new visit and opens",
        arrivals=(shop("add", "1", 0), view("2", HALF_AN_HOUR + MICROSECOND)),
        moment=browsing(),
        raises=(abandoned(HALF_AN_HOUR + MICROSECOND, HALF_AN_HOUR + MICROSECOND, HALF_AN_HOUR + 60 + MICROSECOND, 1),),
        opened=1,
    ),
    Case(
        rule="4",
        name="a new visit is measured from the last view, not from the ender",
        arrivals=(shop("add", "1", 0), view("2", 1700), view("3", 3400), view("4", 3400 + HALF_AN_HOUR + 1)),
        moment=browsing(),
        raises=(abandoned(5201, 5201, 5261, 3),),
        opened=1,
        choice=3,
    ),
    Case(
        rule="4",
        name="after a new visit has opened the session is closed no more",
        arrivals=(shop("add", "1", 0), view("2", 2000), view("3", 2100)),
        moment=browsing(),
        raises=(abandoned(2000, 2000, 2060, 1), abandoned(2100, 2100, 2160, 1)),
        opened=2,
    ),
    Case(
        rule="4",
        name="an ender that comes before any view closes the session",
        arrivals=(shop("purchase", "1", 0), view("2", 60)),
        moment=browsing(),
        opened=0,
    ),
    Case(
        rule="4",
        name="an expired view keeps a closed session closed and rolls its 30 min",
        arrivals=(
            shop("add", "1", 0),
            view("2", 2000, received=3000),
            view("3", 3700),
        ),
        moment=browsing(),
        expiry=900 * SECOND,
        opened=0,
    ),
    Case(
        rule="4",
        name="fewer views than the minimum suppress",
        arrivals=(view("1", 0),),
        moment=browsing(minimum_views=2),
        opened=1,
        suppressed={"minimum_views": 1},
    ),
    Case(
        rule="4",
        name="as many views as the minimum raise",
        arrivals=(view("1", 0), view("2", 10)),
        moment=browsing(minimum_views=2),
        raises=(abandoned(0, 10, 70, 2),),
        opened=1,
    ),
    Case(
        rule="4",
        name="views are counted since the last raise",
        arrivals=(view("1", 0), view("2", 10), view("3", 100), view("4", 200)),
        moment=browsing(minimum_views=2),
        raises=(abandoned(0, 10, 70, 2), abandoned(200, 200, 260, 2)),
        opened=3,
        suppressed={"minimum_views": 1},
    ),
    Case(
        rule="4",
        name="views of a closed session change content: they count",
        arrivals=(view("1", 0), shop("add", "2", 10), view("3", 20), view("4", 2000)),
        moment=browsing(minimum_views=3),
        raises=(abandoned(2000, 2000, 2060, 3),),
        opened=2,
        ended={"ended": 1},
        choice=3,
    ),
    Case(
        rule="4",
        name="the last raise is that with the greatest due before this due, also when a later one was raised first",
        arrivals=(
            view("1", 0, received=65),
            view("2", 61, received=66),
            view("3", -1, received=90),
            view("4", -2, received=115),
        ),
        moment=browsing(),
        raises=(abandoned(61, 61, 121, 4), abandoned(-2, 0, 60, 3, decided=145)),
        opened=2,
        choice=3,
    ),
]

LIFECYCLE = [
    Case(
        rule="5",
        name="at stop all pending waits are suppressed at once",
        arrivals=(cart("add", "1", 0, X),),
        moment=carts(runs=((-10, 30),)),
        opened=1,
        suppressed={"stopped": 1},
    ),
    Case(
        rule="5",
        name="a wait due at the very instant of the stop is suppressed",
        arrivals=(cart("add", "1", 0, X),),
        moment=carts(runs=((-10, 60),)),
        opened=1,
        suppressed={"stopped": 1},
        choice=4,
    ),
    Case(
        rule="5",
        name="a wait due before the stop is raised",
        arrivals=(cart("add", "1", 0, X),),
        moment=carts(runs=((-10, 60 + MICROSECOND),)),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="5",
        name="a stopped moment opens no wait",
        arrivals=(cart("add", "1", 40, X),),
        moment=carts(runs=((-10, 30), (50, None))),
        opened=0,
    ),
    Case(
        rule="5",
        name="a signal received at runningSince opens, one received just before does not",
        arrivals=(
            cart("add", "1", 50 - MICROSECOND, X, cart="c1"),
            cart("add", "2", 50, X, cart="c2"),
        ),
        moment=carts(runs=((50, None),)),
        raises=(raised(50, 50, 110, process="c2"),),
        opened=1,
    ),
    Case(
        rule="5",
        name="a signal of before runningSince that is received in the run opens",
        arrivals=(cart("add", "1", 40, X, received=55),),
        moment=carts(runs=((50, None),)),
        raises=(raised(40, 40, 100),),
        opened=1,
    ),
    Case(
        rule="5",
        name="after a restart a sliding signal of the old run opens a new wait at its own time",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 55, Y)),
        moment=carts(runs=((-10, 30), (50, None))),
        raises=(raised(55, 55, 115),),
        opened=2,
        suppressed={"stopped": 1},
    ),
    Case(
        rule="5",
        name="a stopped wait is not frozen: a signal before its due opens after the restart",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 10, Y, received=45)),
        moment=carts(runs=((-10, 30), (40, None))),
        raises=(raised(10, 10, 70, XY),),
        opened=2,
        suppressed={"stopped": 1},
    ),
    Case(
        rule="5",
        name="a stopped wait is not contradicted",
        arrivals=(cart("add", "1", 0, X), cart("purchase", "2", 10, received=45)),
        moment=carts(runs=((-10, 30), (40, None))),
        opened=1,
        suppressed={"stopped": 1},
    ),
    Case(
        rule="5",
        name="a raise of an old run stays frozen after a restart",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 30, Y, received=110)),
        moment=carts(runs=((-10, 80), (100, None))),
        raises=(raised(0, 0, 60),),
        opened=1,
        contradicted=1,
    ),
    Case(
        rule="5",
        name="a signal received before the run slides a wait that an earlier one opened in the run",
        arrivals=(cart("add", "1", 45, X), cart("add", "2", 40, Y, received=55)),
        moment=carts(runs=((50, None),)),
        raises=(raised(40, 45, 105, XY),),
        opened=1,
        choice=5,
    ),
    Case(
        rule="5",
        name="a longer duration re-times pending waits",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 55, Y)),
        moment=carts(versions=((50, settings_of(100)),)),
        raises=(raised(0, 55, 155, XY),),
        opened=1,
    ),
    Case(
        rule="5",
        name="a shorter duration re-times pending waits and never re-splits",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 50, Y)),
        moment=carts(versions=((55, settings_of(20)),)),
        raises=(raised(0, 50, 70, XY),),
        opened=1,
    ),
    Case(
        rule="5",
        name="whether a signal joins is judged with the settings in force at its receivedAt",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 40, Y)),
        moment=carts(versions=((20, settings_of(30)),)),
        raises=(raised(0, 0, 30), raised(40, 40, 70, XY)),
        opened=2,
    ),
    Case(
        rule="5",
        name="a signal that joins by a longer duration joins",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 90, Y)),
        moment=carts(versions=((50, settings_of(100)),)),
        raises=(raised(0, 90, 190, XY),),
        opened=1,
    ),
    Case(
        rule="5",
        name="a signal that joined before an edit is not split off when a further one comes",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 50, Y), cart("remove", "3", 60, {"z": 1})),
        moment=carts(versions=((55, settings_of(20)),)),
        raises=(raised(0, 60, 80, XY),),
        opened=1,
    ),
    Case(
        rule="5",
        name="other settings than timing apply at the raise",
        arrivals=(view("1", 0),),
        moment=Moment(
            type="browse_abandon",
            settings=settings_of(),
            versions=((us(30), settings_of(minimum_views=2)),),
        ),
        opened=1,
        suppressed={"minimum_views": 1},
    ),
]

ORDER = [
    Case(
        rule="6.1",
        name="the signals of a process are ordered by time, whatever the order of arrival",
        arrivals=(
            cart("remove", "2", 10, X, received=20),
            cart("add", "1", 0, {"x": 2}, received=21),
        ),
        moment=carts(),
        raises=(raised(0, 10, 70, X, last="2"),),
        opened=1,
    ),
    Case(
        rule="6.1",
        name="at the same time a remove ranks after an add",
        arrivals=(cart("remove", "1", 0, X), cart("add", "2", 0, {"x": 2})),
        moment=carts(),
        raises=(raised(0, 0, 60, X, last="1"),),
        opened=1,
    ),
    Case(
        rule="6.1",
        name="at the same time a replace ranks after add and remove",
        arrivals=(cart("replace", "1", 0, {"z": 1}), cart("add", "2", 0, X), cart("remove", "3", 0, {"z": 1})),
        moment=carts(),
        raises=(raised(0, 0, 60, {"z": 1}, last="1"),),
        opened=1,
    ),
    Case(
        rule="6.1",
        name="at the same time a clear ranks after an add",
        arrivals=(cart("add", "2", 0, X), cart("clear", "1", 0)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.1",
        name="at the same time a purchase ranks after everything, even when it arrives first",
        arrivals=(cart("purchase", "1", 0), cart("replace", "2", 0, X, received=5)),
        moment=carts(),
        opened=1,
        ended={"completed": 1},
        choice=1,
    ),
    Case(
        rule="6.1",
        name="at the same time and rank the id decides: the replace stands last",
        arrivals=(cart("replace", "b", 0, X), cart("clear", "a", 0)),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.1",
        name="at the same time and rank the id decides: the clear stands last",
        arrivals=(cart("replace", "a", 0, X), cart("clear", "b", 0)),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.1",
        name="at the same time and rank the source decides before the id",
        arrivals=(cart("replace", "b", 0, X, source="s1"), cart("clear", "a", 0, source="s2")),
        moment=carts(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.1",
        name="view and add have one rank: an add with the greater id comes after the view",
        arrivals=(view("a", 0), shop("add", "b", 0)),
        moment=browsing(),
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.1",
        name="view and add have one rank: a view with the greater id comes after the add and opens nothing",
        arrivals=(shop("add", "a", 0), view("b", 0)),
        moment=browsing(),
        opened=0,
    ),
    Case(
        rule="6.1",
        name="an ender affects everything before it and nothing after it",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "2", 20, Y),
            cart("purchase", "3", 10, received=30),
        ),
        moment=carts(),
        raises=(raised(20, 20, 80, Y),),
        opened=2,
        ended={"completed": 1},
    ),
]

OCCURRENCES = [
    Case(
        rule="6.2",
        name="due is the last activity and the duration when that is earlier than the maximum wait",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 40, Y)),
        moment=carts(maximum_wait=100 + MICROSECOND),
        raises=(raised(0, 40, 100),),
        opened=1,
    ),
    Case(
        rule="6.2",
        name="due is the opening and the maximum wait when that is earlier, from the first signal on",
        arrivals=(cart("add", "1", 0, X),),
        moment=carts(maximum_wait=20),
        raises=(raised(0, 0, 20),),
        opened=1,
    ),
    Case(
        rule="6.3",
        name="a signal with time = due slides the wait",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 60, Y)),
        moment=carts(),
        raises=(raised(0, 60, 120, XY, last="2"),),
        opened=1,
    ),
    Case(
        rule="6.3",
        name="a signal one microsecond after due leaves that wait as it is and opens a new occurrence",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 60 + MICROSECOND, Y)),
        moment=carts(),
        raises=(
            raised(0, 0, 60, X, last="1"),
            raised(60 + MICROSECOND, 60 + MICROSECOND, 120 + MICROSECOND, XY, last="2"),
        ),
        opened=2,
    ),
    Case(
        rule="6.3",
        name="a later sliding signal opens a new occurrence too",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 61, Y)),
        moment=carts(),
        raises=(raised(0, 0, 60), raised(61, 61, 121)),
        opened=2,
    ),
    Case(
        rule="6.3",
        name="a process may have several waits",
        arrivals=(cart("add", "1", 0, X, received=65), cart("add", "2", 62, Y, received=66)),
        moment=carts(),
        run_out=False,
        opened=2,
        pending=2,
    ),
    Case(
        rule="6.3",
        name="no ender stands inside an occurrence",
        arrivals=(cart("add", "1", 0, X), cart("clear", "2", 10), cart("add", "3", 10.5, Y), cart("add", "4", 65, X)),
        moment=carts(),
        raises=(raised(10.5, 65, 125, XY),),
        opened=2,
        ended={"ended": 1},
    ),
]

RAISE = [
    Case(
        rule="6.4",
        name="nothing is raised before due",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 60 - MICROSECOND, Y, cart="d")),
        moment=carts(),
        run_out=False,
        opened=2,
        pending=2,
    ),
    Case(
        rule="6.4",
        name="a wait is raised when now is due",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 60, Y, cart="d")),
        moment=carts(),
        run_out=False,
        raises=(raised(0, 0, 60),),
        opened=2,
        pending=1,
    ),
    Case(
        rule="6.4",
        name="content is judged on the fold of the signals with time at or before due",
        arrivals=(cart("add", "1", 0, X, received=65), cart("add", "2", 62, Y, received=66)),
        moment=carts(),
        raises=(raised(0, 0, 60, X, decided=95), raised(62, 62, 122, XY)),
        opened=2,
    ),
    Case(
        rule="6.4",
        name="an ender after due that is applied before the raise suppresses it",
        arrivals=(cart("add", "1", 0, X, received=65), cart("purchase", "2", 70)),
        moment=carts(),
        opened=1,
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.4",
        name="an ender after due leaves the wait pending until it is ready",
        arrivals=(cart("add", "1", 0, X, received=65), cart("purchase", "2", 70)),
        moment=carts(),
        run_out=False,
        opened=1,
        pending=1,
    ),
    Case(
        rule="6.4",
        name="an ender received the instant of the raise suppresses it",
        arrivals=(cart("add", "1", 0, X, received=65), cart("clear", "2", 95)),
        moment=carts(),
        opened=1,
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.4",
        name="an ender applied after the raise suppresses nothing",
        arrivals=(cart("add", "1", 0, X, received=65), cart("clear", "2", 95 + MICROSECOND)),
        moment=carts(),
        raises=(raised(0, 0, 60, decided=95),),
        opened=1,
    ),
    Case(
        rule="6.4",
        name="an ender at due ends the wait",
        arrivals=(cart("add", "1", 0, X, received=65), cart("purchase", "2", 60, received=70)),
        moment=carts(),
        opened=1,
        ended={"completed": 1},
    ),
    Case(
        rule="6.4",
        name="an ender after due and after a later occurrence suppresses the earlier wait and ends the later",
        arrivals=(
            cart("add", "1", 0, X, received=65),
            cart("add", "2", 62, Y, received=66),
            cart("purchase", "3", 70),
        ),
        moment=carts(),
        opened=2,
        ended={"completed": 1},
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.5",
        name="a purchase received at due is applied before the raise",
        arrivals=(cart("add", "1", 0, X), cart("purchase", "2", 60)),
        moment=carts(),
        opened=1,
        ended={"completed": 1},
    ),
]

LATE = [
    Case(
        rule="6.6",
        name="a wait whose due is later than the receivedAt of all its signals is raised at due",
        arrivals=(cart("add", "1", 0, X, received=60 - MICROSECOND),),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="a wait with a signal received at due is raised 30 s after that",
        arrivals=(cart("add", "1", 0, X, received=60),),
        moment=carts(),
        raises=(raised(0, 0, 60, decided=90),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="every further late signal moves the raise to 30 s after its receivedAt",
        arrivals=(cart("add", "1", 0, X, received=70), cart("add", "2", 1, Y, received=99)),
        moment=carts(),
        raises=(raised(0, 1, 61, XY, decided=129),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="the raise waits no longer than 5 min after the first signal received at or after due",
        arrivals=tuple(cart("add", f"{n:02}", n, X, received=100 + 25 * n) for n in range(14)),
        moment=carts(),
        raises=(raised(0, 12, 72, {"x": 13}, decided=400),),
        opened=1,
        contradicted=1,
    ),
    Case(
        rule="6.6",
        name="the 5 min count from a signal received at or after due, not from one received before it",
        arrivals=(
            cart("add", "00", 0, X, received=70),
            *(cart("add", f"{n:02}", 20, X, received=55 + 25 * n) for n in range(1, 14)),
        ),
        moment=carts(),
        raises=(raised(0, 20, 80, {"x": 14}, decided=380),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="a late signal that slides due beyond every receivedAt is raised at due",
        arrivals=(cart("add", "1", 0, X, received=65), cart("add", "2", 55, Y, received=66)),
        moment=carts(),
        raises=(raised(0, 55, 115, XY),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="an expired signal never opens",
        arrivals=(cart("add", "1", 0, X, received=100 + MICROSECOND),),
        moment=carts(),
        expiry=100 * SECOND,
        opened=0,
    ),
    Case(
        rule="6.6",
        name="a signal exactly as old as the expiry is not expired",
        arrivals=(cart("add", "1", 0, X, received=100),),
        moment=carts(),
        expiry=100 * SECOND,
        raises=(raised(0, 0, 60, decided=130),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="an expired signal changes content and does not slide",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 50, Y, received=160)),
        moment=carts(duration=200),
        expiry=100 * SECOND,
        raises=(raised(0, 0, 200, XY, last="1"),),
        opened=1,
    ),
    Case(
        rule="6.6",
        name="an expired signal may end a wait",
        arrivals=(cart("add", "1", 0, X), cart("clear", "2", 50, received=160)),
        moment=carts(duration=200),
        expiry=100 * SECOND,
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.6",
        name="an expired remove that empties the cart ends a wait",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 50, X, received=160)),
        moment=carts(duration=200),
        expiry=100 * SECOND,
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.6",
        name="an expired opening does not count as the opening after an ender",
        arrivals=(
            cart("add", "1", 0, X),
            cart("clear", "2", 10),
            cart("add", "3", 11, {"x": 2}, received=120),
            cart("remove", "4", 119, X, received=121),
        ),
        moment=carts(),
        expiry=100 * SECOND,
        opened=1,
        ended={"ended": 1},
    ),
    Case(
        rule="6.6",
        name="an expired view after 30 min does not count as a new visit",
        arrivals=(shop("add", "1", 0), view("2", 2000, received=3000), view("3", 3001)),
        moment=browsing(),
        expiry=900 * SECOND,
        opened=0,
    ),
]

FROZEN = [
    Case(
        rule="6.7",
        name="a signal between last activity and due contradicts a raise, moves nothing and opens no wait",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 30, Y, received=70)),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
        contradicted=1,
    ),
    Case(
        rule="6.7",
        name="nothing merges into a raised occurrence, and a contradicting signal changes content",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "2", 30, Y, received=70),
            cart("add", "3", 80, {"z": 1}),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, X), raised(80, 80, 140, {"x": 1, "y": 1, "z": 1})),
        opened=2,
        contradicted=1,
    ),
    Case(
        rule="6.7",
        name="a contradicting ender changes content",
        arrivals=(
            cart("add", "1", 0, X),
            cart("purchase", "2", 30, received=70),
            cart("add", "3", 80, Y),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, X), raised(80, 80, 140, Y)),
        opened=2,
        contradicted=1,
    ),
    Case(
        rule="6.7",
        name="a signal at due contradicts, one after due does not",
        arrivals=(
            cart("add", "1", 0, X, cart="c1"),
            cart("add", "2", 0, X, cart="c2"),
            cart("purchase", "3", 60, received=61, cart="c1"),
            cart("purchase", "4", 60 + MICROSECOND, received=61, cart="c2"),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, process="c1"), raised(0, 0, 60, process="c2")),
        opened=2,
        contradicted=1,
    ),
    Case(
        rule="6.7",
        name="a signal at the last activity does not contradict",
        arrivals=(cart("add", "1", 0, X), cart("purchase", "2", 0, received=61)),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
    ),
    Case(
        rule="6.7",
        name="a contradiction is counted once per signal",
        arrivals=(
            cart("add", "1", 0, X),
            cart("purchase", "2", 30, received=61),
            cart("purchase", "2", 30, received=62),
            cart("purchase", "3", 31, received=63),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60),),
        opened=1,
        contradicted=2,
    ),
    Case(
        rule="6.7",
        name="a signal that contradicts the raises of two carts is counted once",
        arrivals=(
            cart("add", "1", 0, X, cart="c1"),
            cart("add", "2", 0, X, cart="c2"),
            cart("purchase", "3", 30, received=61, cart=None),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, process="c1"), raised(0, 0, 60, process="c2")),
        opened=2,
        contradicted=1,
        choice=6,
    ),
    Case(
        rule="6.7",
        name="a signal that was applied before the raise does not contradict it",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 50, Y, received=160), cart("add", "3", 300, {"z": 1})),
        moment=carts(duration=200),
        expiry=100 * SECOND,
        raises=(raised(0, 0, 200, XY), raised(300, 300, 500, {"x": 1, "y": 1, "z": 1})),
        opened=2,
        choice=6,
    ),
    Case(
        rule="6.7",
        name="a signal before a raised occurrence neither opens it earlier nor opens a wait nor contradicts",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "2", -10, Y, received=70),
            cart("add", "3", -500, Y, received=71),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.7",
        name="a suppressed occurrence is frozen too, and is not contradicted",
        arrivals=(
            cart("add", "1", 0, X, received=65),
            cart("purchase", "2", 70),
            cart("add", "3", 30, Y, received=100),
            cart("add", "4", -5, Y, received=101),
        ),
        moment=carts(),
        opened=1,
        suppressed={"ended_before_raise": 1},
    ),
    Case(
        rule="6.7",
        name="waits already pending go on when a later occurrence is decided before them",
        arrivals=(
            cart("add", "1", 0, X, received=65),
            cart("add", "2", 61, X, received=66),
            cart("add", "3", -1, X, received=90),
            cart("add", "4", -2, X, received=115),
            cart("add", "5", -3, X, received=125),
        ),
        moment=carts(),
        raises=(raised(61, 61, 121, {"x": 4}), raised(-3, 0, 60, {"x": 4}, decided=155)),
        opened=2,
    ),
    Case(
        rule="6.7",
        name="a signal before the latest decided due opens no new wait beside pending ones",
        arrivals=(
            cart("add", "1", 0, X, received=65),
            cart("add", "2", 61, X, received=66),
            cart("add", "3", -1, X, received=90),
            cart("add", "4", -2, X, received=115),
            cart("add", "5", -100, X, received=125),
        ),
        moment=carts(),
        raises=(raised(61, 61, 121, {"x": 4}), raised(-2, 0, 60, {"x": 4}, decided=145)),
        opened=2,
    ),
    Case(
        rule="6.7",
        name="a signal after due opens its own occurrence beside the frozen one",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 30, Y, received=61), cart("remove", "3", 62, {"z": 1})),
        moment=carts(),
        raises=(raised(0, 0, 60, X), raised(62, 62, 122, XY)),
        opened=2,
        contradicted=1,
    ),
]

DUPLICATES = [
    Case(
        rule="6.8",
        name="the same signal twice counts once",
        arrivals=(cart("add", "1", 0, X), cart("add", "1", 0, X, received=10)),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="the copy applied first counts in full: a changed time or content of a later copy is ignored",
        arrivals=(cart("add", "1", 0, X), cart("add", "1", 30, {"y": 5}, received=31)),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="the copy applied first counts even when a later copy is older",
        arrivals=(cart("add", "1", 30, X), cart("add", "1", 0, {"y": 5}, received=31)),
        moment=carts(),
        raises=(raised(30, 30, 90, X),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="a later copy that names another process or another kind is ignored",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "1", 0, X, received=10, cart="d"),
            cart("purchase", "1", 11, received=11),
        ),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="a copy delivered after the raise changes nothing",
        arrivals=(cart("add", "1", 0, X), cart("add", "1", 30, X, received=70), cart("add", "1", 71, X)),
        moment=carts(),
        raises=(raised(0, 0, 60, X),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="one id from two sources is two signals",
        arrivals=(cart("add", "1", 0, X, source="s1"), cart("add", "1", 10, X, source="s2")),
        moment=carts(),
        raises=(raised(0, 10, 70, {"x": 2}),),
        opened=1,
    ),
    Case(
        rule="6.8",
        name="one id of two profiles is two signals",
        arrivals=(cart("add", "1", 0, X), cart("add", "1", 10, X, profile=BOB)),
        moment=carts(),
        raises=(raised(0, 0, 60), raised(10, 10, 70)),
        opened=2,
    ),
]

IDENTITY = [
    Case(
        rule="6.9",
        name="the occurrence's last signal is the last in order, not in arrival",
        arrivals=(cart("add", "b", 0, X), cart("add", "a", 0, Y), cart("remove", "0", -5, Y, received=1)),
        moment=carts(),
        raises=(raised(0, 0, 60, XY, last="b"),),
        opened=1,
    ),
    Case(
        rule="6.9",
        name="two occurrences of a process are two raises with different last signals",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 100, X)),
        moment=carts(),
        raises=(raised(0, 0, 60, X, last="1"), raised(100, 100, 160, {"x": 2}, last="2")),
        opened=2,
    ),
]

LEDGER = [
    Case(
        rule="6.11",
        name="joined: the later wait ends as merged, the earlier one goes on",
        arrivals=(
            cart("add", "1", 0, X, received=100),
            cart("add", "2", 110, X),
            cart("add", "3", 55, X, received=115),
        ),
        moment=carts(),
        raises=(raised(0, 110, 170, {"x": 3}, last="2"),),
        opened=2,
        ended={"merged": 1},
    ),
    Case(
        rule="6.11",
        name="no longer founded: the wait ends as void",
        arrivals=(view("1", 10), shop("add", "2", 5, received=20)),
        moment=browsing(),
        opened=1,
        ended={"void": 1},
    ),
    Case(
        rule="6.11",
        name="a cart wait that is no longer founded is void",
        arrivals=(
            cart("add", "1", 0, {"x": 2}, received=150),
            cart("remove", "2", 149, X, received=151),
            cart("clear", "3", 10, received=152),
        ),
        moment=carts(),
        expiry=100 * SECOND,
        opened=1,
        ended={"void": 1},
    ),
    Case(
        rule="6.11",
        name="split: the part with the wait's last signal keeps it, the other is a new one, ended at once by the ender",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "2", 40, Y),
            cart("clear", "3", 20, received=50),
        ),
        moment=carts(),
        raises=(raised(40, 40, 100, Y, last="2"),),
        opened=2,
        ended={"ended": 1},
    ),
    Case(
        rule="6.11",
        name="split in three: every other part is a new wait",
        arrivals=(
            cart("add", "1", 0, X),
            cart("add", "2", 20, X),
            cart("add", "3", 40, Y),
            cart("clear", "4", 10, received=45),
            cart("clear", "5", 30, received=46),
        ),
        moment=carts(),
        raises=(raised(40, 40, 100, Y),),
        opened=3,
        ended={"ended": 2},
    ),
    Case(
        rule="6.11",
        name="split by the maximum wait: the other part is a new wait and is raised",
        arrivals=(
            cart("add", "1", 10, X),
            cart("add", "2", 30, X),
            cart("add", "3", 55, X),
            cart("add", "4", 0, Y, received=56),
        ),
        moment=carts(duration=30, maximum_wait=50),
        raises=(
            raised(55, 55, 85, {"x": 3, "y": 1}, last="3"),
            raised(0, 30, 50, {"x": 2, "y": 1}, decided=86, last="2"),
        ),
        opened=2,
    ),
    Case(
        rule="6.11",
        name="revived: a new wait, ended is never taken back",
        arrivals=(cart("add", "1", 0, X), cart("remove", "2", 10, X), cart("add", "3", 5, Y, received=20)),
        moment=carts(),
        raises=(raised(0, 10, 70, Y, last="2"),),
        opened=2,
        ended={"ended": 1},
    ),
    Case(
        rule="6.11",
        name="a wait revived and ended again is two ended waits",
        arrivals=(
            cart("add", "1", 0, X),
            cart("remove", "2", 10, X),
            cart("add", "3", 5, Y, received=20),
            cart("purchase", "4", 30),
        ),
        moment=carts(),
        opened=2,
        ended={"ended": 1, "completed": 1},
    ),
    Case(
        rule="6.11",
        name="every wait that is not over is pending",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 1, X, cart="d"), cart("purchase", "3", 2)),
        moment=carts(),
        run_out=False,
        opened=2,
        ended={"completed": 1},
        pending=1,
    ),
    Case(
        rule="6.11",
        name="an occurrence that a known ender closes is a wait, opened and ended at once",
        arrivals=(cart("purchase", "1", 10), cart("add", "2", 0, X, received=20)),
        moment=carts(),
        opened=1,
        ended={"completed": 1},
        choice=1,
    ),
    Case(
        rule="6.11",
        name="a late signal of an occurrence that has ended is no new wait",
        arrivals=(
            cart("add", "1", 0, X),
            cart("purchase", "2", 10),
            cart("add", "3", 5, X, received=20),
            cart("add", "4", -5, X, received=21),
        ),
        moment=carts(),
        opened=1,
        ended={"completed": 1},
        choice=1,
    ),
    Case(
        rule="6.11",
        name="a wait whose last signal is activity no more ends by the ender that closes the rest of it",
        arrivals=(view("1", 0), view("2", 10), shop("add", "3", 5, received=20)),
        moment=browsing(),
        opened=1,
        ended={"ended": 1},
        choice=7,
    ),
]

CASES: list[Case] = [
    *FOLDING,
    *CART_TEMPLATE,
    *BROWSE_TEMPLATE,
    *LIFECYCLE,
    *ORDER,
    *OCCURRENCES,
    *RAISE,
    *LATE,
    *FROZEN,
    *DUPLICATES,
    *IDENTITY,
    *LEDGER,
]
