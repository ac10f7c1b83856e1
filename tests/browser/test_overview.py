"""The list of moments in a browser: finding, acting on one and on several, by mouse and by keyboard, alone and live."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser import judging
from tests.browser.conftest import NARROW, Look
from tests.browser.furnishing import HOSTILE
from tests.browser.house import House, Shop
from tests.browser.watching import focused


@pytest.fixture
def shop(house: House) -> Shop:
    """An audience that no other test knows."""
    return house.make_shop()


def rows(page: Page) -> list[str]:
    """The names that are listed."""
    return page.locator("table.moments tbody .what bdi:first-child").all_inner_texts()


def asked(page: Page) -> dict[str, str]:
    """What the address asks for."""
    return dict(parse_qsl(urlsplit(page.url).query))


def status_of(page: Page, name: str) -> str:
    """The status of a row."""
    return page.locator("tbody tr", has_text=name).locator(".status .badge").inner_text().strip()


def test_what_is_found_stands_in_the_address_and_the_back_button_goes_through_it(
    house: House, shop: Shop, editor: Page
) -> None:
    for name in ("Zebra one", "Zebra two"):
        house.make_moment(shop, name=name)
    house.make_moment(shop, "running", name="Zebra three")
    editor.goto("/moments")
    editor.evaluate("window.same = true")

    editor.keyboard.press("/")
    editor.keyboard.type("zebra")
    expect(editor).to_have_url(re.compile(r"search=zebra$"))
    expect(editor.locator("#moments tbody tr")).to_have_count(3)
    assert asked(editor) == {"search": "zebra"}
    assert focused(editor) == "input Search moments"
    editor.get_by_label("Status", exact=True).select_option("draft")
    expect(editor.locator("#moments tbody tr")).to_have_count(2)
    assert asked(editor) == {"search": "zebra", "status": "draft"}
    editor.get_by_role("link", name="Sort by Moment").or_(editor.get_by_role("link", name="Moment", exact=True)).click()
    expect(editor.locator("th[aria-sort=ascending]")).to_contain_text("Moment")
    assert rows(editor) == ["Zebra one", "Zebra two"]
    editor.get_by_role("link", name="Remove the filter Status: Draft").click()
    expect(editor.locator("#moments tbody tr")).to_have_count(3)
    assert asked(editor) == {"search": "zebra", "sort": "name"}
    assert editor.evaluate("window.same") is True

    editor.go_back()
    expect(editor.locator("#moments tbody tr")).to_have_count(2)
    assert asked(editor) == {"search": "zebra", "status": "draft", "sort": "name"}
    expect(editor.get_by_label("Status", exact=True)).to_have_value("draft")
    editor.goto("/moments?search=zebra&status=archived")
    editor.get_by_role("link", name="In any status: 3 moments").click()
    expect(editor.locator("#moments tbody tr")).to_have_count(3)


def test_a_moment_is_started_and_stopped_by_keyboard_alone(house: House, shop: Shop, editor: Page) -> None:
    moment = house.make_moment(shop, name="By keyboard")
    editor.goto(f"/moments?configuration={shop.id}")

    editor.locator(f"#status-{moment[:13]} summary").focus()
    editor.keyboard.press("Enter")
    editor.keyboard.press("ArrowDown")
    assert focused(editor) == "button Start"
    editor.keyboard.press("Escape")
    assert focused(editor).startswith("summary Status of By keyboard: Draft")
    editor.keyboard.press("Enter")
    editor.keyboard.press("ArrowDown")
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("Running. It listens from now on.")).to_be_visible()
    expect(editor.locator("tbody tr", has_text="By keyboard").locator(".status .badge")).to_have_text("Running")
    assert asked(editor)["configuration"] == shop.id

    editor.locator(f"#status-{moment[:13]} summary").focus()
    editor.keyboard.press("Enter")
    editor.keyboard.press("ArrowDown")
    editor.keyboard.press("Enter")
    dialog = editor.get_by_role("dialog", name="Stop By keyboard?")
    expect(dialog).to_contain_text("Nobody is waiting")
    editor.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    editor.locator(f"#status-{moment[:13]} summary").focus()
    if not editor.locator(f"#status-{moment[:13]}[open]").count():
        editor.keyboard.press("Enter")
    editor.keyboard.press("ArrowDown")
    editor.keyboard.press("Enter")
    editor.get_by_role("dialog").get_by_role("button", name="Stop").focus()
    editor.keyboard.press("Enter")
    expect(editor.get_by_text("Nothing is raised until it is started again.")).to_be_visible()
    editor.get_by_role("button", name="Start again").click()
    expect(editor.locator("tbody .status .badge")).to_contain_text("Running")


def test_several_are_stopped_together_and_each_is_told_of(house: House, shop: Shop, editor: Page) -> None:
    for name in ("Several one", "Several two"):
        house.make_moment(shop, "running", name=name)
    house.make_moment(shop, name="Several three")
    editor.goto(f"/moments?configuration={shop.id}")
    expect(editor.locator("#bulk")).to_be_hidden()

    editor.get_by_label("Select all moments of this page").check()
    expect(editor.locator("#bulk")).to_contain_text("3 selected")
    editor.locator("#bulk").get_by_role("button", name="Stop …").click()

    expect(editor.get_by_role("heading", name="Stop 3 moments?")).to_be_visible()
    editor.get_by_role("button", name="Stop 2", exact=True).click()
    expect(editor.get_by_text("2 moments are stopped.")).to_be_visible()
    assert {status_of(editor, f"Several {name}") for name in ("one", "two")} == {"Stopped"}
    assert urlsplit(editor.url).path == "/moments"


def test_numbers_and_what_others_change_come_in_without_moving_the_list(house: House, shop: Shop, editor: Page) -> None:
    moment = house.make_moment(shop, "running", name="Live", settings={"duration": "PT1S"})
    editor.goto(f"/moments?configuration={shop.id}")
    expect(editor.locator(f"#raised-{moment[:13]}")).to_contain_text("0")

    house.put_in_cart(shop, "live@example.com")

    expect(editor.locator(f"#raised-{moment[:13]} .numbers")).to_have_text("1")
    assert judging.cost(editor).shift <= judging.MOST_SHIFT
    house.call("POST", f"/api/v1/moments/{moment}/status", {"status": "stopped"})
    expect(editor.locator("tbody .status .badge")).to_contain_text("Stopped")


@pytest.mark.usefixtures("needs_axe")
@pytest.mark.parametrize("look", [NARROW, Look(scheme="dark")], ids=lambda look: look.name)
def test_hostile_names_fit_and_everything_is_accessible(
    house: House, shop: Shop, open_as: Callable[..., Page], look: Look
) -> None:
    for name in HOSTILE:
        house.make_moment(shop, name=name, description=name * 3)
    page = open_as("editor", look)
    page.goto(f"/moments?configuration={shop.id}")
    expect(page.locator("tbody tr")).to_have_count(len(HOSTILE))

    judging.assert_fits(page)
    judging.assert_accessible(page)
    assert page.evaluate("window.hacked") is None
    page.locator(".status-menu summary").first.click()
    page.locator(".row-actions .menu summary").last.click()
    judging.assert_fits(page)


def test_the_longest_page_is_light_and_quick(house: House, shop: Shop, open_as: Callable[..., Page]) -> None:
    for number in range(21):
        house.make_moment(shop, name=f"Filler {number} {'x' * 40}", description="y" * 80)
    page = open_as("editor")
    page.goto("/moments")
    expect(page.locator("tbody tr")).to_have_count(20)

    judging.assert_light(judging.cost(page))


def test_a_moment_is_made_and_deleted_without_a_script(house: House, shop: Shop, open_as: Callable[..., Page]) -> None:
    page = open_as("editor", script=False)
    page.goto(f"/moments/new?configuration={shop.id}&search=welcome app")
    page.get_by_role("link", name="Welcome App").click()
    page.get_by_label("Name").fill("")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#name-fault")).to_contain_text("Give it a name.")

    page.get_by_label("Name").fill("Made without a script")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Created. It is a draft until you start it.")).to_be_visible()
    page.goto(f"/moments?configuration={shop.id}")
    page.locator(".row-actions summary").click()
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted.")).to_be_visible()


def test_templates_are_found_as_one_types(editor: Page) -> None:
    editor.goto("/moments/new")

    editor.keyboard.press("/")
    editor.keyboard.type("booking")
    expect(editor.locator(".template-card:visible")).to_have_count(2)
    expect(editor.locator("[data-group]:visible")).to_have_count(2)
    editor.keyboard.type(" zzz")
    expect(editor.get_by_role("heading", name="No template has these words")).to_be_visible()
    editor.keyboard.press("Control+a")
    editor.keyboard.type("newsletter goodbye")
    editor.keyboard.press("Enter")
    expect(editor.get_by_role("heading", name="New moment: Goodbye")).to_be_visible()
