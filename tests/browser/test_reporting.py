"""The Reporting page moves while signals come; it is true without scripts, without a stream, without trigger."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LOOKS, NARROW, Look
from tests.browser.house import House, Shop
from tests.browser.judging import MOST_BYTES, MOST_SHIFT, assert_accessible, assert_fits, cost
from tests.browser.watching import Watch
from tests.support.processes import wait_until


@pytest.fixture(scope="package")
def shop(house: House) -> Shop:
    """A shop whose moment raises a second after a cart was left."""
    return house.make_shop("Live shop")


@pytest.fixture(scope="package")
def moment(house: House, shop: Shop) -> str:
    """That moment, which has raised once."""
    settings = {"duration": "PT1S", "coolDown": "PT1H"}
    made = house.make_moment(shop, "running", name="Left behind", settings=settings)
    house.put_in_cart(shop, "first@example.com")
    house.wait_for(made, raised=1)
    return made


def tile(page: Page, name: str) -> str:
    """The number of a tile."""
    return page.locator(".tile", has=page.get_by_role("heading", name=name, exact=True)).locator(".figure").inner_text()


def test_the_numbers_move_while_signals_are_sent(viewer: Page, house: House, shop: Shop, moment: str) -> None:
    viewer.goto(f"/moments/{moment}/reporting?period=hour")
    expect(viewer.locator("#figures")).to_have_attribute("data-live-state", "live")
    before = int(tile(viewer, "Raised"))
    viewer.evaluate(
        """() => {
            window.shift = 0;
            const seen = (list) => list.getEntries().forEach((entry) => (window.shift += entry.value));
            new PerformanceObserver(seen).observe({ type: "layout-shift" });
            window.loads = 0;
            new MutationObserver(() => window.loads++).observe(document.getElementById("figures"), { childList: true });
        }"""
    )

    for n in range(3):
        house.put_in_cart(shop, f"mover{n}@example.com")

    wait_until(lambda: int(tile(viewer, "Raised")) == before + 3, "the page to show the raises", 15)
    expect(viewer.get_by_role("link", name="mover2@example.com", exact=True)).to_be_visible()
    expect(viewer.get_by_role("img", name="What happened when")).to_be_visible()
    assert viewer.evaluate("window.shift") <= 0.02
    assert viewer.evaluate("window.loads") >= 1


def test_keys_choose_the_period_and_not_while_something_is_typed(viewer: Page, moment: str) -> None:
    viewer.goto(f"/moments/{moment}/reporting")
    for key, name in (("1", "15 min"), ("5", "30 d"), ("4", "7 d"), ("2", "1 h"), ("3", "24 h")):
        viewer.keyboard.press(key)
        expect(viewer.locator('.report-periods a[aria-current="true"]')).to_have_text(name)

    viewer.get_by_label("E-mail or id of a profile").focus()
    viewer.keyboard.type("15")

    expect(viewer.get_by_label("E-mail or id of a profile")).to_have_value("15")
    expect(viewer.locator('.report-periods a[aria-current="true"]')).to_have_text("24 h")


RELOAD = """() => import(new URL("fragments.js", document.querySelector("script[src*='/app']").src)).then((module) =>
    module.reload(document.querySelector("#figures")))"""
"""What a change of the numbers brings about."""


def test_the_chart_tells_the_numbers_of_the_step_under_the_pointer(viewer: Page, moment: str) -> None:
    viewer.goto(f"/moments/{moment}/reporting?period=day")
    chart = viewer.locator("[data-chart]")
    when, raised = viewer.locator("[data-chart-when]"), viewer.locator('[data-chart-value="1"]')
    total = raised.inner_text()
    box = chart.locator("svg.chart").bounding_box()
    assert box is not None

    viewer.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 100)
    expect(when).to_have_text("nothing happened")
    expect(raised).to_have_text("0")
    with viewer.expect_response(lambda answer: "reporting" in answer.url):
        viewer.evaluate(RELOAD)
    expect(when).to_have_text("nothing happened")
    expect(raised).to_have_text("0")
    shown = dict[str, int]()
    for share in (0.95, 0.99):  # an hour may have ended since it was raised
        viewer.mouse.move(box["x"] + box["width"] * share, box["y"] + 100)
        expect(when).to_have_text(re.compile(r"^(\w{3} \d+ \w{3}, \d\d:00|nothing happened)$"))
        shown[when.inner_text()] = int(raised.inner_text())
    assert [each for each in shown if each != "nothing happened"]
    assert sum(shown.values()) == int(total)
    viewer.mouse.move(5, 5)
    expect(when).to_have_text("last 24 hours, by hour")


def test_numbers_lead_to_their_lists_and_nothing_needs_scripts(
    open_as: Callable[..., Page], house: House, moment: str
) -> None:
    page = open_as("viewer", script=False)
    page.goto(f"/moments/{moment}/reporting")
    raised = tile(page, "Raised")

    page.locator(".tile").first.get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Raised")
    expect(page.locator("tbody tr")).to_have_count(int(raised))
    expect(page.get_by_role("link", name="Why?", exact=False).first).to_have_attribute(
        "href", re.compile(r"/explanations\?idType=email&id=.+%40example\.com")
    )


def test_without_a_stream_the_page_asks(
    open_as: Callable[..., Page], house: House, shop: Shop, moment: str, watch: Watch
) -> None:
    watch.forgive(r"/stream")
    page = open_as("viewer")
    page.route("**/stream", lambda route: route.fulfill(status=503))
    page.goto(f"/moments/{moment}/reporting")
    expect(page.locator("#figures")).to_have_attribute("data-live-state", "polling")
    before = int(tile(page, "Raised"))

    house.put_in_cart(shop, "polled@example.com")

    wait_until(lambda: int(tile(page, "Raised")) == before + 1, "the page to show the raise", 20)


def test_a_hidden_page_asks_for_nothing_until_it_is_shown(viewer: Page, house: House, shop: Shop, moment: str) -> None:
    viewer.goto(f"/moments/{moment}/reporting")
    expect(viewer.locator("#figures")).to_have_attribute("data-live-state", "live")
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    viewer.evaluate(hide, True)
    expect(viewer.locator("#figures")).to_have_attribute("data-live-state", "paused")
    before = int(tile(viewer, "Raised"))
    asked: list[str] = []
    viewer.on("request", lambda request: asked.append(request.url))

    house.put_in_cart(shop, "unseen@example.com")
    house.wait_for(moment, raised=house.ledger(moment)["raised"])
    viewer.wait_for_timeout(1500)

    assert asked == []
    assert int(tile(viewer, "Raised")) == before
    viewer.evaluate(hide, False)
    wait_until(lambda: int(tile(viewer, "Raised")) == before + 1, "the page to catch up", 15)


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3], NARROW], ids=lambda look: f"{look.name}-{look.width}")
@pytest.mark.usefixtures("needs_axe")
def test_it_is_accessible_light_and_fits(open_as: Callable[..., Page], moment: str, look: Look) -> None:
    page = open_as("viewer", look)
    page.goto(f"/moments/{moment}/reporting?period=week")
    found = cost(page)
    expect(page.locator("#figures")).to_have_attribute("data-live-state", "live")

    assert_fits(page)
    assert_accessible(page)
    assert found.weight < MOST_BYTES, str(found)
    assert found.shift <= MOST_SHIFT, str(found)
    page.goto(f"/moments/{moment}/events?outcome=all")
    assert_fits(page)
    if look is not NARROW:
        assert_accessible(page)


def test_without_trigger_the_page_keeps_its_numbers_and_recovers(
    viewer: Page, house: House, moment: str, watch: Watch
) -> None:
    watch.forgive(r"503|/stream|/reporting/figures|ERR_")
    viewer.goto(f"/moments/{moment}/reporting")
    expect(viewer.locator("#figures")).to_have_attribute("data-live-state", "live")
    raised = tile(viewer, "Raised")

    with house.without_trigger():
        expect(viewer.get_by_text("Not up to date")).to_be_visible(timeout=20_000)
        assert tile(viewer, "Raised") == raised
        other = viewer.context.new_page()
        other.goto(f"/moments/{moment}/reporting")
        expect(other.get_by_text("Trigger does not answer").first).to_be_visible()
        assert tile(other, "Raised") == "–"

    expect(viewer.get_by_text("Not up to date")).to_be_hidden(timeout=40_000)
    wait_until(lambda: tile(other, "Raised") == raised, "the other page to fill in", 40)
