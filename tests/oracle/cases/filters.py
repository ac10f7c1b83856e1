"""Minimum value, categories, repeat and cool-down, judged at the raise and final (§4)."""

from __future__ import annotations

from decimal import Decimal

from tests.oracle.cases.writing import (
    BOB,
    MICROSECOND,
    Case,
    X,
    Y,
    abandoned,
    cart,
    finished,
    item,
    moment,
    raised,
    sent,
    step,
)
from tests.oracle.words import SECOND, Money

FIFTY = Money(amount=Decimal(50), currency="EUR")
SHOES = frozenset({"shoes", "boots"})


VALUES = [
    Case(
        rule="4",
        name="a cart worth exactly the minimum value raises, one cent less is suppressed",
        arrivals=(
            cart("add", "1", 0, (item("x", 2, price="25.00"),), cart="c1"),
            cart("add", "2", 0, (item("x", 1, price="49.99"),), cart="c2"),
        ),
        moment=moment("cart_abandon", minimum_value=FIFTY),
        raises=(raised(0, 0, 60, {"x": 2}, process="c1"),),
        opened=2,
        suppressed={"minimum_value": 1},
    ),
    Case(
        rule="4",
        name="an item without price counts 0 and another currency is not counted",
        arrivals=(cart("add", "1", 0, (item("x", 9), item("y", price="100", currency="USD"), item("z", price="49"))),),
        moment=moment("cart_abandon", minimum_value=FIFTY),
        opened=1,
        suppressed={"minimum_value": 1},
    ),
    Case(
        rule="4",
        name="a price without a currency is not in the currency that is asked for, it does not count",
        arrivals=(cart("add", "1", 0, (item("x", price="50", currency=None),)),),
        moment=moment("cart_abandon", minimum_value=FIFTY),
        opened=1,
        suppressed={"minimum_value": 1},
        choice=18,
    ),
    Case(
        rule="4",
        name="of a product the price counts that was said last, one that is not said again stays",
        arrivals=(
            cart("add", "1", 0, (item("x", price="10"),), cart="c1"),
            cart("add", "2", 1, (item("x", price="25"),), cart="c1"),
            cart("add", "3", 2, (item("x", price="25"),), cart="c2"),
            cart("add", "4", 3, (item("x", currency=None),), cart="c2"),
            cart("add", "5", 4, (item("x", price="25"),), cart="c3"),
            cart("add", "6", 5, (item("x", price="24"),), cart="c3"),
        ),
        moment=moment("cart_abandon", minimum_value=FIFTY),
        raises=(raised(0, 1, 61, {"x": 2}, process="c1"), raised(2, 3, 63, {"x": 2}, process="c2")),
        opened=3,
        suppressed={"minimum_value": 1},
        choice=18,
    ),
    Case(
        rule="6.4",
        name="the minimum value is judged on the signals up to the due, not on what came after it",
        arrivals=(
            cart("add", "1", 0, (item("x", price="49"),), received=65),
            cart("add", "2", 61, (item("y", price="1"),), received=66),
        ),
        moment=moment("cart_abandon", minimum_value=FIFTY),
        raises=(raised(61, 61, 121, {"x": 1, "y": 1}),),
        opened=2,
        suppressed={"minimum_value": 1},
    ),
    Case(
        rule="4",
        name="a suppression is final: what comes late for it raises nothing and contradicts nothing",
        arrivals=(
            cart("add", "1", 0, (item("x", price="49"),)),
            cart("add", "2", 30, (item("y", price="10"),), received=61),
            cart("remove", "3", 70, Y),
        ),
        moment=moment("cart_abandon", minimum_value=Money(amount=Decimal(49) + Decimal("0.5"), currency="EUR")),
        opened=2,
        suppressed={"minimum_value": 2},
    ),
    Case(
        rule="5",
        name="a minimum value that is edited while the wait is pending applies at the raise",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 20, X, cart="d")),
        moment=moment(
            "cart_abandon", minimum_value=FIFTY, versions=((60 + MICROSECOND, moment("cart_abandon").settings),)
        ),
        raises=(raised(20, 20, 80, X, process="d"),),
        opened=2,
        suppressed={"minimum_value": 1},
    ),
    Case(
        rule="4",
        name="a booking is worth what its items are, given last",
        arrivals=(
            step("booking/start", "1", 0, (item("room", 2, price="20"),)),
            step("booking/update", "2", 5, (item("room", 2, price="25"),)),
            step("booking/start", "3", 0, (item("room", 2, price="20"),), process="q"),
        ),
        moment=moment("booking_abandon", minimum_value=FIFTY),
        raises=(finished(0, 5, 65, content={"room": 2}),),
        opened=2,
        suppressed={"minimum_value": 1},
        choice=17,
    ),
    Case(
        rule="4",
        name="a purchase is worth what was bought",
        arrivals=(
            cart("add", "1", 0, (item("x", price="60"),)),
            cart("purchase", "2", 5),
            cart("add", "3", 20, (item("x", price="60"),)),
            cart("purchase", "4", 30, (item("y", price="49"),)),
        ),
        moment=moment("post_purchase", 10, minimum_value=FIFTY),
        raises=(raised(5, 5, 15, X),),
        opened=2,
        suppressed={"minimum_value": 1},
        choice=15,
    ),
]

