"""The installation, the browser and pages for the tests of the app; a fault that a page reports fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.furnishing import Furnished, furnish
from tests.browser.guiding import Guide
from tests.browser.house import House, running_house
from tests.browser.watching import Watch
from tests.conftest import require
from tests.support import axe, chromium
from tests.support.processes import stretched

_HERE = Path(__file__).parent
PAGE_PATIENCE = stretched(15_000)
"""Milliseconds within which a page shows what it is expected to, or takes what is done to it."""

expect.set_options(timeout=PAGE_PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is a browser test."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is looked at: the width and height of the window, and the colour scheme."""

    width: int = 1280
    height: int = 800
    scheme: str = "light"

    @property
    def name(self) -> str:
        """For file names: `dark-phone`."""
        return f"{self.scheme}-{'phone' if self.width < 600 else 'desktop'}"


DESKTOP, PHONE, NARROW = Look(), Look(390, 844), Look(320, 640)
LOOKS = tuple(Look(each.width, each.height, scheme) for scheme in ("light", "dark") for each in (DESKTOP, PHONE))


def look_at(page: Page, look: Look) -> None:
    """Another window and another colour scheme, for a page that is open."""
    page.emulate_media(color_scheme=look.scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": look.width, "height": look.height})


# The browser's driver leaves an event loop in the thread, which other tests must not find: none outlives this folder.
@pytest.fixture(scope="package")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """One Chromium for all browser tests of this process."""
    require(request.config, chromium.available())
    with chromium.running_chromium() as running:
        yield running


@pytest.fixture(scope="package")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One installation for all browser tests of this process; each test makes what it needs in it."""
    require(request.config, chromium.available())
    with running_house(tmp_path_factory.mktemp("house") / "data") as running:
        yield running


@pytest.fixture(scope="package")
def furnished(house: House) -> Furnished:
    """The installation filled as after some days of use; tests that change something make their own."""
    return furnish(house)


@pytest.fixture
def needs_axe(request: pytest.FixtureRequest) -> None:
    """For tests that judge accessibility."""
    require(request.config, axe.available())


@pytest.fixture
def watch() -> Iterator[Watch]:
    """What went wrong in the pages of this test; anything that it did not expect fails it."""
    watching = Watch()
    yield watching
    faults = watching.unforgiven()
    assert not faults, "\n".join(faults)


def open_context(
    browser: Browser,
    house: House,
    watch: Watch,
    look: Look = DESKTOP,
    *,
    script: bool = True,
    motion: str = "reduce",
    session: Any = None,
) -> BrowserContext:
    """A browser that has seen nothing, watched from now on."""
    context = browser.new_context(
        storage_state=session,
        base_url=house.url,
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.scheme,
        reduced_motion=motion,
        java_script_enabled=script,
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    context.set_default_timeout(PAGE_PATIENCE)
    if not script:
        watch.forgive(r"\.js: csp$")  # how the driver tells that no script is loaded
    watch.over(context)
    return context


@pytest.fixture
def new_context(browser: Browser, house: House, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """Makes contexts: `new_context(PHONE, script=False)`, see `open_context`."""
    made: list[BrowserContext] = []

    def make(look: Look = DESKTOP, **options: Any) -> BrowserContext:
        made.append(open_context(browser, house, watch, look, **options))
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    """A page on a desktop that nobody signed in at."""
    return new_context().new_page()


@pytest.fixture(scope="package")
def session_of(browser: Browser, house: House) -> Callable[[str], Any]:
    """The session of the one person of a role who takes part in all tests: nobody signs them out."""

    @cache
    def enter(role: str) -> Any:
        context = browser.new_context(base_url=house.url)
        try:
            page = context.new_page()
            house.come_in(page, house.invite(role))
            return context.storage_state()
        finally:
            context.close()

    return enter


@pytest.fixture
def open_as(new_context: Callable[..., BrowserContext], session_of: Callable[[str], Any]) -> Callable[..., Page]:
    """Opens a page in a fresh browser that a person of a role is signed in at: `open_as("viewer", PHONE)`."""

    def open_page(role: str, look: Look = DESKTOP, **options: Any) -> Page:
        return new_context(look, session=session_of(role), **options).new_page()

    return open_page


@pytest.fixture
def editor(open_as: Callable[..., Page]) -> Page:
    """A page of somebody who may change moments, on a desktop."""
    return open_as("editor")


@pytest.fixture
def admin(open_as: Callable[..., Page]) -> Page:
    """A page of an administrator, on a desktop."""
    return open_as("admin")


@pytest.fixture
def viewer(open_as: Callable[..., Page]) -> Page:
    """A page of somebody who may look, on a desktop."""
    return open_as("viewer")


@pytest.fixture(scope="package")
def _tour(
    browser: Browser, house: House, furnished: Furnished, session_of: Callable[[str], Any]
) -> Iterator[tuple[Guide, Watch]]:
    watch, made = Watch(), list[BrowserContext]()

    def open_page(role: str | None, script: bool) -> Page:
        session = None if role is None else session_of(role)
        made.append(open_context(browser, house, watch, DESKTOP if script else NARROW, script=script, session=session))
        return made[-1].new_page()

    yield Guide(open_page, furnished), watch
    for context in made:
        context.close()


@pytest.fixture
def guide(_tour: tuple[Guide, Watch]) -> Iterator[Guide]:
    """Who leads through the tour, in pages that the tests of all stops share; any fault in them fails the test."""
    found, watch = _tour
    watch.faults.clear()
    yield found
    faults = watch.unforgiven()
    assert not faults, "\n".join(faults)
