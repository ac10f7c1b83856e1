"""The way of a marketer through a new installation, from the link that the first start prints to live numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from contracts.moments import DELETABLE, STATUSES, TRANSITIONS
from tests.browser.focusing import reach
from tests.browser.furnishing import Furnished
from tests.browser.house import CONFIGURATIONS, PASSWORD, House, running_house
from tests.browser.watching import Watch, focused

_AWAY = re.compile("trigger.{0,60}does not answer", re.IGNORECASE | re.DOTALL)
_WORDS = {"running": "Start", "stopped": "Stop", "archived": "Archive", "draft": "Reopen"}


@pytest.fixture
def new_house(browser: Browser, tmp_path: Path) -> Iterator[House]:
    """An installation that nobody has used yet."""
    with running_house(tmp_path / "data") as running:
        yield running


def row(page: Page, name: str) -> Locator:
    """The row of a moment in the list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_from_the_first_link_to_numbers_that_move(browser: Browser, new_house: House, watch: Watch) -> None:
    context = browser.new_context(base_url=new_house.url, viewport={"width": 1280, "height": 800})
    watch.over(context)
    page = context.new_page()
    try:
        _come_in_first(page, new_house)
        _make_an_audience(page)
        _make_a_moment(page)
        _set_and_start(page)
        _see_numbers_move(page, new_house)
    finally:
        context.close()


def _come_in_first(page: Page, house: House) -> None:
    """By the link that `./moments up` printed, which works once."""
    link = next(found[0] for line in house.up.seen if (found := re.search(r"http\S+/welcome/\S+", line)))
    page.goto(urlsplit(link).path)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Come in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Moments")


def _make_an_audience(page: Page) -> None:
    """There is none yet: one is led to make it, and comes back to the new moment."""
    page.goto("/moments")
    expect(page.get_by_role("heading", name="First, say who your customers are")).to_be_visible()
    page.get_by_role("link", name="Make an audience configuration").click()
    page.get_by_label("Name", exact=True).fill("Web shop")
    page.locator("#audience_id").fill("list-1")
    page.locator("#audience_name").fill("Customers")
    page.locator("#domains").fill("shop.example.com")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New moment")


def _make_a_moment(page: Page) -> None:
    """Choose a template; name, description and audience are filled in; the panel opens."""
    page.get_by_role("link", name="Cart Abandon").click()
    expect(page.get_by_label("Name", exact=True)).not_to_have_value("")
    expect(page.get_by_label("Description")).not_to_have_value("")
    page.get_by_label("Name", exact=True).fill("Cart left behind")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=2, name="Cart left behind")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Cart left behind")


def _set_and_start(page: Page) -> None:
    """The defaults of the template are there; after the start the audience is locked."""
    expect(page.get_by_label("Duration: number")).to_have_value("2")
    expect(page.get_by_label("Duration: unit").locator("option:checked")).to_have_text("hours")
    expect(page.locator("#audience_configuration_id")).to_be_enabled()
    page.get_by_label("Duration: number").fill("1")
    page.get_by_label("Duration: unit").select_option(label="seconds")
    page.get_by_role("button", name="Save and start").click()
    expect(page.locator("#panel").get_by_text("Running", exact=True)).to_be_visible()
    expect(page.get_by_text("The audience configuration is fixed")).to_be_visible()
    expect(page.locator("#audience_configuration_id")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_have_count(0)


def _see_numbers_move(page: Page, house: House) -> None:
    """The Reporting icon of the row; the numbers move without a reload while signals are sent."""
    row(page, "Cart left behind").get_by_role("link", name="Reporting of Cart left behind").click()
    tile = page.locator(".tile").filter(has=page.get_by_role("heading", name="Raised", exact=True)).locator(".figure")
    expect(tile).to_have_text("0")
    expect(page.locator("#figures")).to_have_attribute("data-live-state", "live")
    page.evaluate("window.same = true")

    made = house.call("GET", CONFIGURATIONS).document["items"][0]
    shop = house.open_shop(made["id"], made["name"])
    for customer in ("ada", "grace", "linus"):
        house.put_in_cart(shop, f"{customer}@example.com")

    expect(tile).to_have_text("3")
    assert page.evaluate("window.same") is True


def test_the_latest_change_stands_first(house: House, editor: Page) -> None:
    shop = house.make_shop()
    for name in ("Oldest", "Between", "Newest"):
        house.make_moment(shop, name=name)
    editor.goto(f"/moments?configuration={shop.id}")
    names = editor.get_by_role("row").locator(".what a")
    expect(names).to_have_text(["Newest", "Between", "Oldest"])

    row(editor, "Oldest").get_by_role("link", name="Change Oldest").click()
    editor.get_by_label("Description").fill("Changed by the pencil.")
    editor.get_by_role("button", name="Save", exact=True).click()
    expect(editor.get_by_role("status").filter(has_text="Saved")).to_be_visible()

    expect(names).to_have_text(["Oldest", "Newest", "Between"])


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_is_allowed_is_offered(editor: Page, furnished: Furnished, status: str) -> None:
    moment = furnished.statuses[status]
    editor.goto("/moments?sort=name")
    offered = editor.locator(f"tr[data-row='/moments/{moment}']")

    offered.locator(".status-menu summary").click()
    shown = {
        each.strip().removesuffix(" …") for each in offered.locator(".status-menu .menu-items > *").all_inner_texts()
    }
    offered.locator(".row-actions summary").click()

    assert len(shown) == len(TRANSITIONS[status])
    assert all(any(_WORDS[to] in word for word in shown) for to in TRANSITIONS[status])
    assert bool(offered.get_by_role("link", name="Delete …").count()) is (status in DELETABLE)


def test_every_allowed_change_of_status_is_done(house: House, editor: Page) -> None:
    shop = house.make_shop()
    moment = house.make_moment(shop, name="Goes round")
    editor.goto(f"/moments?configuration={shop.id}")
    badge = row(editor, "Goes round").locator(".status-menu summary")

    former = "draft"
    for status in ("running", "stopped", "running", "archived", "draft", "running", "stopped", "archived"):
        badge.click()
        row(editor, "Goes round").locator(".status-menu .menu-items > *", has_text=_WORDS[status]).first.click()
        if former == "running":  # who waits would lose by it: it is confirmed
            editor.get_by_role("dialog").get_by_role("button", name=_WORDS[status]).click()
        expect(badge).to_have_text(status.capitalize())
        former = status

    row(editor, "Goes round").locator(".row-actions summary").click()
    row(editor, "Goes round").get_by_role("link", name="Delete …").click()
    editor.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(editor, "Goes round")).to_have_count(0)
    assert house.up.client("config").call("GET", f"/api/v1/moments/{moment}").status == 404