CATEGORIES = [
    Case(
        rule="4",
        name="one item of one of the categories suffices",
        arrivals=(
            cart("add", "1", 0, (item("x", category="hats"), item("y", category="boots")), cart="c1"),
            cart("add", "2", 0, (item("x", category="hats"), item("y")), cart="c2"),
        ),
        moment=moment("cart_abandon", categories=SHOES),
        raises=(raised(0, 0, 60, {"x": 1, "y": 1}, process="c1"),),
        opened=2,
        suppressed={"categories": 1},
    ),
    Case(
        rule="4",
        name="an item that was taken out matches no more",
        arrivals=(
            cart("add", "1", 0, (item("x", category="hats"), item("y", category="boots"))),
            cart("remove", "2", 10, Y),
        ),
        moment=moment("cart_abandon", categories=SHOES),
        opened=1,
        suppressed={"categories": 1},
    ),
    Case(
        rule="4",
        name="the products that were viewed have categories, one that is not said again stays",
        arrivals=(
            sent("product/view", "1", 0, (item("x", category="shoes"),), session="s"),
            sent("page/view", "2", 10, (item("x"),), session="s"),
            sent("product/view", "3", 0, (item("x", category="hats"),), session="t"),
        ),
        moment=moment("browse_abandon", categories=SHOES),
        raises=(abandoned(0, 10, 70, 2),),
        opened=2,
        suppressed={"categories": 1},
        choice=18,
    ),
    Case(
        rule="4",
        name="an empty purchase is of no category",
        arrivals=(cart("purchase", "1", 0),),
        moment=moment("post_purchase", 10, categories=SHOES),
        opened=1,
        suppressed={"categories": 1},
        choice=15,
    ),
    Case(
        rule="4",
        name="a completed booking is of the categories of its items",
        arrivals=(
            step("booking/start", "1", 0, (item("room", category="shoes"),)),
            step("booking/complete", "2", 5),
            step("booking/complete", "3", 5, process="q"),
        ),
        moment=moment("booking_complete", 10, categories=SHOES),
        raises=(finished(5, 5, 15, content={"room": 1}),),
        opened=2,
        suppressed={"categories": 1},
    ),
]

REPEATS = [
    Case(
        rule="4",
        name="repeat once: a process raises once, a later occurrence is suppressed",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 100, X), cart("add", "3", 100, X, cart="d")),
        moment=moment("cart_abandon", once=True),
        raises=(raised(0, 0, 60), raised(100, 100, 160, process="d")),
        opened=3,
        suppressed={"repeat": 1},
    ),
    Case(
        rule="4",
        name="repeat once counts raises only: what was suppressed or ended was no raise",
        arrivals=(
            cart("add", "1", 0, (item("x", price="10"),)),
            cart("clear", "2", 100),
            cart("add", "3", 101, (item("x", price="60"),)),
            cart("purchase", "4", 110),
            cart("add", "5", 120, (item("x", price="60"),)),
        ),
        moment=moment("cart_abandon", once=True, minimum_value=FIFTY),
        raises=(raised(120, 120, 180),),
        opened=3,
        ended={"completed": 1},
        suppressed={"minimum_value": 1},
    ),
    Case(
        rule="5",
        name="repeat is judged with the settings at the raise",
        arrivals=(cart("add", "1", 0, X), cart("add", "2", 100, X), cart("add", "3", 200, X)),
        moment=moment("cart_abandon", versions=((150, moment("cart_abandon", once=True).settings),)),
        raises=(raised(0, 0, 60),),
        opened=3,
        suppressed={"repeat": 2},
    ),
    Case(
        rule="4",
        name="repeat once for a visit that comes again",
        arrivals=(
            sent("product/view", "1", 0, X, session="s"),
            sent("product/view", "2", 100, X, session="s"),
            sent("product/view", "3", 100, X, session="t"),
        ),
        moment=moment("browse_abandon", once=True),
        raises=(abandoned(0, 0, 60, 1), abandoned(100, 100, 160, 1, process="t")),
        opened=3,
        suppressed={"repeat": 1},
    ),
]

