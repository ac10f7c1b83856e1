"""What a process holds (§2.2) and what is judged of it at the raise (§4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.oracle.words import Arrival, Item, Settings

Lines = dict[str, Item]  # by product


def cart_after(lines: Lines, signal: Arrival) -> Lines:
    """The cart after the signal; of a product counts what was last said of it while it was in the cart."""
    if signal.kind in ("cart/clear", "cart/purchase"):
        return {}
    found = {} if signal.kind == "cart/replace" else dict(lines)
    sign = -1 if signal.kind == "cart/remove" else 1
    for item in signal.items:
        known = found.get(item.product_id)
        quantity = (0 if known is None else known.quantity) + sign * item.quantity
        if quantity > 0:
            found[item.product_id] = replace(said(known, item), quantity=quantity)
        else:
            found.pop(item.product_id, None)
    return found


def said(known: Item | None, item: Item) -> Item:
    """What is known of a product once more is said of it: what is not said again stays."""
    if known is None:
        return item
    return replace(
        known,
        price=known.price if item.price is None else item.price,
        currency=known.currency if item.currency is None else item.currency,
        category=known.category if item.category is None else item.category,
    )


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds: items, in a booking perhaps several lines of one product, and, of a purchase, the order."""

    items: tuple[Item, ...] = ()
    order_id: str | None = None

    @property
    def quantities(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for item in self.items:
            found[item.product_id] = found.get(item.product_id, 0) + item.quantity
        return found


def holding(moment_type: str, process_kind: str, signals: Sequence[Arrival]) -> Holding:
    """What the process holds after the signals, in order, as a moment of the type sees it."""
    if moment_type == "post_purchase":
        return bought(signals)
    if process_kind == "cart":
        return Holding(tuple(fold_cart(signals).values()))
    if process_kind == "browse":
        return Holding(tuple(viewed(signals).values()))
    carrying = [signal for signal in signals if signal.items]
    return Holding(carrying[-1].items if carrying else ())


def fold_cart(signals: Iterable[Arrival]) -> Lines:
    lines: Lines = {}
    for signal in signals:
        lines = cart_after(lines, signal)
    return lines


def bought(signals: Sequence[Arrival]) -> Holding:
    """The latest purchase: its items, else what the cart held just before it, else what was bought before."""
    lines: Lines = {}
    found = Holding()
    for signal in signals:
        if signal.kind == "cart/purchase":
            items = tuple((summed(signal.items, lines) or lines).values())
            found = Holding(items or found.items, signal.order_id)
        lines = cart_after(lines, signal)
    return found


def viewed(signals: Iterable[Arrival]) -> Lines:
    """The products of a visit, whatever enders lie between."""
    lines: Lines = {}
    for signal in signals:
        for item in signal.items if signal.kind.endswith("/view") else ():
            lines[item.product_id] = said(lines.get(item.product_id), item)
    return lines


def summed(items: Iterable[Item], known: Lines) -> Lines:
    """The items by product; `known`: what is known of products already."""
    lines: Lines = {}
    for item in items:
        before = lines.get(item.product_id)
        quantity = item.quantity + (0 if before is None else before.quantity)
        lines[item.product_id] = replace(said(before or known.get(item.product_id), item), quantity=quantity)
    return lines


def filtered(settings: Settings, items: Sequence[Item]) -> str:
    """The first filter of the items that objects, empty when none does (§4)."""
    least = settings.minimum_value
    if least is not None:
        counted = (item for item in items if item.currency == least.currency)
        if sum((Decimal(item.price or 0) * item.quantity for item in counted), Decimal(0)) < least.amount:
            return "minimum_value"
    if settings.categories is not None and not any(item.category in settings.categories for item in items):
        return "categories"
    return ""
