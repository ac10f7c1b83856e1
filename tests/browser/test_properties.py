"""The properties panel in a browser: by keyboard, faults and effects while typing, two editors, back-tests."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, NARROW, Look, look_at
from tests.browser.focusing import reach
from tests.browser.furnishing import HOSTILE
from tests.browser.house import House, Shop
from tests.browser.judging import ALL, COLOURS, assert_accessible, assert_fits, screenshot
from tests.browser.watching import Watch
from tests.support.processes import wait_until

Open = Callable[..., Page]
EVERYTHING = {
    "duration": "PT2H",
    "maximumWait": "P2D",
    "sites": ["shop.example.com"],
    "minimumValue": {"amount": 30, "currency": "EUR"},
    "categories": ["Mugs", "Lamps"],
    "coolDown": "P7D",
    "quietHours": {"zone": "Europe/Berlin", "from": "22:00", "to": "08:00"},
}


@pytest.fixture(scope="module")
def shop(house: House) -> Shop:
    """A shop of these tests alone."""
    return house.make_shop("Panel shop", domains=["shop.example.com", "*.example.net"])


@pytest.fixture(scope="module")
def waiting(house: House, shop: Shop) -> str:
    """A running moment for which four customers wait."""
    moment = house.make_moment(shop, "running", name="Waited for", settings={"duration": "PT2H"})
    for number in range(4):
        house.put_in_cart(shop, f"panel-{number}@example.com", price=10.0 * (number + 1))
    house.wait_for(moment, opened=4)
    return moment


def settings_of(house: House, moment: str) -> dict[str, object]:
    """The settings as they are saved."""
    found: dict[str, object] = house.call("GET", f"/api/v1/moments/{moment}").document["settings"]
    return found


def test_a_moment_is_opened_edited_and_saved_by_keyboard_alone(editor: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop, name="Typed in")
    editor.goto("/moments?search=typed")
    reach(editor, "a Typed in")
    editor.keyboard.press("Enter")
    expect(editor.locator("#panel-title")).to_be_focused()

    reach(editor, "input Duration: number")
    editor.keyboard.press("Control+A")
    editor.keyboard.type("3")
    editor.keyboard.press("Enter")

    expect(editor.locator("#panel .notice.good")).to_have_text("Saved.")
    expect(editor).to_have_url(re.compile(rf"/moments/{moment}\?search=typed$"))
    assert settings_of(house, moment)["duration"] == "PT3H"


def test_a_fault_is_told_in_words_once_its_field_is_left(editor: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop)
    editor.goto(f"/moments/{moment}")
    number, fault = editor.get_by_label("Duration: number"), editor.locator("#setting-duration-fault")

    number.press_sequentially("x")
    expect(editor.locator("#unsaved")).to_be_visible()
    expect(fault).to_be_hidden()
    number.press("Tab")
    expect(fault).to_have_text("Write a number, such as 2 or 1.5.")
    expect(number).to_have_attribute("aria-invalid", "true")
    number.fill("91")
    editor.get_by_label("Duration: unit").select_option("days")
    expect(fault).to_have_text("At most 90 days.")
    editor.get_by_role("button", name="Back to the default").click()

    expect(fault).to_be_hidden()
    expect(number).to_have_value("2")
    expect(number).to_be_focused()


def test_a_refused_save_leads_to_the_faults_and_keeps_what_was_typed(editor: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop)
    editor.goto(f"/moments/{moment}")
    editor.get_by_label("Name", exact=True).fill("")
    editor.get_by_label("Minimum value: amount").fill("1,50")
    editor.get_by_role("button", name="Save", exact=True).click()

    summary = editor.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("2 fields need a change; nothing was saved.")
    expect(editor.get_by_label("Minimum value: amount")).to_have_value("1,50")
    summary.get_by_role("link", name="Minimum value").click()
    expect(editor.get_by_label("Minimum value: amount")).to_be_focused()


def test_the_effect_on_who_waits_moves_while_one_types(editor: Page, waiting: str) -> None:
    editor.goto(f"/moments/{waiting}")
    impact = editor.locator("#impact")
    expect(impact).to_contain_text("4 customers wait now. Saving changes nothing for them.")

    editor.get_by_label("Duration: number").fill("3")
    expect(impact).to_contain_text("4 later")
    editor.get_by_label("Duration: unit").select_option("seconds")
    editor.get_by_label("Duration: number").fill("1")
    expect(impact).to_contain_text("4 will be raised at once")
    expect(impact).to_contain_text("4 with this change")
    editor.get_by_label("Duration: number").fill("")
    expect(impact).to_contain_text("Correct the marked fields")


def test_a_back_test_is_run_on_what_is_typed_and_its_result_drawn(editor: Page, waiting: str) -> None:
    editor.goto(f"/moments/{waiting}")
    editor.get_by_label("Duration: number").fill("1")
    editor.get_by_label("Duration: unit").select_option("seconds")
    editor.get_by_label("Minimum value: amount").fill("15")
    editor.get_by_label("Minimum value: currency").fill("EUR")
    editor.get_by_role("button", name="What would this have done").click()

    result = editor.locator("#trial")
    expect(result.locator(".tile", has_text="Raised")).to_contain_text("3")
    expect(result.locator(".tile", has_text="Raised")).to_contain_text("0 with the saved settings")
    expect(result).to_contain_text("3 raises are new with these settings.")
    expect(result.get_by_role("row", name="Worth less than the minimum")).to_contain_text("1")
    expect(result.get_by_role("button", name="Try it again")).to_be_visible()
    expect(editor.get_by_label("Minimum value: amount")).to_have_value("15")
    asked: list[str] = []
    editor.on("request", lambda request: asked.append(request.url))
    editor.wait_for_timeout(1500)
    assert not [url for url in asked if "/backtests/" in url]


def test_two_editors_at_once_see_each_other_and_lose_nothing(
    open_as: Open, house: House, shop: Shop, watch: Watch
) -> None:
    moment = house.make_moment(shop, name="Shared")
    hers, mine = open_as("admin"), open_as("editor")
    for page in (hers, mine):
        page.goto(f"/moments/{moment}")
    hers.get_by_label("Name", exact=True).fill(HOSTILE[0])
    hers.get_by_label("Duration: number").fill("5")
    hers.get_by_role("button", name="Save", exact=True).click()
    expect(hers.locator("#panel .notice.good")).to_be_visible()
    mine.get_by_label("Description").fill("Mine")
    mine.get_by_label("Duration: number").fill("3")
    mine.get_by_role("button", name="Save", exact=True).click()

    conflict = mine.get_by_role("alert")
    expect(conflict).to_be_focused()
    expect(conflict).to_contain_text("Somebody else saved this moment")
    expect(conflict.get_by_role("row", name="Duration")).to_contain_text("2 hours 5 hours")
    expect(conflict.get_by_role("row", name="Name")).to_contain_text(HOSTILE[0][:20])
    expect(mine.get_by_label("Name", exact=True)).to_have_value(HOSTILE[0])
    expect(mine.get_by_label("Duration: number")).to_have_value("3")
    assert_accessible(mine)
    mine.get_by_role("button", name=re.compile("Take theirs.*Duration")).click()
    expect(mine.get_by_label("Duration: number")).to_have_value("5")
    expect(mine.get_by_label("Description")).to_have_value("Mine")
    mine.get_by_role("button", name="Save", exact=True).click()

    expect(mine.locator("#panel .notice.good")).to_have_text("Saved.")
    found = house.call("GET", f"/api/v1/moments/{moment}").document
    assert (found["name"], found["description"]) == (HOSTILE[0], "Mine")
    assert found["settings"]["duration"] == "PT5H"
    assert mine.evaluate("window.hacked") is None


def test_what_is_not_saved_is_guarded(editor: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop)
    editor.goto(f"/moments/{moment}")
    asked: list[str] = []
    editor.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    editor.keyboard.press("Escape")
    expect(editor).to_have_url(re.compile(r"/moments$"))
    editor.goto(f"/moments/{moment}")

    editor.get_by_label("Duration: number").fill("7")
    editor.keyboard.press("Escape")

    expect(editor.get_by_label("Duration: number")).to_have_value("7")
    assert len(asked) == 1


def test_stopping_tells_whom_it_concerns_before_it_is_done(editor: Page, house: House, shop: Shop) -> None:
    own = house.make_shop("Stopped shop")
    moment = house.make_moment(own, "running")
    house.put_in_cart(own, "stopped@example.com")
    house.wait_for(moment, opened=1)
    editor.goto(f"/moments/{moment}")
    editor.get_by_role("link", name="Stop …").click()

    dialog = editor.get_by_role("dialog")
    expect(dialog).to_contain_text("One wait is suppressed")
    dialog.get_by_role("button", name="Stop").click()

    expect(editor.locator("#panel .badge").first).to_have_text("Stopped")
    expect(editor.locator("#panel .notice.good")).to_contain_text("Stopped.")


def test_without_scripts_settings_are_saved_effects_told_and_back_tests_looked_at(
    open_as: Open, house: House, waiting: str
) -> None:
    page = open_as("editor", script=False)
    page.goto(f"/moments/{waiting}")
    page.get_by_label("Cool-down: number").fill("9")
    page.get_by_role("button", name="Show the effect").click()
    expect(page.locator("#impact")).to_contain_text("4 customers wait now.")
    page.get_by_role("button", name="What would this have done").click()
    again, told = page.get_by_role("button", name="Look again"), page.locator("#trial", has_text="recorded signals")

    def is_told() -> bool:
        expect(again.or_(told).first).to_be_visible()
        if again.count():
            again.click()
        return told.count() > 0

    wait_until(is_told, "the back-test to end", 60)
    expect(page.get_by_label("Cool-down: number")).to_have_value("9")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#panel .notice.good")).to_have_text("Saved.")
    assert settings_of(house, waiting)["coolDown"] == "P9D"


@pytest.mark.usefixtures("needs_axe")
def test_the_panel_is_accessible_and_fits_a_phone(editor: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop, "running", name=HOSTILE[2], description=HOSTILE[1], settings=EVERYTHING)
    welcome = house.make_moment(shop, type="welcome", name=HOSTILE[3])
    for made, name in ((moment, "properties"), (welcome, "properties-draft")):
        editor.goto(f"/moments/{made}")
        if made == moment:
            expect(editor.locator("#impact")).to_contain_text("wait")
        for look in (DESKTOP, NARROW, Look(1280, 800, "dark"), Look(320, 640, "dark")):
            look_at(editor, look)
            assert_fits(editor)
            if made == moment and look.width == DESKTOP.width:
                assert_accessible(editor, COLOURS if look.scheme == "dark" else ALL)
            screenshot(editor, name, f"{look.scheme}-{look.width}")


@pytest.mark.usefixtures("needs_axe")
def test_who_may_only_look_reads_all_of_it(viewer: Page, house: House, shop: Shop) -> None:
    moment = house.make_moment(shop, "running", name=HOSTILE[0], description=HOSTILE[3], settings=EVERYTHING)
    viewer.goto(f"/moments/{moment}")
    panel = viewer.locator("#panel")

    expect(panel).to_contain_text("Raise when 2 hours have passed")
    expect(panel).to_contain_text("22:00 to 08:00, Europe/Berlin")
    expect(panel.locator("input, select, textarea, button:not([data-copy])")).to_have_count(0)
    assert_accessible(viewer)
    assert viewer.evaluate("window.hacked") is None


def test_an_expired_session_keeps_what_was_typed(open_as: Open, house: House, shop: Shop, watch: Watch) -> None:
    watch.forgive("answered 401")
    moment = house.make_moment(shop)
    page = open_as("editor")
    page.goto(f"/moments/{moment}")
    page.get_by_label("Description").fill("Typed before")
    kept = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#toasts")).to_contain_text("nothing that you typed is lost")
    page.context.add_cookies(kept)
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("#panel .notice.good")).to_have_text("Saved.")
    assert house.call("GET", f"/api/v1/moments/{moment}").document["description"] == "Typed before"
