"""Invented visitors of a shop: who does what, and when. Pure and seeded, for `moments up --demo`."""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SITE = "shop.example.com"
VISITORS = 12

_FIRST = ("ada", "ben", "cleo", "dan", "eva", "finn", "gia", "hugo", "ines", "jon", "kira", "leo", "mia", "nils", "ona")
_LAST = ("adams", "brandt", "costa", "dubois", "evans", "fischer", "garcia", "hansen", "ito", "jensen", "klein", "lund")
_PRODUCTS = (
    ("mug-blue", "Blue mug", "kitchen", 12.50),
    ("tea-green", "Green tea", "kitchen", 6.90),
    ("lamp-desk", "Desk lamp", "home", 49.00),
    ("plaid-wool", "Wool plaid", "home", 79.00),
    ("boots-rain", "Rain boots", "shoes", 64.90),
    ("scarf-red", "Red scarf", "fashion", 24.00),
    ("bag-canvas", "Canvas bag", "fashion", 34.50),
    ("pen-brass", "Brass pen", "office", 18.00),
    ("book-sea", "A book about the sea", "books", 21.90),
    ("bike-bell", "Bicycle bell", "outdoor", 9.90),
)


@dataclass(frozen=True, slots=True)
class Action:
    """What a visitor does: seconds after the start, signal id, kind (`cart/add`) and `data`."""

    at: float
    id: str
    signal: str
    data: dict[str, Any]


@dataclass(slots=True)
class _Visitor:
    email: str
    visit: str
    views_left: int
    cart: list[int] = field(default_factory=list)
    last_viewed: int | None = None


@dataclass(slots=True)
class Shoppers:
    """A dozen visitors at a time, each doing something every few seconds: five signals a second in all.

    They view products, add and remove, buy or just leave; who leaves is followed by another. `run` makes the ids
    of this run its own; the same seed and run give the same actions.
    """

    seed: int
    run: str
    visitors: int = VISITORS
    _random: random.Random = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed}")

    def actions(self) -> Iterator[Action]:
        """Actions without end, in the order of time."""
        waiting: list[tuple[float, int, _Visitor]] = []
        for number in range(self.visitors):
            heapq.heappush(waiting, (self._random.uniform(0, 3), number, self._arrive()))
        while True:
            at, number, visitor = heapq.heappop(waiting)
            done = self._act(at, visitor)
            if done is None:
                visitor = self._arrive()
            else:
                yield done
            heapq.heappush(waiting, (at + self._random.uniform(0.8, 3.6), number, visitor))

    def _arrive(self) -> _Visitor:
        name = f"{self._random.choice(_FIRST)}.{self._random.choice(_LAST)}{self._random.randrange(1, 100)}"
        self._count += 1
        return _Visitor(f"{name}@example.com", f"{self.run}-{self._count}", views_left=self._random.randint(1, 5))

    def _act(self, at: float, visitor: _Visitor) -> Action | None:
        """The visitor's next action, or None when he has left."""
        if visitor.views_left < 0:
            return None
        dice = self._random.random()
        if visitor.last_viewed is not None and dice < 0.4:
            visitor.cart.append(visitor.last_viewed)
            return self._cart(at, "cart/add", visitor, visitor.last_viewed)
        if visitor.cart and dice < 0.5:
            product = visitor.cart.pop(self._random.randrange(len(visitor.cart)))
            return self._cart(at, "cart/remove", visitor, product)
        if visitor.views_left > 0:
            visitor.views_left -= 1
            visitor.last_viewed = self._random.randrange(len(_PRODUCTS))
            return self._view(at, visitor, visitor.last_viewed)
        visitor.views_left = -1
        if visitor.cart and dice > 0.7:
            return self._purchase(at, visitor)
        return None

    def _view(self, at: float, visitor: _Visitor, product: int) -> Action:
        key, name, category, price = _PRODUCTS[product]
        url = f"https://{SITE}/products/{key}"
        seen = {"productId": key, "name": name, "category": category, "price": price, "currency": "EUR", "url": url}
        return self._action(at, "product/view", visitor, seen)

    def _cart(self, at: float, signal: str, visitor: _Visitor, product: int) -> Action:
        return self._action(at, signal, visitor, {"cartId": f"cart-{visitor.visit}", "items": [_item(product)]})

    def _purchase(self, at: float, visitor: _Visitor) -> Action:
        bought = {"cartId": f"cart-{visitor.visit}", "orderId": f"order-{visitor.visit}"}
        return self._action(at, "cart/purchase", visitor, {**bought, "items": [_item(each) for each in visitor.cart]})

    def _action(self, at: float, signal: str, visitor: _Visitor, more: dict[str, Any]) -> Action:
        self._count += 1
        id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.run}:{self._count}"))
        data = {"site": SITE, "email": visitor.email, "sessionId": f"visit-{visitor.visit}", **more}
        return Action(at, id_, signal, data)


def _item(product: int) -> dict[str, Any]:
    key, name, category, price = _PRODUCTS[product]
    return {"productId": key, "name": name, "category": category, "quantity": 1, "price": price, "currency": "EUR"}
