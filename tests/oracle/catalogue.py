"""The templates of §4, the part that each signal plays in a process, and the processes it belongs to (§2.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.oracle.content import cart_after
from tests.oracle.words import MINUTE, Arrival, Item

VISIT_GAP = 30 * MINUTE  # §4, browse_abandon

VIEWS = frozenset({"product/view", "page/view"})
VISIT_ENDERS = frozenset({"cart/add", "cart/replace", "cart/purchase"})
SUBSCRIPTIONS = ("website", "newsletter", "webinar", "event")
SIGNUPS = frozenset(f"{group}/signup" for group in SUBSCRIPTIONS)
CANCELS = frozenset(f"{group}/cancel" for group in SUBSCRIPTIONS)


@dataclass(frozen=True, slots=True)
class Template:
    """One row of the table in §4, by the names of signals.

    `instant`: the first signal sets the deadline. `once`: one raise for a process.
    """

    process: str
    opens: frozenset[str]
    slides: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    completes: frozenset[str] = frozenset()
    instant: bool = False
    once: bool = False

    @property
    def enders(self) -> frozenset[str]:
        return self.ends | self.completes


def _row(process: str, opens: Iterable[str], slides: str, ends: Iterable[str], completes: str) -> Template:
    return Template(process, frozenset(opens), frozenset({slides}), frozenset(ends), frozenset({completes}))


def _named(process: str, signal: str) -> Template:
    return Template(process, frozenset({signal}), instant=True, once=True)


TEMPLATES = {
    "cart_abandon": _row("cart", ("cart/add", "cart/replace"), "cart/remove", ("cart/clear",), "cart/purchase"),
    "browse_abandon": Template(
        "browse", VIEWS, ends=frozenset({"cart/add", "cart/replace"}), completes=frozenset({"cart/purchase"})
    ),
    "booking_abandon": _row("booking", ("booking/start",), "booking/update", ("booking/cancel",), "booking/complete"),
    "survey_abandon": _row("survey", ("survey/start",), "survey/update", (), "survey/complete"),
    "game_abandon": _row("game", ("game/start",), "game/update", (), "game/complete"),
    "conversion_abandon": _row(
        "conversion", ("conversion/create",), "conversion/update", ("conversion/delete",), "conversion/complete"
    ),
    "post_purchase": Template("cart", frozenset({"cart/purchase"}), instant=True),
    "booking_complete": _named("booking", "booking/complete"),
    "survey_complete": _named("survey", "survey/complete"),
    "game_start": _named("game", "game/start"),
    "welcome": Template("subscription", SIGNUPS, ends=CANCELS, instant=True),
    "welcome_app": Template("app", frozenset({"app/install"}), ends=frozenset({"app/uninstall"}), instant=True),
    "goodbye": Template("subscription", CANCELS, ends=SIGNUPS, instant=True),
}


# The part that each signal plays: `activity`, `ender`, or `content` when it only changes content


def roles(moment_type: str, signals: Sequence[Arrival], expiry: int) -> list[str]:
    """For each signal of a process, in order, the part it plays for a moment of the type (§4, §6.6)."""
    if moment_type == "cart_abandon":
        return cart_roles(signals, expiry)
    if moment_type == "browse_abandon":
        return visit_roles(signals, expiry)
    if moment_type == "post_purchase":
        return purchase_roles(signals, expiry)
    return plain_roles(TEMPLATES[moment_type], signals, expiry)


def is_expired(signal: Arrival, expiry: int) -> bool:
    return signal.received_at - signal.time > expiry


def cart_roles(signals: Sequence[Arrival], expiry: int) -> list[str]:
    """A cart that is left: what empties it ends, what leaves it empty never opens."""
    played = []
    content: dict[str, Item] = {}
    closed = False
    for signal in signals:
        before, content = content, cart_after(content, signal)
        emptied = bool(before) and not content
        if signal.kind in ("cart/clear", "cart/purchase") or emptied:
            played.append("ender")
            closed = True
        elif not content or is_expired(signal, expiry) or (closed and signal.kind == "cart/remove"):
            played.append("content")
        else:
            played.append("activity")
            closed = False
    return played


def visit_roles(signals: Sequence[Arrival], expiry: int) -> list[str]:
    """A visit: after an ender it stays closed until a view later than the visit gap."""
    played = []
    closed = False
    previous = -math.inf
    for signal in signals:
        if signal.kind in VISIT_ENDERS:
            played.append("ender")
            closed = True
        elif is_expired(signal, expiry) or (closed and signal.time - previous <= VISIT_GAP):
            played.append("content")
        else:
            played.append("activity")
            closed = False
        previous = signal.time
    return played


def purchase_roles(signals: Sequence[Arrival], expiry: int) -> list[str]:
    """A cart that is bought; one that was, and was not opened again, no more by a purchase that names no cart."""
    played = []
    bought = False
    for signal in signals:
        plays = "content"
        if signal.kind == "cart/purchase":
            if not is_expired(signal, expiry) and not (bought and signal.cart_id is None):
                plays = "activity"
            bought = True
        elif opens_cart(signal):
            bought = False
        played.append(plays)
    return played


def opens_cart(signal: Arrival) -> bool:
    """Whether the signal opens a cart again that was bought: an add, or a replace that leaves items."""
    return signal.kind in ("cart/add", "cart/replace") and bool(signal.items)


def plain_roles(template: Template, signals: Sequence[Arrival], expiry: int) -> list[str]:
    """Every other template: after an ender only an opening signal opens again."""
    played = []
    closed = False
    for signal in signals:
        if signal.kind in template.enders:
            played.append("ender")
            closed = True
        elif is_expired(signal, expiry):
            played.append("content")
        elif signal.kind in template.opens or (signal.kind in template.slides and not closed):
            played.append("activity")
            closed = False
        else:
            played.append("content")
    return played


# Which process a signal belongs to


def own_process(kind: str, signal: Arrival) -> str | None:
    """The id of the one process of this kind that the signal names, None when it names none."""
    default = "default:" + (signal.site or "")
    if kind == "cart":
        if signal.group != "cart" or (signal.kind == "cart/purchase" and signal.cart_id is None):
            return None
        return signal.cart_id if signal.cart_id is not None else default
    if kind == "browse":
        if signal.kind in VIEWS:
            return signal.session_id if signal.session_id is not None else default
        return signal.session_id if signal.kind in VISIT_ENDERS else None
    if kind == "subscription":
        return f"{signal.group}:{signal.process_id or ''}" if signal.group in SUBSCRIPTIONS else None
    if signal.group != kind:
        return None
    return signal.process_id if signal.process_id is not None else default


def is_of_profile(kind: str, signal: Arrival) -> bool:
    """Whether the signal reaches every process of the profile and its site (§2.2, §4)."""
    if kind == "cart":
        return signal.kind == "cart/purchase" and signal.cart_id is None
    return kind == "browse" and signal.kind in VISIT_ENDERS and signal.session_id is None


def processes_of(kind: str, signals: Sequence[Arrival]) -> dict[str, list[Arrival]]:
    """All processes of this kind of one profile, each with all its signals in order."""
    own: dict[str, list[Arrival]] = {}
    for signal in signals:
        process_id = own_process(kind, signal)
        if process_id is not None:
            own.setdefault(process_id, []).append(signal)
    everywhere = [signal for signal in signals if is_of_profile(kind, signal)]
    return {
        process_id: sorted(carried + [s for s in everywhere if reaches(s, carried)], key=lambda s: s.order)
        for process_id, carried in own.items()
    }


def reaches(of_profile: Arrival, carried: Sequence[Arrival]) -> bool:
    return any(
        signal.order < of_profile.order and (of_profile.site is None or signal.site == of_profile.site)
        for signal in carried
    )
