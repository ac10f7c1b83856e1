"""The demo's invented visitors."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice, pairwise, takewhile

from contracts.signals import CATALOGUE, PROFILE_FIELDS, Reference
from services.cli.shoppers import SITE, Action, Shoppers
from services.ingestion.admission import Admitted, Listener
from services.ingestion.reading import Accepted, Reception, read_signal


def minutes(count: int, seed: int = 1, run: str = "run") -> list[Action]:
    """What happens in so many minutes."""
    return list(takewhile(lambda action: action.at < count * 60, Shoppers(seed, run).actions()))


def test_the_same_seed_and_run_give_the_same_actions() -> None:
    first, second = (list(islice(Shoppers(7, "a").actions(), 200)) for _ in range(2))

    assert first == second


def test_another_run_shares_no_id_with_it() -> None:
    first, second = minutes(2, run="a"), minutes(2, run="b")

    assert not {action.id for action in first} & {action.id for action in second}
    assert len({action.id for action in first}) == len(first)


def test_actions_come_in_order_at_about_five_a_second() -> None:
    actions = minutes(5)

    assert all(before.at <= after.at for before, after in pairwise(actions))
    assert 4 <= len(actions) / 300 <= 6


def test_visitors_do_everything_that_visitors_do() -> None:
    kinds = Counter(action.signal for action in minutes(5))

    assert set(kinds) == {"product/view", "cart/add", "cart/remove", "cart/purchase"}
    assert kinds["product/view"] > kinds["cart/add"] > kinds["cart/purchase"] > 0


def test_carts_and_visits_are_left_behind_within_the_first_minute() -> None:
    by_visit: dict[str, list[Action]] = defaultdict(list)
    for action in minutes(1):
        by_visit[action.data["sessionId"]].append(action)

    quiet_carts = [v for v in by_visit.values() if v[-1].signal == "cart/add" and v[-1].at < 45]
    quiet_visits = [v for v in by_visit.values() if {a.signal for a in v} == {"product/view"} and v[-1].at < 35]

    assert len(quiet_carts) >= 2
    assert len(quiet_visits) >= 2


def test_only_what_lies_in_the_cart_is_removed() -> None:
    carts: dict[str, Counter[str]] = defaultdict(Counter)

    for action in minutes(5):
        if action.signal in ("cart/add", "cart/remove"):
            change = 1 if action.signal == "cart/add" else -1
            cart = carts[action.data["cartId"]]
            cart[action.data["items"][0]["productId"]] += change
            assert min(cart.values()) >= 0


def test_ingestion_would_accept_every_action_from_the_web() -> None:
    listener = Listener("c", (SITE,), frozenset(PROFILE_FIELDS), Reference("c", "c"), Reference("a"))
    reception = Reception(Admitted(listener, "pk_1", "web"), received_at=10**15)

    for action in minutes(1):
        envelope = {"id": action.id, "time": "2026-11-23T10:15:30Z", "data": action.data}
        read = read_signal(envelope, CATALOGUE[action.signal], reception, clean=False)

        assert isinstance(read, Accepted), read
