"""Explanations and journeys in a browser: looked up, watched while time passes, by keyboard, in every look."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LOOKS, NARROW, look_at
from tests.browser.focusing import reach
from tests.browser.furnishing import SCRIPT
from tests.browser.house import House, Shop
from tests.browser.judging import ALL, COLOURS, assert_accessible, assert_fits, assert_light, cost, screenshot
from tests.browser.watching import Watch
from tests.support.processes import wait_until


@pytest.fixture(scope="package")
def shop(house: House) -> Shop:
    return house.make_shop("Explained shop")


@pytest.fixture(scope="package")
def moment(house: House, shop: Shop) -> str:
    """A moment that has raised for one customer, and for one who came back."""
    made = house.make_moment(shop, "running", name="Explained", settings={"duration": "PT3S"})
    house.put_in_cart(shop, "left@example.com")
    house.put_in_cart(shop, "back@example.com")
    house.wait_for(made, raised=2)
    house.signal(shop, "cart/purchase", "back@example.com", {"cartId": "cart-back@example.com"})
    house.put_in_cart(shop, "hostile@example.com", name=SCRIPT)
    return made


def test_a_raise_is_explained_from_reporting_and_another_customer_is_looked_up(viewer: Page, moment: str) -> None:
    viewer.goto(f"/moments/{moment}/reporting")
    viewer.get_by_role("link", name="left@example.com").first.click()
    expect(viewer.locator("#answer")).to_contain_text("Raised at")
    expect(viewer.get_by_role("listitem").filter(has_text="Added to the cart")).to_be_visible()

    viewer.get_by_label("Customer").fill(" Back@Example.com ")
    viewer.get_by_role("button", name="Look up").click()

    expect(viewer.locator("#answer")).to_contain_text("Raised, and recovered: bought")


def test_what_waits_counts_down_and_is_seen_to_be_raised(viewer: Page, house: House, shop: Shop, moment: str) -> None:
    house.put_in_cart(shop, "watched@example.com")
    viewer.goto(f"/moments/{moment}/explanations?id=watched@example.com")

    expect(viewer.locator("#answer")).to_contain_text("Raised at")
    expect(viewer.locator("[data-countdown]")).to_have_count(0)


def test_occurrences_open_by_keyboard_and_keep_the_focus(viewer: Page, house: House, shop: Shop) -> None:
    slow = house.make_moment(shop, "running", name="Slow", settings={"duration": "PT2H"})
    house.put_in_cart(shop, "keys@example.com")
    house.wait_for(slow, opened=1)
    viewer.goto(f"/moments/{slow}/explanations")

    viewer.keyboard.press("/")
    viewer.keyboard.type("keys@example.com")
    viewer.keyboard.press("Enter")
    expect(viewer.locator("#answer")).to_contain_text("Waiting until")
    expect(viewer.locator("[data-countdown]")).to_contain_text(re.compile(r"1:5\d:"))
    line = viewer.locator("#answer").inner_text()
    began = viewer.locator(".occurrence-when").inner_text()
    reach(viewer, f"a Waiting {line} {began}")
    viewer.evaluate(
        "import('/assets/' + document.querySelector('link[rel=stylesheet]').href.split('/')[4]"
        " + '/js/fragments.js').then((m) => m.reload(document.querySelector('[data-fragment]')))"
    )
    expect(viewer.locator('[aria-expanded="true"]')).to_be_focused()
    viewer.keyboard.press("Enter")
    expect(viewer.locator('[aria-expanded="true"]')).to_have_count(0)


def test_it_works_without_scripts(open_as: Callable[..., Page], moment: str) -> None:
    page = open_as("viewer", script=False)
    page.goto(f"/moments/{moment}/explanations")
    page.get_by_label("Customer").fill("left@example.com")
    page.get_by_role("button", name="Look up").click()

    expect(page.locator("#answer")).to_contain_text("Raised at")


def test_explanations_look_well(viewer: Page, needs_axe: None, moment: str) -> None:
    for customer, name in (("back", "explanation"), ("nobody", "explanation-nobody")):
        viewer.goto(f"/moments/{moment}/explanations?id={customer}@example.com")
        for look in LOOKS:
            look_at(viewer, look)
            assert_accessible(viewer, COLOURS if look.scheme == "dark" else ALL)
            assert_fits(viewer)
            screenshot(viewer, f"{name}-answered", look.name)


def test_an_explanation_is_light_and_fits_a_narrow_screen(open_as: Callable[..., Page], moment: str) -> None:
    page = open_as("viewer", NARROW)
    page.goto(f"/moments/{moment}/explanations?id=back@example.com")

    assert_light(cost(page))
    assert_fits(page)


def test_trigger_away_is_said_and_over_when_it_is_back(viewer: Page, house: House, moment: str, watch: Watch) -> None:
    with house.without_trigger():
        viewer.goto(f"/moments/{moment}/explanations?id=left@example.com")
        expect(viewer.get_by_role("heading", name="No explanation at the moment")).to_be_visible()
        viewer.goto("/journeys")
        expect(viewer.get_by_text("Trigger does not answer")).to_be_visible()

    def answered() -> bool:
        viewer.goto(f"/moments/{moment}/explanations?id=left@example.com")
        return viewer.locator("#answer").count() > 0

    wait_until(answered, "config to ask trigger again, which it does after two seconds", 60)
    expect(viewer.locator("#answer")).to_contain_text("Raised at")


# Journeys.


def test_a_webhook_is_made_tried_and_deleted_by_keyboard(admin: Page, house: House) -> None:
    admin.goto("/journeys")
    reach(admin, "a Add a webhook" if admin.get_by_text("No webhook yet").count() else "a New webhook")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("heading", name="New webhook", level=2)).to_be_visible()

    admin.get_by_role("button", name="Create").click()
    expect(admin.get_by_role("alert").first).to_contain_text("2 fields need a change")
    reach(admin, "input Name")
    admin.keyboard.type("Tried by keys")
    reach(admin, "input Send events to")
    admin.keyboard.type(f"{house.up.url('ingestion')}/nowhere")
    admin.keyboard.press("Enter")

    expect(admin.locator(".secret")).to_contain_text("whsec_")
    admin.get_by_role("link", name="I have stored it").click()
    expect(admin.locator(".secret")).to_have_count(0)
    admin.get_by_role("button", name="Send a test").click()
    expect(admin.locator("#panel").get_by_role("status")).to_contain_text("Your endpoint did not take it")
    admin.get_by_role("link", name="Delete").click()
    admin.get_by_role("dialog").get_by_role("button", name="Delete the webhook").click()
    expect(admin.get_by_role("status").first).to_contain_text("Deleted")
    expect(admin.get_by_role("link", name="Tried by keys")).to_have_count(0)
