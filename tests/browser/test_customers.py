"""From the latest customers to one, whose signals are refused and taken again, by the keyboard; and the way there."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW
from tests.browser.furnishing import Furnished

_BEYOND = """() => [...document.querySelectorAll(".rail a, .rail button")]
    .filter((each) => each.checkVisibility())
    .filter((each) => each.getBoundingClientRect().right > innerWidth || each.scrollWidth > each.clientWidth)
    .map((each) => each.textContent.trim())"""
"""What of the navigation lies beside the window, or is cut."""


def test_a_customer_is_found_refused_and_taken_again_by_the_keyboard(admin: Page, furnished: Furnished) -> None:
    admin.goto("/moments")
    admin.get_by_role("navigation").get_by_role("link", name="Customers").press("Enter")
    admin.get_by_role("link", name="grace@example.com").press("Enter")
    expect(admin.get_by_role("heading", level=1)).to_have_text("Customer grace@example.com")

    admin.get_by_role("link", name="Refuse their signals").press("Enter")
    dialog = admin.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Refuse the signals of grace@example.com?")
    admin.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    admin.get_by_role("link", name="Refuse their signals").press("Enter")
    dialog.get_by_role("button", name="Refuse their signals").press("Enter")
    expect(admin.get_by_text("Their signals are refused from now on")).to_be_visible()
    assert "grace" not in admin.url

    admin.get_by_role("searchbox").fill("Grace@example.com")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("heading", name="grace@example.com is on the list")).to_be_visible()
    admin.get_by_role("status").get_by_role("link", name="Take off the list").press("Enter")
    dialog.get_by_role("button", name="Take off the list").press("Enter")
    expect(admin.get_by_text("Their signals are taken again")).to_be_visible()


def test_the_narrowest_phone_has_room_for_every_place_and_for_signing_out(open_as: Callable[..., Page]) -> None:
    page = open_as("admin", NARROW)
    page.goto("/settings/account")

    assert page.evaluate(_BEYOND) == []
    assert page.get_by_role("navigation", name="Main").get_by_role("link").count() == 6
    expect(page.get_by_role("main").get_by_role("button", name="Sign out").first).to_be_visible()