def test_a_moment_is_made_set_and_started_by_keyboard_alone(house: House, open_as: Callable[..., Page]) -> None:
    shop = house.make_shop("Keyed shop")
    page = open_as("editor")
    page.goto(f"/moments?configuration={shop.id}")
    page.goto("/moments")

    reach(page, "a New moment")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("New moment")
    page.keyboard.press("/")
    assert focused(page) == "input Search templates"
    page.keyboard.type("survey abandon")
    reach(page, "a Survey Abandon")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_visible()
    reach(page, "input Name")
    page.keyboard.press("Control+a")
    page.keyboard.type("Survey by keys")
    reach(page, "select Audience configuration")
    page.keyboard.type("Keyed")
    reach(page, "button Create")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2, name="Survey by keys")).to_be_focused()

    reach(page, "input Duration: number")
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    reach(page, "button Save and start")
    page.keyboard.press("Enter")
    expect(page.locator("#panel").get_by_text("Running", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_have_count(0)
    expect(row(page, "Survey by keys")).to_be_visible()


def test_the_focus_returns_to_where_a_panel_was_opened(house: House, editor: Page) -> None:
    shop = house.make_shop()
    house.make_moment(shop, name="Opened and closed")
    editor.goto(f"/moments?configuration={shop.id}")

    reach(editor, "a Change Opened and closed")
    editor.keyboard.press("Enter")
    expect(editor.get_by_role("heading", level=2, name="Opened and closed")).to_be_focused()
    editor.keyboard.press("Escape")

    expect(editor.locator("#panel")).to_have_count(0)
    assert focused(editor) == "a Change Opened and closed"


def test_without_trigger_moments_are_read_and_changed(
    house: House, editor: Page, furnished: Furnished, watch: Watch
) -> None:
    watch.forgive("answered 503")
    shop = house.make_shop()
    house.make_moment(shop, "running", name="Made before")
    with house.without_trigger():
        editor.goto(f"/moments?configuration={shop.id}")
        expect(editor.get_by_text("trigger does not answer").first).to_be_visible()
        expect(row(editor, "Made before").locator(".waiting")).to_contain_text("–")
        row(editor, "Made before").get_by_role("link", name="Change Made before").click()
        editor.get_by_label("Name", exact=True).fill("Changed without trigger")
        editor.get_by_role("button", name="Save", exact=True).click()
        expect(row(editor, "Changed without trigger")).to_be_visible()
        for path in ("/signals", f"/configurations/{shop.id}", "/journeys", f"/moments/{furnished.raised}/reporting"):
            answer = editor.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            expect(editor.get_by_role("main")).to_contain_text(_AWAY)

    editor.goto(f"/moments?configuration={shop.id}")
    expect(row(editor, "Changed without trigger").locator(".waiting")).to_contain_text("0")


def test_an_audience_is_made_without_scripts(open_as: Callable[..., Page]) -> None:
    page = open_as("editor", script=False)
    page.goto("/configurations/new")
    page.get_by_label("Name", exact=True).fill("Plain shop")
    page.locator("#audience_id").fill("list-9")
    page.locator("#audience_name").fill("Customers")
    page.locator("#domains").fill("*.com")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#domains-fault")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Plain shop")

    page.locator("#domains").fill("plain.example.com")
    page.get_by_role("button", name="Create").click()
    page.locator("#key-web").get_by_role("button", name="Switch on").click()

    expect(page.locator("#key-web").get_by_role("button", name="Switch off")).to_be_visible()
