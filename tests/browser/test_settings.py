"""The settings in a browser: an invitation from hand to hand, a token, the audit log, one's own account."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import LOOKS, NARROW, PHONE, Look
from tests.browser.furnishing import Furnished
from tests.browser.house import PASSWORD, House
from tests.browser.judging import assert_accessible, assert_fits, assert_outlined, screenshot
from tests.support.processes import wait_until

PLACES = ("users", "users/new", "tokens", "tokens/new", "tokens?all=1", "audit", "account")


def test_an_invitation_goes_from_hand_to_hand_and_ends_with_the_session(
    admin: Page, new_context: Callable[..., BrowserContext]
) -> None:
    admin.goto("/settings")
    admin.get_by_role("link", name="Invite somebody").click()
    admin.get_by_label("Name").fill("Zoë Handed")
    admin.get_by_label("E-mail").fill("zoe.handed@example.com")
    admin.get_by_role("radio", name="Editor").check()
    admin.get_by_role("button", name="Make the invitation").click()
    link = admin.get_by_label("The link", exact=True).input_value()

    guest = new_context().new_page()
    guest.goto(link)
    expect(guest.get_by_label("Your name")).to_have_value("Zoë Handed")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Come in").click()
    expect(guest.get_by_role("heading", level=1)).to_have_text("Moments")

    admin.goto("/settings/users")
    admin.get_by_role("link", name="Open Zoë Handed").click()
    admin.get_by_role("button", name="Disable").click()
    expect(admin.get_by_text("Disabled. All their sessions have ended.")).to_be_visible()
    guest.goto("/moments")
    expect(guest.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_token_is_shown_once_works_and_is_revoked(admin: Page, house: House) -> None:
    admin.goto("/settings/tokens/new")
    admin.get_by_label("Name").fill("Nightly export")
    admin.get_by_role("button", name="Make the token").click()
    token = admin.get_by_label("The token", exact=True).input_value()

    def status(url: str) -> int:
        return int(admin.request.get(url, headers={"Authorization": f"Bearer {token}"}).status)

    webhooks = f"{house.up.url('trigger')}/api/v1/webhooks"
    assert status(f"{house.url}/api/v1/moments") == 200
    wait_until(lambda: status(webhooks) == 200, "trigger to know the token", 10)
    admin.get_by_role("link", name="Done").click()
    expect(admin.locator("body")).not_to_contain_text(token)
    admin.get_by_role("link", name="Open Nightly export").click()
    admin.get_by_role("button", name="Revoke").click()
    expect(admin.get_by_text("Revoked.", exact=True)).to_be_visible()
    assert status(f"{house.url}/api/v1/moments") == 401
    wait_until(lambda: status(webhooks) == 401, "trigger to refuse the token", 10)


def test_the_audit_log_leads_to_the_history_of_one_thing(viewer: Page, furnished: Furnished) -> None:
    viewer.goto(f"/settings/audit?resource={furnished.statuses['archived']}")
    expect(viewer.locator(".audit > li")).to_have_count(3)
    expect(viewer.locator(".audit > li").first).to_contain_text("archived the moment Last winter")
    expect(viewer.get_by_role("row", name="Status running archived")).to_be_visible()

    viewer.get_by_role("link", name="Remove the filter").click()
    expect(viewer).to_have_url(re.compile("/settings/audit$"))


def test_colours_and_time_zone_are_chosen_once(page: Page, house: House) -> None:
    house.come_in(page, house.invite("viewer", "Chooser"))
    page.goto("/settings/account")
    page.get_by_label("Dark").check()
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("html")).to_have_attribute("data-scheme", "dark")
    expect(page.get_by_text("this one")).to_be_visible()
    expect(page.locator("time").first).to_have_attribute("title", re.compile("JST$"))


@pytest.mark.parametrize("look", [*LOOKS, NARROW], ids=lambda look: look.name + str(look.width))
def test_every_page_of_the_settings_can_be_read_by_everybody(
    open_as: Callable[..., Page], furnished: Furnished, look: Look, needs_axe: None
) -> None:
    page = open_as("admin", look)
    for place in PLACES:
        page.goto(f"/settings/{place}")
        assert_fits(page)
        assert_outlined(page)
        if look.width > PHONE.width:
            assert_accessible(page)
        if look != NARROW:
            screenshot(page, f"settings-{place.replace('/', '-').replace('?all=1', '-all')}", look.name)
