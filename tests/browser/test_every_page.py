"""What holds on every page of the app: keys reach all and lose nothing, no link is dead, roles, no script needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from playwright.sync_api import Page

from tests.browser.focusing import walk_by_tab
from tests.browser.furnishing import Furnished
from tests.browser.guiding import Guide
from tests.browser.routes import pages_of, read_app, role_for
from tests.browser.tour import NO_PAGES, SIGNED_IN, TOUR, Stop
from tests.browser.watching import focused

_OFFERS = """async (address) => {
    const answer = await fetch(address);
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    const button = "button:not([type=button]):not(:disabled)";
    const urls = (selector, attribute) => [...found.querySelectorAll(selector)]
        .map((each) => new URL(each.getAttribute(attribute) ?? "", answer.url).href)
        .filter((url) => url.startsWith(location.origin));
    const actions = [...urls(`form[method=post]:has(${button})`, "action"), ...urls("[formaction]", "formaction")];
    return [urls("a[href]", "href"), actions];
}"""
"""The links of a page, and where its buttons send to, as it comes from the server: scripts add none that it lacks."""
NAMES = [stop.name for stop in SIGNED_IN]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return read_app(tmp_path_factory.mktemp("routes"))


def test_every_page_is_on_the_tour(app: Flask) -> None:
    toured = {stop.endpoint for stop in TOUR}

    assert pages_of(app) == toured | set(NO_PAGES)
    assert not toured & set(NO_PAGES)


@pytest.mark.parametrize("stop", SIGNED_IN, ids=NAMES)
def test_tab_goes_through_the_page_and_is_seen(guide: Guide, stop: Stop) -> None:
    page = guide.go(stop)
    at_start = focused(page) == ""

    found = walk_by_tab(page)

    assert found.ended, f"the focus is trapped: {found.stops[-6:]}"
    assert found.stops[0].words == "Skip to content" or not at_start
    assert not [each for each in found.stops if not each.visible], "no visible focus"
    assert not [each for each in found.stops if each.covered], "the focus lies under something"
    assert not [each for each in found.stops if not each.words], "a control without a name"


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_nobody_is_offered_what_would_be_refused(
    open_as: Callable[..., Page], furnished: Furnished, app: Flask, role: str
) -> None:
    page = open_as(role)
    page.goto("/moments")
    above = {"viewer": {"editor", "admin"}, "editor": {"admin"}}[role]
    offered: list[tuple[str, str]] = []
    for stop in SIGNED_IN:
        if role_for(app, stop.address(furnished)) in above:
            continue
        links, actions = page.evaluate(_OFFERS, stop.address(furnished))
        offered += [(stop.name, url) for url in links if role_for(app, url, "GET") in above]
        offered += [(stop.name, url) for url in actions if role_for(app, url, "POST") in above]

    assert not offered


def test_pages_for_others_say_so(open_as: Callable[..., Page], furnished: Furnished, app: Flask) -> None:
    page = open_as("viewer")
    refused = [stop for stop in SIGNED_IN if role_for(app, stop.address(furnished)) in ("editor", "admin")]

    for stop in refused:
        answer = page.goto(stop.address(furnished))
        assert answer is not None
        assert answer.status == 403
        assert page.get_by_role("main").get_by_role("link").count() > 0, "a dead end"


@pytest.mark.parametrize("stop", SIGNED_IN, ids=NAMES)
def test_page_can_be_read_without_scripts(guide: Guide, stop: Stop) -> None:
    heading = guide.seen(stop).heading

    plain = guide.go(stop, script=False)

    assert plain.get_by_role("heading", level=1).inner_text() == heading
    assert not plain.locator(".needs-script:visible").count()
