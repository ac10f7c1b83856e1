"""What an installation looks like after some days of use: moments in every status, signals, raises, hostile names."""

from __future__ import annotations

from dataclasses import dataclass

from tests.browser.house import House, Shop

SCRIPT = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">\'"&{{7*7}}{0}%s'
RIGHT_TO_LEFT = "\u202eعربة تسوق متروكة\u2066 עגלה \u202d!"
LONG = "Wiederherstellungsbenachrichtigung" * 5 + "W" * 30
EMOJI = "🛒👩‍👩‍👧‍👦🏳️‍🌈 Z͑͗a̴l͠g̈o ﷽ 買い物"
HOSTILE = (SCRIPT, RIGHT_TO_LEFT, LONG, EMOJI)
"""Names as somebody could give them: markup, turned directions, 200 characters without a break, emoji."""


@dataclass(frozen=True, slots=True)
class Furnished:
    """What was made, by id. `customer` had a moment raised; `statuses`: status → moment."""

    shop: Shop
    raised: str
    customer: str
    statuses: dict[str, str]
    hostile_shop: Shop
    hostile: tuple[str, ...]
    webhook: str
    invitation: str


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
    house.put_in_cart(shop, "ada@example.com", name=SCRIPT)
    house.put_in_cart(shop, "grace@example.com")
    house.put_in_cart(hostile_shop, "ada@example.com", name=LONG)
    hook = {"name": SCRIPT, "url": f"{house.up.url('ingestion')}/journey", "patterns": ["moment.#"]}
    webhook = str(house.call("POST", "/api/v1/webhooks", hook, service="trigger").document["id"])
    house.wait_for(raised, raised=2)
    return Furnished(
        shop, raised, "ada@example.com", statuses, hostile_shop, hostile, webhook, house.invite("viewer", SCRIPT)
    )
