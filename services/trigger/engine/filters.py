"""What is judged at the raise: content, minimum value, categories, repeat, cool-down (DOMAIN §4, §6.4)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from decimal import Decimal

from contracts.processes import CartContent, ContentState, Purchase
from contracts.signals import Item, Key
from contracts.times import parse_duration
from services.trigger.engine.apply import Entry
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Decided, Process, Track, Wait

STITCHED = "stitched"
ENDED_BEFORE_RAISE = "ended_before_raise"
EMPTY = "empty"
TOO_FEW_VIEWS = "minimum_views"
TOO_CHEAP = "minimum_value"
OTHER_CATEGORY = "categories"
REPEATED = "repeat"
COOLING = "cool_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The raises of a moment for a profile so far: the greatest due (µs), and the orders that were raised."""

    last_due: int | None = None
    orders: Container[str] = ()


NO_PAST = Past()


def objection(
    process: Process,
    moment: Moment,
    wait: Wait,
    content: ContentState,
    history: Sequence[Entry],
    due: int,
    past: Past,
) -> str:
    """Why a ready wait is not raised, or nothing. `content`: the fold up to `due`.

    What an anonymous customer would have made due before they were known to be the profile is never raised.
    """
    if due <= wait.stitched:
        return STITCHED
    settings, track = moment.settings, process.tracks[moment.id]
    about = subject_of(moment, content)
    if wait.ended_after:
        return ENDED_BEFORE_RAISE
    if content.empty and not isinstance(about, Purchase):
        return EMPTY
    least = settings.get("minimumViews", 0)
    if least > 1 and views_since_raise(content, track, due) < least:
        return TOO_FEW_VIEWS
    value = settings.get("minimumValue")
    if value is not None and value_of(about.items, value["currency"]) < Decimal(repr(value["amount"])):
        return TOO_CHEAP
    categories = settings.get("categories")
    if categories and not any(item.category in categories for item in about.items):
        return OTHER_CATEGORY
    if _is_repeated(process, moment, wait, content, history, past):
        return REPEATED
    cool_down = settings.get("coolDown")
    if cool_down and past.last_due is not None and due - past.last_due < parse_duration(cool_down):
        return COOLING
    return ""


def reads_content(moment: Moment) -> bool:
    """Whether more is asked of the content than that it is not empty."""
    settings = moment.settings
    asked = ("minimumViews", "minimumValue", "categories")
    return moment.template.once_per is not None or any(settings.get(name) is not None for name in asked)


def subject_of(moment: Moment, content: ContentState) -> ContentState | Purchase:
    """What the moment is about: the content, or what was bought."""
    if moment.template.once_per == "order" and isinstance(content, CartContent):
        return content.purchase()
    return content


def orders_of(moment: Moment, wait: Wait, content: ContentState, history: Sequence[Entry]) -> frozenset[str]:
    """The orders that a raise counts for, where raises are once for each order: its purchases' and its content's."""
    if moment.template.once_per != "order" or not isinstance(content, CartContent):
        return frozenset()
    named = {
        entry.signal.data.order_id
        for entry in history
        if wait.opened <= entry.signal.key <= wait.last and entry.signal.kind.name in moment.template.opens
    }
    return frozenset(order for order in {*named, content.order_id} if order)


def views_since_raise(content: ContentState, track: Track, due: int) -> int:
    """The views up to `due` since the latest raise before it."""
    since = max((decided.due for decided in track.decided if decided.raised and decided.due < due), default=-1)
    times: list[int] = getattr(content, "view_times", [])
    return sum(1 for time in times if time > since)


def value_of(items: Sequence[Item], currency: str) -> Decimal:
    """The exact worth in one currency; a missing price counts 0, another currency is not counted."""
    return sum(
        (Decimal(repr(item.price)) * item.quantity for item in items if item.price and item.currency == currency),
        Decimal(0),
    )


def _is_repeated(
    process: Process,
    moment: Moment,
    wait: Wait,
    content: ContentState,
    history: Sequence[Entry],
    past: Past,
) -> bool:
    track, once_per = process.tracks[moment.id], moment.template.once_per
    if track.raises and (moment.settings.get("repeat") == "once" or once_per == "process"):
        return True
    if once_per != "order":
        return False
    orders = orders_of(moment, wait, content, history)
    if isinstance(content, CartContent) and content.order_id:
        return content.order_id in past.orders
    if orders:
        return all(order in past.orders for order in orders)
    gaps = (_gap(decided, wait) for decided in track.decided if decided.raised)
    return any(not _is_reopened(process, moment, history, *gap) for gap in gaps)


def _gap(decided: Decided, wait: Wait) -> tuple[Key, Key]:
    """The signals between which two occurrences lie apart, whichever comes first."""
    return (decided.last, wait.opened) if decided.last < wait.opened else (wait.last, decided.opened)


def _is_reopened(process: Process, moment: Moment, history: Sequence[Entry], after: Key, before: Key) -> bool:
    """Whether the cart was opened again between two signals."""
    snapshot = process.snapshot.content if process.snapshot is not None else None
    if isinstance(snapshot, CartContent) and snapshot.reopened is not None and after < snapshot.reopened < before:
        return True
    return any(
        after < entry.signal.key < before
        and entry.signal.kind.name in moment.template.reopens
        and any(item.quantity > 0 for item in entry.signal.data.items)
        for entry in history
    )
