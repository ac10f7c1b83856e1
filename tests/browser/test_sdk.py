"""The web SDK in a real browser: what a shop's pages send is recorded once, whatever happens to the page or the way."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route

from contracts.signals import SignalData, decode_signal
from contracts.topology import partition_queue
from examples.shop.serving import serve_shop
from services.ingestion.wiring import Ingestion
from tests.browser.conftest import PAGE_PATIENCE
from tests.support.ingestion import configuration, configure, settings_for, start_ingestion, wait_until
from tests.support.way import Way, at_port

HOST = "shop.localhost"
PATIENCE = 20.0
DOCUMENT = Path(__file__).parents[2] / "docs/web-sdk.md"


@dataclass(slots=True)
class Rig:
    """Ingestion on an embedded broker, the shop, and what was recorded. `earlier`: ids of the tests before."""

    ingestion: Ingestion
    way: Way
    shop: ThreadingHTTPServer
    port: int
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    earlier: set[str] = field(default_factory=set)
    times: dict[str, int] = field(default_factory=dict)
    data: dict[str, SignalData] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The shop's first page."""
        return f"http://{HOST}:{self.shop.server_address[1]}/"

    def recorded(self) -> Counter[tuple[str, str]]:
        """(kind, id) → how often it lies in the partitions: repetitions included, which trigger absorbs by id."""
        if not self.ingestion.publisher.ready:  # it declares the queues with the first signal
            return Counter()
        consumer = self.ingestion.broker.consumer([partition_queue(number) for number in range(4)])
        while arrived := consumer.receive(1000, 0.05):
            for delivery in arrived:
                read = decode_signal(delivery.body)
                if read.id in self.earlier:
                    continue
                self.seen.append((read.kind.name, read.id, read.profile))
                self.times[read.kind.name] = read.time
                self.data[read.kind.name] = read.data
            consumer.ack(arrived[-1])
        consumer.drop()
        return Counter((kind, id) for kind, id, _ in self.seen)

    def kinds(self) -> Counter[str]:
        """Kind → how many different signals of it are recorded."""
        return Counter(kind for kind, _ in self.recorded())

    def wait_for(self, **kinds: int) -> None:
        """Wait until exactly so many of each kind are recorded: `cart_add=2`."""
        wanted = {name.replace("_", "/"): count for name, count in kinds.items()}
        wait_until(lambda: all(self.kinds()[kind] >= count for kind, count in wanted.items()), PATIENCE)
        assert {kind: self.kinds()[kind] for kind in wanted} == wanted


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A shop and its ingestion."""
    ingestion = start_ingestion(settings_for(tmp_path_factory.mktemp("sdk"), MOMENTS_PARTITIONS="4"))
    configure(ingestion, configuration(domains=(HOST,)))
    way = Way(ingestion.app)
    with at_port(way) as port:
        shop = serve_shop("pk_1", f"http://127.0.0.1:{port}")
        thread = threading.Thread(target=shop.serve_forever, daemon=True)
        thread.start()
        yield Rig(ingestion, way, shop, port)
        shop.shutdown()
        shop.server_close()
        thread.join()
    ingestion.close()


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """The shop, with nothing recorded and nothing in the way; what an earlier test's pages still sent is over."""
    shared_rig.way.refuse = shared_rig.way.lose_answers = 0
    wait_until(lambda: not shared_rig.way.underway, PATIENCE)
    shared_rig.recorded()
    shared_rig.earlier.update(id for _, id, _ in shared_rig.seen)
    shared_rig.seen.clear()
    shared_rig.times.clear()
    return shared_rig


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that never saw the shop."""
    context = browser.new_context()
    context.set_default_timeout(PAGE_PATIENCE)
    yield context
    context.close()


def enter(context: BrowserContext, rig: Rig, *, known: bool = True) -> Page:
    """A page of the shop whose visitor may be known. An error in the page fails the test."""
    page = context.new_page()
    page.on("pageerror", _fail)
    page.goto(rig.url)
    if known:
        page.get_by_label("Your e-mail").fill("ada@example.com")
        page.get_by_role("button", name="That is me").click()
    return page


def _fail(error: Any) -> None:
    raise AssertionError(f"the page broke: {error}")


def add(page: Page, product: str = "Blue mug") -> None:
    page.get_by_role("button", name=f"Add to cart: {product}").click()


def test_what_a_visitor_does_on_two_pages_is_recorded_once(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)

    add(page)
    add(page, "Tea pot")
    page.get_by_role("link", name="Cart").click()
    page.get_by_role("button", name="Remove").first.click()
    page.get_by_role("button", name="Buy").click()

    rig.wait_for(page_view=2, cart_add=2, cart_remove=1, cart_purchase=1)
    assert {profile for *_, profile in rig.seen} == {"ada@example.com"}


def test_the_recipe_for_tag_manager_turns_ga4s_events_into_signals(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    recipe = re.findall(r"<script>\n(.*?)</script>", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    mug = {"item_id": "mug", "item_name": "Blue mug", "item_category": "mugs", "price": "12.5", "quantity": 2}
    told = {"currency": "EUR", "value": 25, "transaction_id": "o-1", "items": [mug]}

    for event in ("view_item", "add_to_cart", "remove_from_cart", "purchase", "scroll"):
        filled = recipe.replace("{{DLV - ecommerce}}", json.dumps(told)).replace("{{Event}}", json.dumps(event))
        page.add_script_tag(content=filled)

    rig.wait_for(product_view=1, cart_add=1, cart_remove=1, cart_purchase=1)
    assert set(rig.kinds()) == {"page/view", "product/view", "cart/add", "cart/remove", "cart/purchase"}
    (item,) = rig.data["cart/add"].items
    assert (item.product_id, item.quantity, item.price, item.currency) == ("mug", 2, 12.5, "EUR")
    assert rig.data["cart/purchase"].order_id == "o-1"
    assert rig.data["product/view"].product_id == "mug"


def test_signals_before_the_script_has_come_are_sent_with_their_own_time(rig: Rig, visitor: BrowserContext) -> None:
    page = visitor.new_page()
    held: list[Route] = []
    page.route("**/sdk/signals.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright cannot mark a built-in
    page.goto(rig.url, wait_until="domcontentloaded")
    page.get_by_label("Your e-mail").fill("ada@example.com")
    page.get_by_role("button", name="That is me").click()
    add(page)
    called = page.evaluate("Date.now()")
    page.wait_for_timeout(1_000)

    held[0].continue_()

    rig.wait_for(cart_add=1, page_view=1)
    assert rig.times["cart/add"] < called * 1000 + 100_000


def test_a_burst_of_503_and_lost_answers_lose_and_double_nothing(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)
    rig.way.refuse, rig.way.lose_answers = 2, 1

    add(page)
    add(page, "Tea pot")

    rig.wait_for(cart_add=2)
    assert rig.way.refuse == 0
    assert len({id for kind, id, _ in rig.seen if kind == "cart/add"}) == 2


def test_a_signal_that_cannot_be_read_does_not_take_its_neighbours_along(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)

    page.evaluate("""() => {
        const mug = { items: [{ productId: "mug" }] };
        const deep = {};
        for (let at = deep, i = 0; i < 3000; i++) at = at.a = {};
        Signals.addToCart(mug);
        Signals.addToCart({ ...mug, deep });
        Signals.addToCart(mug);
    }""")

    rig.wait_for(cart_add=2)
    page.wait_for_function("!Object.keys(localStorage).some((name) => name.startsWith('moments:s:'))")


def test_what_was_not_sent_when_the_page_closed_is_sent_by_the_next_one(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)
    rig.way.refuse = 1_000

    add(page)
    page.close(run_before_unload=False)
    rig.way.refuse = 0
    enter(visitor, rig, known=False)

    rig.wait_for(cart_add=1, page_view=2)


def test_a_page_that_closes_at_once_still_sends(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)

    page.evaluate("Signals.addToCart({ items: [{ productId: 'mug' }] })")
    page.close()

    rig.wait_for(cart_add=1)


def test_reloads_in_the_midst_of_sending_lose_and_double_nothing(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.way.refuse, rig.way.lose_answers = 2, 2

    for _ in range(4):
        add(page)
        page.reload()

    rig.wait_for(cart_add=4, page_view=5)


def test_what_is_left_of_a_page_that_closed_offline_is_sent_later(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)

    visitor.set_offline(True)
    add(page)
    page.close()
    visitor.set_offline(False)
    enter(visitor, rig, known=False)

    rig.wait_for(cart_add=1, page_view=2)


def test_offline_is_made_up_for_when_the_line_is_back(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)

    visitor.set_offline(True)
    add(page)
    page.wait_for_timeout(600)
    visitor.set_offline(False)

    rig.wait_for(cart_add=1)


def test_two_tabs_send_each_signal_once(rig: Rig, visitor: BrowserContext) -> None:
    one, two = enter(visitor, rig), enter(visitor, rig, known=False)

    for page in (one, two) * 5:
        add(page)

    rig.wait_for(cart_add=10, page_view=2)
    assert max(rig.recorded().values()) == 1


def test_a_tab_that_is_closed_leaves_what_it_could_not_send_to_the_other(rig: Rig, visitor: BrowserContext) -> None:
    one, two = enter(visitor, rig), enter(visitor, rig, known=False)
    rig.wait_for(page_view=2)
    rig.way.refuse = 1_000

    add(one)
    one.close(run_before_unload=False)
    rig.way.refuse = 0
    add(two, "Tea pot")

    rig.wait_for(cart_add=2)


BLOCKED: dict[str, Callable[[Route], None]] = {
    "stopped": lambda route: route.abort("blockedbyclient"),
    "replaced by an empty one": lambda route: route.fulfill(body="", content_type="text/javascript"),
    "not found": lambda route: route.fulfill(status=404, body="<h1>Not found</h1>", content_type="text/html"),
    "cut off": lambda route: route.abort("connectionreset"),
}
"""How blockers and broken lines keep the script from a page."""


@pytest.mark.parametrize("how", BLOCKED)
def test_a_blocked_script_breaks_nothing_in_the_shop(rig: Rig, visitor: BrowserContext, how: str) -> None:
    page = visitor.new_page()
    page.on("pageerror", _fail)
    page.route("**/sdk/**", BLOCKED[how])
    page.goto(rig.url)

    add(page)
    page.get_by_role("link", name="Cart").click()
    page.get_by_role("button", name="Buy").click()

    assert page.get_by_role("status").inner_text() == "Thank you."
    assert rig.kinds() == Counter()


STORAGE = {
    "forbidden": "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } })",
    "none": "Object.defineProperty(window, 'localStorage', { value: null })",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
}
"""How a browser keeps nothing."""


@pytest.mark.parametrize("how", STORAGE)
def test_blocked_requests_and_blocked_storage_break_nothing(rig: Rig, visitor: BrowserContext, how: str) -> None:
    visitor.add_init_script(STORAGE[how])
    page = enter(visitor, rig)
    rig.wait_for(page_view=1)
    page.route("**/v1/signals", lambda route: route.abort("blockedbyclient"))
    add(page)
    page.wait_for_timeout(500)
    page.unroute("**/v1/signals")

    rig.wait_for(cart_add=1)


def test_nothing_is_kept_or_sent_without_consent_when_it_is_required(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig, known=False)
    page.evaluate("Signals.setConsent(false); Signals.setApiKey('pk_1', { consentRequired: true })")
    page.evaluate("Signals.identify({ email: 'ada@example.com' }); Signals.addToCart({ items: [{ productId: 'a' }] })")
    page.wait_for_timeout(600)
    kept = json.loads(page.evaluate("JSON.stringify(Object.entries(localStorage))"))
    assert kept == [["moments:consent", "false"]]
    assert rig.kinds() == Counter()

    page.evaluate("Signals.setConsent(true); Signals.addToCart({ items: [{ productId: 'b' }] })")

    rig.wait_for(cart_add=1)


def test_what_waits_for_consent_is_sent_once_it_is_given_and_says_so(rig: Rig, visitor: BrowserContext) -> None:
    configure(rig.ingestion, configuration(2, domains=(HOST,), consent_required=True))
    page = enter(visitor, rig, known=False)
    page.evaluate("Signals.setApiKey('pk_1', { consentRequired: true }); Signals.identify({ email: 'a@example.com' })")
    page.evaluate("Signals.addToCart({ items: [{ productId: 'a' }] })")

    page.evaluate("Signals.setConsent(true)")

    rig.wait_for(cart_add=1)
    configure(rig.ingestion, configuration(3, domains=(HOST,)))


def test_developers_are_told_what_is_wrong_and_nothing_is_thrown(rig: Rig, visitor: BrowserContext) -> None:
    page = visitor.new_page()
    told: list[str] = []
    page.on("pageerror", _fail)
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.goto(f"http://127.0.0.1:{rig.port}/sdk/signals.d.ts")
    page.add_script_tag(url=f"http://127.0.0.1:{rig.port}/sdk/signals.js")

    page.evaluate(
        """() => {
            Signals.viewPage();
            Signals.setApiKey("sk_secret");
            Signals.identify("ada@example.com");
            Signals.addToCart("mug");
            Signals.track("cart/unknown");
            const round = {}; round.round = round; Signals.viewPage(round);
        }"""
    )

    for text in ("no API key set", "as pk_…", "identify: pass one of", "pass an object", "no kind of signal"):
        assert any(text in line for line in told), (text, told)


def test_a_refused_signal_is_told_and_not_tried_again(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    with page.expect_console_message(lambda message: "cart/add was refused" in message.text):
        page.evaluate("Signals.addToCart({ items: [] })")
    add(page)
    rig.wait_for(cart_add=1)


def test_a_broken_call_in_the_queue_breaks_neither_the_page_nor_the_others(rig: Rig, visitor: BrowserContext) -> None:
    page = visitor.new_page()
    page.on("pageerror", _fail)
    page.add_init_script(
        "window.Signals = { q: [null, 7, ['addToCart'], ['noSuch', []], ['setApiKey', ['pk_1', {}], 1],"
        " ['identify', [{ email: 'ada@example.com' }], 1], ['viewPage', [], Date.now()]] };"
    )
    page.goto(f"http://{HOST}:{rig.shop.server_address[1]}/shop.css")

    page.add_script_tag(url=f"http://127.0.0.1:{rig.port}/sdk/signals.js")

    rig.wait_for(page_view=1)
