"""No page of the app leads nowhere."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.furnishing import Furnished
from tests.browser.test_every_page import urls
from tests.browser.tour import SIGNED_IN


def test_links_lead_somewhere(open_as: Callable[..., Page], furnished: Furnished) -> None:
    page = open_as("admin")
    found: dict[str, str] = {}
    for stop in SIGNED_IN:
        page.goto(stop.address(furnished))
        found |= dict.fromkeys(urls(page, "a[href]", "href"), stop.name)

    dead = {url: found[url] for url in sorted(found) if page.request.get(url).status >= 400}

    assert not dead
