"""Coming in: the first link, the sign-in, and where one wanted to go."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.focusing import reach
from tests.browser.house import PASSWORD, House


def test_who_is_not_signed_in_comes_back_to_where_they_wanted(page: Page, house: House) -> None:
    house.come_in(page, house.invite("editor", "Eve"))
    page.context.clear_cookies()

    page.goto("/moments?search=cart")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("E-mail").fill(house.email_of("Eve"))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(f"{house.url}/moments?search=cart")


def test_wrong_password_keeps_the_address(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value("nobody@example.com")
    expect(page.get_by_label("Password")).to_have_value("")


def test_sign_in_by_keyboard_alone(page: Page, house: House) -> None:
    house.come_in(page, house.invite("viewer", "Vera"))
    page.context.clear_cookies()
    page.goto("/sign-in")

    reach(page, "input E-mail")
    page.keyboard.type(house.email_of("Vera"))
    reach(page, "input Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Moments")


def test_after_signing_out_nothing_is_shown_by_going_back(page: Page, house: House) -> None:
    house.come_in(page, house.invite("viewer"))
    page.goto("/moments")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

    page.go_back()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_used_link_says_what_to_do(page: Page, house: House) -> None:
    link = house.invite("viewer")
    house.come_in(page, link)
    page.context.clear_cookies()

    answer = page.goto(link)

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("main")).to_contain_text("Ask for a new one")
