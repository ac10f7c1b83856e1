"""Every page of the app, light and dark, on a desktop and on phones: accessible, fitting, light, steady, pictured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser import judging
from tests.browser.conftest import DESKTOP, NARROW, PHONE
from tests.browser.guiding import Guide
from tests.browser.tour import TOUR, Stop


@pytest.mark.usefixtures("needs_axe")
@pytest.mark.parametrize("stop", TOUR, ids=[stop.name for stop in TOUR])
def test_page_is_good(guide: Guide, stop: Stop, record_property: Callable[..., None]) -> None:
    page = guide.go(stop)

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
                judging.assert_accessible(page, judging.COLOURS if scheme == "dark" else judging.ALL)
    page.set_viewport_size({"width": NARROW.width, "height": NARROW.height})
    judging.assert_fits(page)
    judging.assert_light(cost)
    assert page.evaluate("window.hacked") is None
