"""Content: what the signals of one process, in order, amount to."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from contracts.signals import Item, Key, Signal

_MOST_VIEWS = 1000
_MOST_PRODUCTS = 50
_MOST_ATTRIBUTES = 100


class Content(Protocol):
    """The fold of a process's signals up to some point."""

    def apply(self, signal: Signal) -> None:
        """Take the next signal in order."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing that could be lost."""

    @property
    def items(self) -> list[Item]:
        """The products in it, for filters."""

    def describe(self) -> dict[str, Any]:
        """`content` of a moment event (DOMAIN §7)."""


def change_quantities(quantities: dict[str, int], signal: Signal) -> None:
    """The same fold as a cart's, of quantities alone: what decides whether a cart is empty."""
    verb = signal.kind.verb
    if verb == "add":
        for item in signal.data.items:
            if item.quantity > 0:
                quantities[item.product_id] = quantities.get(item.product_id, 0) + item.quantity
    elif verb == "remove":
        for item in signal.data.items:
            left = quantities.get(item.product_id, 0) - item.quantity
            if left > 0:
                quantities[item.product_id] = left
            else:
                quantities.pop(item.product_id, None)
    else:
        quantities.clear()
        if verb == "replace":
            for item in signal.data.items:
                if item.quantity > 0:
                    quantities[item.product_id] = quantities.get(item.product_id, 0) + item.quantity


class _Attributed(msgspec.Struct, kw_only=True):
    attributes: dict[str, Any] = {}
    site: str | None = None

    def _note(self, signal: Signal) -> None:
        if signal.data.site is not None:
            self.site = signal.data.site
        if signal.data.attributes:
            merged = {**self.attributes, **signal.data.attributes}
            self.attributes = dict(list(merged.items())[-_MOST_ATTRIBUTES:])


class CartContent(_Attributed, kw_only=True, tag="cart"):
    """Lines by product id, with what was last said of each product.

    `bought`, `order_id`: of the latest purchase. `reopened`: the latest signal that left items by adding or replacing.
    """

    lines: dict[str, Item] = {}
    bought: dict[str, Item] = {}
    order_id: str | None = None
    reopened: Key | None = None

    def apply(self, signal: Signal) -> None:
        """Add sums, remove subtracts, replace sets, clear and purchase empty."""
        self._note(signal)
        said = _by_product(signal.data.items)
        if signal.kind.verb == "purchase":
            self._buy(said, signal.data.order_id)
            return
        kept = self.lines if signal.kind.verb in ("add", "remove") else {}
        lines = dict(kept)
        # Only what is named can change: a long cart costs no more than a short one.
        quantities = {product: kept[product].quantity for product in said if product in kept}
        change_quantities(quantities, signal)
        for product, item in said.items():
            if product in quantities:
                lines[product] = _line(kept.get(product), item, quantities[product])
            else:
                lines.pop(product, None)
        self.lines = lines
        if self.lines and signal.kind.verb in ("add", "replace"):
            self.reopened = signal.key

    def _buy(self, said: dict[str, Item], order_id: str | None) -> None:
        """What was bought: the items that the purchase names, else what the cart held."""
        named = {
            product: _line(self.lines.get(product), item, item.quantity)
            for product, item in said.items()
            if item.quantity > 0
        }
        self.bought = named or self.lines or self.bought
        self.order_id = order_id
        self.lines = {}

    def purchase(self) -> Purchase:
        """The latest purchase as a content of its own."""
        return Purchase(items=list(self.bought.values()), order_id=self.order_id)

    @property
    def empty(self) -> bool:
        return not self.lines

    @property
    def items(self) -> list[Item]:
        return list(self.lines.values())

    def describe(self) -> dict[str, Any]:
        return _priced(self.items)


def _priced(items: list[Item]) -> dict[str, Any]:
    return {
        "items": [msgspec.to_builtins(item) | {"quantity": item.quantity} for item in items],
        **_totals(items),
    }


