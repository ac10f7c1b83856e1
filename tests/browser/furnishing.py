"""What an installation looks like after some days of use: moments in every status, signals, raises, hostile names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.browser.house import PATIENCE, USERS, House, Shop
from tests.support.processes import wait_until

SCRIPT = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">\'"&{{7*7}}{0}%s'
RIGHT_TO_LEFT = "\u202eعربة تسوق متروكة\u2066 עגלה \u202d!"
LONG = "Wiederherstellungsbenachrichtigung" * 5 + "W" * 30
EMOJI = "🛒👩‍👩‍👧‍👦🏳️‍🌈 Z͑͗a̴l͠g̈o ﷽ 買い物"
WEBHOOKS = "/api/v1/webhooks"
REFUSALS = "/api/v1/refusals"
HOSTILE = (SCRIPT, RIGHT_TO_LEFT, LONG, EMOJI)
"""Names as somebody could give them: markup, turned directions, 200 characters without a break, emoji."""


@dataclass(frozen=True, slots=True)
class Furnished:
    """What was made, by id. `customer` had a moment raised; `statuses`: status → moment; `refused`: a signal."""

    shop: Shop
    raised: str
    customer: str
    statuses: dict[str, str]
    hostile_shop: Shop
    hostile: tuple[str, ...]
    long_shop: Shop
    webhook: str
    delivery: int
    invitation: str
    trial: str
    erasure: str
    suppression: str
    signals: tuple[str, ...]
    refused: str
    replay: str
    token: str
    person: str


def wait_for_some(read: Callable[[], Any]) -> list[Any]:
    """The items of a list, once there are some."""
    wait_until(lambda: read()["items"], "something to be listed", PATIENCE)
    found: list[Any] = read()["items"]
    return found


def refuse_and_replay(house: House, shop: Shop) -> tuple[str, str]:
    """A signal that is refused for good, and the replay of another."""
    for name in ("r-1", "r-2"):
        house.refuse(shop, {"id": name, "email": "ada@example.com", "items": [], "note": SCRIPT, LONG: RIGHT_TO_LEFT})
    wanted = f"{REFUSALS}?code=invalid&configurationId={shop.id}"
    read = lambda: house.call("GET", wanted, service="trigger").document["items"]  # noqa: E731
    wait_until(lambda: len(read()) == 2, "both to be kept", PATIENCE)
    first, second = (str(each["id"]) for each in read())
    replay = house.call("POST", f"{REFUSALS}/replay", {"ids": [second]}, service="trigger").document["id"]
    return first, str(replay)


def furnish(house: House) -> Furnished:
    """Fill an installation; each name, text and product that a person can choose is hostile somewhere."""
    shop = house.make_shop("Web shop")
    hostile_shop = house.make_shop(SCRIPT, audience=RIGHT_TO_LEFT)
    raised = house.make_moment(shop, "running", name="Cart left behind", settings={"duration": "PT1S"})
    hostile = tuple(
        house.make_moment(hostile_shop, "running", name=name, description=name * 2, settings={"duration": "PT2H"})
        for name in HOSTILE
    )
    house.make_moment(shop, type="browse_abandon", name="Seen and left")
    statuses = {
        "draft": house.make_moment(shop, name="Not yet"),
        "running": raised,
        "stopped": house.make_moment(shop, "running", "stopped", name="On hold"),
        "archived": house.make_moment(shop, "running", "archived", name="Last winter"),
    }
    hook = {"name": SCRIPT, "url": f"{house.up.url('ingestion')}/{LONG}", "patterns": ["moment.#"]}
    webhook = str(house.call("POST", WEBHOOKS, hook, service="trigger").document["id"])
    house.put_in_cart(shop, "ada@example.com", name=SCRIPT)
    house.put_in_cart(shop, "grace@example.com")
    house.put_in_cart(hostile_shop, "ada@example.com", name=LONG)
    house.wait_for(raised, raised=2)
    deliveries = wait_for_some(
        lambda: house.call("GET", f"{WEBHOOKS}/{webhook}/deliveries", service="trigger").document
    )
    trial = str(house.call("POST", "/api/v1/backtests", {"momentId": raised}, service="trigger").document["id"])
    whom = {"configuration": shop.id, "profile": "erased@example.com"}
    erasure = str(house.call("POST", "/api/v1/erasures", whom, service="trigger").document["id"])
    refused_one = {"configuration": hostile_shop.id, "idType": "email", "profile": "nobody@example.com"}
    suppression = str(house.call("POST", "/api/v1/suppressions", refused_one).document["id"])
    signals = house.call("GET", "/api/v1/signals/recent", service="trigger").document["items"]
    refused, replay = refuse_and_replay(house, shop)
    token = house.call("POST", "/api/v1/tokens", {"name": SCRIPT[:80], "scope": "read"}).document["made"]["id"]
    invitation = house.invite("viewer", SCRIPT)
    person = next(each for each in house.call("GET", USERS).document["items"] if each["name"] == SCRIPT)
    return Furnished(
        shop=shop,
        raised=raised,
        customer="ada@example.com",
        statuses=statuses,
        hostile_shop=hostile_shop,
        hostile=hostile,
        long_shop=house.make_shop(LONG, domains=["*.example.com", f"{'a' * 60}.{'b' * 60}.example.com"]),
        webhook=webhook,
        delivery=deliveries[0]["id"],
        invitation=invitation,
        trial=trial,
        erasure=erasure,
        suppression=suppression,
        signals=tuple(each["id"] for each in signals),
        refused=refused,
        replay=replay,
        token=token,
        person=person["id"],
    )
