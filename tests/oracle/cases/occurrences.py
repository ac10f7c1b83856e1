"""Order, due, occurrences and their identity (§6.1-6.3, 6.9)."""

from __future__ import annotations

from tests.oracle.cases.writing import MICROSECOND, XY, Case, X, Y, browsing, cart, carts, raised, shop, view

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
