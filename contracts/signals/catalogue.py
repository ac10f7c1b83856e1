"""The catalogue: one declaration per kind of signal (DOMAIN §2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Touchpoint = Literal["web", "app", "server"]
ALL: tuple[Touchpoint, ...] = ("web", "app", "server")

# DOMAIN §6.1: the rank of a verb orders signals of the same time.
_RANKS = {
    **dict.fromkeys(("view", "start", "create", "add", "update", "signup", "install"), 0),
    "remove": 1,
    **dict.fromkeys(("clear", "replace"), 2),
    **dict.fromkeys(("purchase", "complete", "cancel", "delete", "uninstall"), 3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalKind:
    """One kind of signal.

    `name`: the path, `cart/add`. `process`: the kind of process it belongs to, or None (for journeys directly).
    `id_field`: the wire field with the process id; `id_required` refuses a signal without one, else it falls to the
    default process of profile and site. `every_process`: without an id it belongs to every process of the profile
    that carries an earlier signal of its site (DOMAIN §2.2). `also_browse`: it is part of the browsing session too.
    `fields`: the declared content fields beside the ids; `needs_item`: at least one item of quantity ≥ 1.
    Derived: `group` and `verb` of the name; `rank`, the place among signals of the same time (DOMAIN §6.1; kinds
    without a process have 0); `routing_key`, by which journeys bind it (`signal.cart.add`).
    """

    name: str
    title: str
    summary: str
    process: str | None = None
    id_field: str | None = None
    id_required: bool = False
    every_process: bool = False
    also_browse: bool = False
    touchpoints: tuple[Touchpoint, ...] = ALL
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    items: bool = False
    needs_item: bool = False
    group: str = field(init=False)
    verb: str = field(init=False)
    rank: int = field(init=False)
    routing_key: str = field(init=False)

    def __post_init__(self) -> None:
        group, _, verb = self.name.partition("/")
        for name, value in (
            ("group", group),
            ("verb", verb),
            ("rank", _RANKS.get(verb, 0)),
            ("routing_key", f"signal.{group}.{verb}"),
        ):
            object.__setattr__(self, name, value)

    @property
    def processes(self) -> tuple[str, ...]:
        """The kinds of process that it may be part of."""
        own = () if self.process is None else (self.process,)
        return (*own, "browse") if self.also_browse else own


def _cart(verb: str, title: str, summary: str, **more: object) -> SignalKind:
    return SignalKind(
        name=f"cart/{verb}",
        title=title,
        summary=summary,
        process="cart",
        id_field="cartId",
        items=True,
        fields=("orderId",),
        **more,  # type: ignore[arg-type]
    )


def _order(verb: str, title: str) -> SignalKind:
    return SignalKind(
        name=f"order/{verb}",
        title=title,
        summary=f"{title}; for journeys directly.",
        touchpoints=("server",),
        fields=("orderId",),
        required=("orderId",),
    )


def _view(group: str, title: str, fields: tuple[str, ...], required: tuple[str, ...] = ()) -> SignalKind:
    return SignalKind(
        name=f"{group}/view",
        title=title,
        summary=f"{title}.",
        process="browse",
        id_field="sessionId",
        fields=fields,
        required=required,
    )


def _stepped(kind: str, verb: str, title: str, *, items: bool = False, field: str = "step") -> SignalKind:
    return SignalKind(
        name=f"{kind}/{verb}",
        title=title,
        summary=f"{title}.",
        process=kind,
        id_field=f"{kind}Id",
        id_required=True,
        fields=(field,),
        items=items,
    )


def _subscription(group: str, verb: str, title: str) -> SignalKind:
    return SignalKind(
        name=f"{group}/{verb}",
        title=title,
        summary=f"{title}.",
        process="subscription",
        id_field="name",
        fields=("name",),
    )


def _app(verb: str, title: str) -> SignalKind:
    return SignalKind(
        name=f"app/{verb}",
        title=title,
        summary=f"{title}.",
        process="app",
        id_field="applicationId",
        touchpoints=("app", "server"),
        fields=("version", "platform"),
    )


_PRODUCT = ("productId", "name", "category", "price", "currency", "url", "imageUrl", "title")

KINDS: tuple[SignalKind, ...] = (
    _cart(
        "add", "Added to the cart", "Items were put into a cart; quantities add up.", also_browse=True, needs_item=True
    ),
    _cart("remove", "Removed from the cart", "Items were taken out of a cart; never below zero."),
    _cart("clear", "Cleared the cart", "The whole cart was emptied."),
    _cart("replace", "Replaced the cart", "The cart now holds exactly these items.", also_browse=True),
    _cart("purchase", "Purchased the cart", "The whole cart was bought.", also_browse=True, every_process=True),
    _order("ship", "Order shipped"),
    _order("deliver", "Order delivered"),
    _order("delay", "Order delayed"),
    _order("return", "Order returned"),
    _view("product", "Viewed a product", _PRODUCT, ("productId",)),
    _view("page", "Viewed a page", _PRODUCT),
    _stepped("booking", "start", "Started a booking", items=True),
    _stepped("booking", "update", "Changed a booking", items=True),
    _stepped("booking", "complete", "Completed a booking", items=True),
    _stepped("booking", "cancel", "Cancelled a booking", items=True),
    _stepped("survey", "start", "Started a survey"),
    _stepped("survey", "update", "Answered in a survey"),
    _stepped("survey", "complete", "Completed a survey"),
    _stepped("game", "start", "Started a game", field="level"),
    _stepped("game", "update", "Progressed in a game", field="level"),
    _stepped("game", "complete", "Completed a game", field="level"),
    _stepped("conversion", "create", "Started a conversion"),
    _stepped("conversion", "update", "Progressed in a conversion"),
    _stepped("conversion", "delete", "Abandoned a conversion on purpose"),
    _stepped("conversion", "complete", "Completed a conversion"),
    _subscription("website", "signup", "Signed up on the website"),
    _subscription("website", "cancel", "Cancelled the website account"),
    _subscription("newsletter", "signup", "Subscribed to a newsletter"),
    _subscription("newsletter", "cancel", "Unsubscribed from a newsletter"),
    _subscription("webinar", "signup", "Registered for a webinar"),
    _subscription("webinar", "cancel", "Cancelled a webinar"),
    _subscription("event", "signup", "Registered for an event"),
    _subscription("event", "cancel", "Cancelled an event"),
    _app("install", "Installed the app"),
    _app("uninstall", "Removed the app"),
)

CATALOGUE: dict[str, SignalKind] = {kind.name: kind for kind in KINDS}

ID_FIELDS: tuple[str, ...] = (
    "cartId",
    "sessionId",
    "orderId",
    "bookingId",
    "surveyId",
    "gameId",
    "conversionId",
    "applicationId",
)

PROFILE_FIELDS: dict[str, str] = {
    "email": "email",
    "external": "customerId",
    "phone": "phone",
    "deviceId": "deviceId",
    "appId": "appId",
}
"""idType → the field of `data` that holds its value (DOMAIN §2.1)."""
