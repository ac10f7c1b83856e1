"""No page of the app leads nowhere."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.guiding import Guide
from tests.browser.tour import SIGNED_IN


def test_links_lead_somewhere(open_as: Callable[..., Page], guide: Guide) -> None:
    found = {url: stop.name for stop in SIGNED_IN for url in guide.seen(stop).links}
    page = open_as("admin")

    dead = {url: found[url] for url in sorted(found) if page.request.get(url).status >= 400}

    assert not dead