def _by_product(items: Iterable[Item]) -> dict[str, Item]:
    """The items by product: of several lines of one the quantities add up, and what each says counts."""
    found: dict[str, Item] = {}
    for item in items:
        before = found.get(item.product_id)
        found[item.product_id] = item if before is None else _line(before, item, before.quantity + item.quantity)
    return found


def _line(before: Item | None, said: Item | None, quantity: int) -> Item:
    base = before or said
    assert base is not None
    if said is None or said is base:
        return base if base.quantity == quantity else msgspec.structs.replace(base, quantity=quantity)
    news = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
    return msgspec.structs.replace(base, **{**news, "quantity": quantity})


def worth(items: Iterable[Item]) -> dict[str | None, Decimal]:
    """The exact worth by currency: 0.10 + 0.70 is 0.80, which binary fractions miss; no price, no entry."""
    sums: dict[str | None, Decimal] = {}
    for item in items:
        if item.price is not None:
            sums[item.currency] = sums.get(item.currency, Decimal(0)) + Decimal(repr(item.price)) * item.quantity
    return sums


def _totals(items: list[Item]) -> dict[str, Any]:
    sums = worth(items)
    if len(sums) == 1:
        ((currency, total),) = sums.items()
        return {"total": float(total)} | ({"currency": currency} if currency else {})
    if not sums:
        return {}
    return {"totals": [{"currency": currency, "amount": float(total)} for currency, total in sums.items()]}


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought."""

    items: list[Item]
    order_id: str | None

    def describe(self) -> dict[str, Any]:
        """`content` of a moment event about a purchase."""
        order = {} if self.order_id is None else {"orderId": self.order_id}
        return order | _priced(self.items)


class BrowseContent(_Attributed, kw_only=True, tag="browse"):
    """Views of one session: how many and when, the products, the last page."""

    views: int = 0
    view_times: list[int] = []
    products: dict[str, Item] = {}
    url: str | None = None
    title: str | None = None

    def apply(self, signal: Signal) -> None:
        """Views count; the cart signals that end a visit change nothing here."""
        if signal.kind.verb != "view":
            return
        self._note(signal)
        data = signal.data
        self.views += 1
        self.view_times = [*self.view_times[1 - _MOST_VIEWS :], signal.time]
        self.url, self.title = data.url or self.url, data.title or self.title
        if data.product_id is not None:
            seen = dict(self.products)
            before = seen.pop(data.product_id, None)
            viewed = Item(
                product_id=data.product_id,
                price=data.price,
                currency=data.currency,
                name=data.name,
                category=data.category,
                url=data.url,
                image_url=data.image_url,
            )
            seen[data.product_id] = _line(before, viewed, 1)
            self.products = dict(list(seen.items())[-_MOST_PRODUCTS:])

    @property
    def empty(self) -> bool:
        return self.views == 0

    @property
    def items(self) -> list[Item]:
        return list(self.products.values())

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {"views": self.views, "items": msgspec.to_builtins(self.items)}
        if self.url is not None:
            described["url"] = self.url
        if self.title is not None:
            described["title"] = self.title
        return described


class SteppedContent(_Attributed, kw_only=True, tag="stepped"):
    """A process in steps (booking, survey, game, conversion, subscription, app): the latest of each field."""

    signals: int = 0
    fields: dict[str, Any] = {}
    lines: list[Item] = []

    def apply(self, signal: Signal) -> None:
        """The latest value of each declared field; items are replaced when given."""
        self._note(signal)
        self.signals += 1
        named = {name: getattr(signal.data, name) for name in signal.kind.fields}
        self.fields = {**self.fields, **{name: value for name, value in named.items() if value is not None}}
        if signal.data.items:
            self.lines = list(signal.data.items)

    @property
    def empty(self) -> bool:
        return self.signals == 0

    @property
    def items(self) -> list[Item]:
        return self.lines

    def describe(self) -> dict[str, Any]:
        described = dict(self.fields)
        if self.lines:
            described.update(_priced(self.lines))
        return described


ContentState = CartContent | BrowseContent | SteppedContent


def empty_content(process: str) -> ContentState:
    """The content of a process of that kind before its first signal."""
    if process == "cart":
        return CartContent()
    return BrowseContent() if process == "browse" else SteppedContent()