COOL_DOWNS = [
    Case(
        rule="4",
        name="the cool-down is the profile's: within it other carts are suppressed, exactly after it they raise",
        arrivals=(
            cart("add", "1", 0, X, cart="c1"),
            cart("add", "2", 100 - MICROSECOND, X, cart="c2"),
            cart("add", "3", 100, X, cart="c3"),
            cart("add", "4", 50, X, cart="c1", profile=BOB),
        ),
        moment=moment("cart_abandon", cool_down=100 * SECOND),
        raises=(
            raised(0, 0, 60, process="c1"),
            raised(50, 50, 110, process="c1"),
            raised(100, 100, 160, process="c3"),
        ),
        opened=4,
        suppressed={"cool_down": 1},
    ),
    Case(
        rule="4",
        name="a suppressed raise begins no cool-down",
        arrivals=tuple(cart("add", f"{n}", 60 * n, X, cart=f"c{n}") for n in range(4)),
        moment=moment("cart_abandon", cool_down=120 * SECOND),
        raises=(raised(0, 0, 60, process="c0"), raised(120, 120, 180, process="c2")),
        opened=4,
        suppressed={"cool_down": 2},
    ),
    Case(
        rule="4",
        name="of two that are due together the smaller process wins",
        arrivals=(cart("add", "1", 0, X, cart="c2"), cart("add", "2", 0, X, cart="c1")),
        moment=moment("cart_abandon", cool_down=SECOND),
        raises=(raised(0, 0, 60, process="c1"),),
        opened=2,
        suppressed={"cool_down": 1},
    ),
    Case(
        rule="4",
        name="of two that are decided together the smaller due wins",
        arrivals=(
            cart("add", "1", 2, X, cart="c1", received=170),
            cart("add", "2", 1, X, cart="c2", received=170),
        ),
        moment=moment("cart_abandon", cool_down=10 * SECOND),
        raises=(raised(1, 1, 61, process="c2", decided=200),),
        opened=2,
        suppressed={"cool_down": 1},
    ),
    Case(
        rule="4",
        name="a negative difference does not pass: what was due before the last raise is suppressed",
        arrivals=(
            cart("add", "1", 100, X, cart="c1"),
            cart("add", "2", 0, X, cart="c2", received=170),
            cart("add", "3", 101, X, cart="c3", received=171),
        ),
        moment=moment("cart_abandon", cool_down=SECOND),
        raises=(raised(100, 100, 160, process="c1"), raised(101, 101, 161, process="c3", decided=201)),
        opened=3,
        suppressed={"cool_down": 1},
    ),
    Case(
        rule="4",
        name="the last raise is the one with the greatest due, not the one that was decided last",
        arrivals=(
            cart("add", "1", 100, X, cart="c1"),
            cart("add", "2", 0, X, cart="c2", received=170),
            cart("add", "3", 105, X, cart="c3", received=180),
        ),
        moment=moment("cart_abandon", versions=((205, moment("cart_abandon", cool_down=10 * SECOND).settings),)),
        raises=(raised(100, 100, 160, process="c1"), raised(0, 0, 60, process="c2", decided=200)),
        opened=3,
        suppressed={"cool_down": 1},
    ),
    Case(
        rule="4",
        name="a cool-down bounds welcomes over all subscriptions of a profile",
        arrivals=(
            step("event/signup", "1", 0),
            step("newsletter/signup", "2", 5),
            step("webinar/signup", "3", 20),
        ),
        moment=moment("welcome", 10, cool_down=20 * SECOND),
        raises=(finished(0, 0, 10, process="event:p"), finished(20, 20, 30, process="webinar:p")),
        opened=3,
        suppressed={"cool_down": 1},
    ),
]

BOOKED = [
    Case(
        rule="4",
        name="each line of a booking counts with its own price and category, though of one product",
        arrivals=(
            step("booking/start", "1", 0, (item("room", 2, price="20", category="boots"), item("room", price="10"))),
            step("booking/start", "2", 0, (item("room", 2, price="20"), item("room", price="10")), process="q"),
        ),
        moment=moment("booking_abandon", minimum_value=FIFTY, categories=SHOES),
        raises=(finished(0, 0, 60, content={"room": 3}),),
        opened=2,
        suppressed={"categories": 1},
        choice=17,
    ),
]

PRECEDENCE = [
    Case(
        rule="4",
        name="the first filter that objects is the reason: value, categories, repeat, cool-down",
        arrivals=(
            cart("add", "1", 0, (item("x", price="60", category="boots"),), cart="c1"),
            cart("add", "2", 100, (item("y", price="1", category="boots"),), cart="c1"),
            cart("add", "3", 101, (item("x", price="1", category="hats"),), cart="c2"),
            cart("add", "4", 102, (item("x", price="60", category="hats"),), cart="c3"),
            cart("add", "5", 103, (item("x", price="60", category="boots"),), cart="c4"),
        ),
        moment=moment("cart_abandon", minimum_value=FIFTY, categories=SHOES, once=True, cool_down=1000 * SECOND),
        raises=(raised(0, 0, 60, process="c1"),),
        opened=5,
        suppressed={"repeat": 1, "minimum_value": 1, "categories": 1, "cool_down": 1},
        choice=19,
    ),
    Case(
        rule="4",
        name="an ender before the raise and too few views come before every other filter",
        arrivals=(
            sent("product/view", "1", 0, X, session="s", received=65),
            sent("cart/purchase", "2", 70, X, session="s", cart="c"),
            sent("product/view", "3", 0, X, session="t"),
        ),
        moment=moment("browse_abandon", minimum_views=2, categories=SHOES),
        opened=2,
        suppressed={"ended_before_raise": 1, "minimum_views": 1},
        choice=19,
    ),
]
