"""Setting up an audience configuration and watching signals arrive, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from services.cli.rest import Client
from shared.clock import stopwatch
from tests.browser.conftest import LOOKS, NARROW
from tests.browser.house import House
from tests.browser.judging import assert_accessible, assert_fits, screenshot
from tests.browser.watching import Watch
from tests.support.processes import stretched

HOSTILE = '<script>alert(1)</script> "Shop" \u202e & 🛒 ' + "x" * 120


@pytest.fixture
def editor(house: House, new_context: Callable[..., BrowserContext]) -> Page:
    """A page of an editor who is signed in."""
    page = new_context().new_page()
    house.come_in(page, house.invite("editor"))
    return page


def refuse(house: House, key: str, body: dict[str, Any]) -> None:
    """Send what ingestion refuses."""
    client = Client(house.up.url("ingestion"), {"X-Api-Key": key, "Connection": "close"})
    assert client.call("POST", "/v1/signals/cart/add", body).status in (401, 403, 422)


def test_from_an_empty_form_to_a_signal_that_is_seen_arriving(editor: Page, house: House, watch: Watch) -> None:
    editor.goto("/configurations")
    editor.get_by_role("link", name="New audience configuration").first.click()
    editor.get_by_label("Name", exact=True).fill(HOSTILE)
    editor.get_by_label("Audience id").fill("customers")
    editor.get_by_label("Audience name").fill("Customers")
    editor.get_by_role("textbox", name="Domains").fill("shop.example.com\n*.com")
    expect(editor.get_by_text("would admit every site under the public suffix")).to_be_visible()
    editor.get_by_role("button", name="Remove *.com").click()
    expect(editor.get_by_text("would admit every site")).to_have_count(0)
    editor.get_by_role("button", name="Create").click()
    secret = editor.locator("#secret")
    expect(secret).to_be_visible()
    shown = secret.inner_text()
    assert shown.partition(":")[2] not in editor.url
    editor.reload()
    expect(secret).to_have_count(0)
    assert shown.partition(":")[2] not in editor.content()

    editor.get_by_role("button", name="Send a test signal").click()
    expect(editor.get_by_text("The web key is switched off.")).to_be_visible()
    editor.locator("#key-web label.switch").click()
    expect(editor.get_by_role("switch", name="Listen to signals of the Web key")).to_be_checked()
    began = stopwatch()
    editor.get_by_role("button", name="Send a test signal").click()
    expect(editor.get_by_role("link", name="Show the signal")).to_be_visible()
    assert stopwatch() - began < stretched(10)
    tabs = editor.get_by_role("tab")
    tabs.first.focus()
    editor.keyboard.press("ArrowRight")
    expect(editor.get_by_role("tab", name="Server (curl)")).to_be_focused()
    expect(editor.get_by_role("tabpanel")).to_have_count(1)
    assert_accessible(editor)
    screenshot(editor, "configuration", "light-desktop")
    editor.get_by_role("link", name="Show the signal").click()
    expect(editor.get_by_role("heading", name="What it did")).to_be_visible()


def test_signals_appear_by_themselves_and_hold_still_while_somebody_looks(
    editor: Page, house: House, watch: Watch
) -> None:
    shop = house.make_shop()
    house.put_in_cart(shop, "first@example.com")
    editor.goto(f"/signals?configurationId={shop.id}")
    rows = editor.locator("#signal-list tbody tr")
    expect(rows.first).to_contain_text("first@example.com")

    house.put_in_cart(shop, "second@example.com")
    expect(rows.first).to_contain_text("second@example.com")
    editor.locator("#signal-list table").hover()
    expect(editor.get_by_text("Paused while you look")).to_be_visible()
    house.put_in_cart(shop, "third@example.com")
    expect(editor.get_by_text("Paused while you look · 1 new")).to_be_visible()
    expect(rows.first).to_contain_text("second@example.com")
    editor.mouse.move(2, 2)
    expect(rows.first).to_contain_text("third@example.com")

    editor.get_by_role("button", name="Pause").click()
    refuse(house, shop.key, {"id": "bad", "time": datetime.now(UTC).isoformat(), "data": {"email": "x", "items": []}})
    expect(editor.get_by_text("Paused · 1 new")).to_be_visible()
    editor.get_by_role("button", name="Go on").click()
    expect(rows.first).to_contain_text("The signal is not valid")
    rows.first.get_by_role("link").click()
    panel = editor.locator("#panel")
    expect(panel.get_by_role("heading", name="Why it was refused")).to_be_visible()
    assert "/signals/r" in editor.url
    assert_accessible(editor)
    editor.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_the_pages_are_accessible_and_fit_in_every_look(
    house: House, new_context: Callable[..., BrowserContext], needs_axe: None
) -> None:
    shop = house.make_shop(HOSTILE, audience=HOSTILE[:150])
    house.make_moment(shop, "running", name=HOSTILE)
    house.put_in_cart(shop, "ada@example.com")
    refuse(house, "pk_unknown", {})
    page = new_context().new_page()
    house.come_in(page, house.invite("editor"))
    for look in (LOOKS[0], LOOKS[-1], NARROW):
        page.set_viewport_size({"width": look.width, "height": look.height})
        page.emulate_media(color_scheme=look.scheme)
        for name, path in (
            ("signals", "/signals"),
            ("configurations", "/configurations"),
            ("configuration", f"/configurations/{shop.id}"),
        ):
            page.goto(path)
            assert_fits(page)
            if look is not NARROW:
                assert_accessible(page)
                screenshot(page, name, look.name)


def test_without_scripts_one_is_made_and_a_key_is_switched(
    house: House, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(script=False).new_page()
    house.come_in(page, house.invite("editor"))
    page.goto("/configurations/new")
    page.get_by_label("Name", exact=True).fill("Plain shop")
    page.get_by_label("Audience id").fill("a")
    page.get_by_label("Audience name").fill("A")
    page.get_by_role("button", name="Create").click()

    card = page.locator("#key-app")
    card.get_by_role("button", name="Switch on").click()
    expect(page.locator("#key-app").get_by_role("switch")).to_be_checked()
    page.locator("#key-app").get_by_role("button", name="Switch off").click()
    expect(page.locator("#key-app").get_by_role("switch")).not_to_be_checked()
    expect(page.locator("#code-server")).to_be_visible()
