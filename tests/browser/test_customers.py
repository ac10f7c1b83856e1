"""From the latest customers to one, whose signals are refused and taken again, by the keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.furnishing import Furnished


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
