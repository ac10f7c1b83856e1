"""A guide who goes from page to page of the tour in a few browsers, as one does who works with the app all day.

A browser that has seen nothing takes several times longer to open a page than one that is running. That every file is
asked for anew, as by who comes for the first time, is had more cheaply: by a browser that keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page, ViewportSize

from tests.browser.furnishing import Furnished
from tests.browser.tour import Stop

_OWN_LINKS = "(all) => all.map((each) => each.href).filter((url) => url.startsWith(location.origin))"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page showed where its scripts ran: its heading, and where it leads within the app."""

    heading: str
    links: frozenset[str]


@dataclass(slots=True)
class Guide:
    """`open_page`: a page of a fresh browser with somebody of a role (or None) signed in, with scripts or not."""

    open_page: Callable[[str | None, bool], Page]
    furnished: Furnished
    _pages: dict[tuple[str | None, bool], tuple[Page, ViewportSize | None]] = field(default_factory=dict)
    _seen: dict[str, Seen] = field(default_factory=dict)

    def go(self, stop: Stop, *, script: bool = True) -> Page:
        """Open a page of the tour, as whom it is for; nothing that was loaded before is used again."""
        page = self._page_of(stop.role, script)
        answer = page.goto(stop.address(self.furnished))
        assert answer is not None
        assert answer.status == 200, f"{page.url}: {answer.status}"
        if script:
            heading = page.get_by_role("heading", level=1).inner_text()
            links: list[str] = page.eval_on_selector_all("a[href]", _OWN_LINKS)
            self._seen[stop.name] = Seen(heading, frozenset(url.partition("#")[0] for url in links))
        return page

    def seen(self, stop: Stop) -> Seen:
        """What a page showed when it was opened last."""
        if stop.name not in self._seen:
            self.go(stop)
        return self._seen[stop.name]

    def _page_of(self, role: str | None, script: bool) -> Page:
        if (role, script) not in self._pages:
            page = self.open_page(role, script)
            page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
            self._pages[role, script] = page, page.viewport_size
        page, size = self._pages[role, script]
        assert size is not None
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="light")
        return page
