"""The workload: cart signals of 800 bytes with 5 items, mean 5 slides per cart, many carts at once."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.configurations import AudienceState, ConfigurationState, KeyState
from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Item, SignalData, encode_signal
from contracts.signals.event import ProfileReference, Reference
from contracts.times import from_rfc3339, to_datetime, to_rfc3339
from contracts.topology import SIGNALS, partition_key, partition_of
from shared.broker import Message

SIZE = 800
ITEMS = 5
MEAN_SLIDES = 5
OPEN_CARTS = 5_000
SITE = "shop.example.com"
ORIGIN = f"https://{SITE}"
WEB_KEY = "pk_benchmark"
CONFIGURATION = "benchmark-configuration"
MOMENT = "benchmark-moment"
TYPE = "cart_abandon"
RUNNING_SINCE = from_rfc3339("2024-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class CartSignal:
    """One cart/add of a customer. `at`: when it happened and was received (µs)."""

    id: str
    customer: str
    cart: str
    at: int
    products: tuple[int, ...]

    @property
    def profile(self) -> str:
        """The e-mail address."""
        return f"{self.customer}@example.com"

    def partition(self, partitions: int) -> int:
        """Where it belongs."""
        return partition_of(CONFIGURATION, "email", self.profile, partitions)


def cart_signals(count: int, *, start: int, step: int = 1_000, seed: int = 1) -> Iterator[CartSignal]:
    """`count` signals, `step` µs apart, of carts that are filled at random turns, `OPEN_CARTS` at a time."""
    chance = random.Random(seed)
    ahead: list[tuple[str, int]] = []
    made = 0
    for number in range(count):
        while len(ahead) < OPEN_CARTS:
            ahead.append((f"customer-{seed}-{made}", 1 + chance.randint(0, 2 * MEAN_SLIDES)))
            made += 1
        place = chance.randrange(len(ahead))
        customer, left = ahead[place]
        if left > 1:
            ahead[place] = (customer, left - 1)
        else:
            ahead[place] = ahead[-1]
            ahead.pop()
        products = tuple(chance.randrange(10_000) for _ in range(ITEMS))
        yield CartSignal(_id(chance), customer, f"cart-{customer}", start + number * step, products)


def body_of(signal: CartSignal) -> bytes:
    """The message body between ingestion and trigger, of `SIZE` bytes."""
    bare = _encode(signal, "")
    return _encode(signal, "x" * max(1, SIZE - len(bare) - len(',"attributes":{"note":""}')))


def _encode(signal: CartSignal, note: str) -> bytes:
    items = tuple(Item(product_id=f"p{n:05d}", price=9.99) for n in signal.products)
    return encode_signal(
        id=signal.id,
        source=WEB_KEY,
        time=signal.at,
        data=SignalData(
            signal="cart/add",
            audience_configuration=Reference(CONFIGURATION, "Shop"),
            audience=Reference("a1", "Customers"),
            profile=ProfileReference("email", signal.profile),
            received_at=to_datetime(signal.at),
            touchpoint="web",
            site=SITE,
            cart_id=signal.cart,
            items=items,
            attributes={"note": note} if note else {},
        ),
    )


def message_of(signal: CartSignal, partitions: int) -> Message:
    """The message that ingestion publishes."""
    return Message(
        exchange=SIGNALS,
        routing_key="signal.cart.add",
        body=body_of(signal),
        message_id=signal.id,
        hidden_copies=(partition_key(signal.partition(partitions)),),
    )


def document_of(signal: CartSignal) -> bytes:
    """The JSON of `SIZE` bytes that a browser sends to the batch endpoint, and to `cart/add` as well."""
    items = [
        {"productId": f"p{n:05d}", "quantity": 1, "price": 9.99, "currency": "EUR", "name": f"Thing {n}"}
        for n in signal.products
    ]
    data = {"signal": "cart/add", "site": SITE, "email": signal.profile, "cartId": signal.cart, "items": items}
    document = {"id": signal.id, "time": to_rfc3339(signal.at), "data": data}
    bare = json.dumps(document, separators=(",", ":"))
    data["note"] = "x" * max(1, SIZE - len(bare) - len(',"note":""'))
    return json.dumps(document, separators=(",", ":")).encode()


def moment_state(duration: str = "PT2H") -> MomentState:
    """One running Cart Abandon."""
    return MomentState(
        id=MOMENT,
        version=1,
        type=TYPE,
        name="Abandoned carts",
        configuration_id=CONFIGURATION,
        status="running",
        running_since=RUNNING_SINCE,
        history=(SettingsVersion(version=1, since=RUNNING_SINCE, settings={"duration": duration}),),
    )


def configuration_state() -> ConfigurationState:
    """The configuration of the workload, with an enabled web key."""
    return ConfigurationState(
        id=CONFIGURATION,
        version=1,
        name="Shop",
        audience=AudienceState(id="a1", name="Customers"),
        domains=(SITE,),
        keys=(KeyState(id=WEB_KEY, type="web", enabled=True),),
    )


def _id(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
