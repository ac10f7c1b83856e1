"""Every page of the app, light and dark, on a desktop and on phones: accessible, fitting, light, steady, pictured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser import judging
from tests.browser.conftest import DESKTOP, NARROW, PHONE
from tests.browser.furnishing import Furnished
from tests.browser.tour import TOUR, Stop


@pytest.fixture
def open_stop(
    new_context: Callable[..., BrowserContext], open_as: Callable[..., Page], furnished: Furnished
) -> Callable[[Stop], Page]:
    """Opens a page of the tour in a fresh browser of whom it is for."""

    def open_page(stop: Stop) -> Page:
        page = new_context().new_page() if stop.role is None else open_as(stop.role)
        answer = page.goto(stop.address(furnished))
        assert answer is not None
        assert answer.status == 200, f"{page.url}: {answer.status}"
        return page

    return open_page


@pytest.mark.usefixtures("needs_axe")
@pytest.mark.parametrize("stop", TOUR, ids=[stop.name for stop in TOUR])
def test_page_is_good(open_stop: Callable[[Stop], Page], stop: Stop, record_property: Callable[..., None]) -> None:
    page = open_stop(stop)

    cost = judging.cost(page)
    record_property("cost", str(cost))
    judging.assert_outlined(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for look, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            page.set_viewport_size({"width": look.width, "height": look.height})
            judging.assert_fits(page)
            judging.screenshot(page, stop.name, f"{scheme}-{name}")
            if (scheme, name) != ("dark", "phone"):  # nothing is dark on a phone alone
                judging.assert_accessible(page)
    page.set_viewport_size({"width": NARROW.width, "height": NARROW.height})
    judging.assert_fits(page)
    judging.assert_light(cost)
    assert page.evaluate("window.hacked") is None
