"""Segment's web client, unmodified, in a real browser: what a page's calls become is recorded once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.wrappers import Request, Response

from contracts.signals import Signal
from services.ingestion.wiring import Ingestion
from tests.browser.conftest import PAGE_PATIENCE
from tests.conftest import require
from tests.support import npm
from tests.support.ingestion import configuration, configure, recorded, settings_for, start_ingestion, wait_until
from tests.support.processes import free_ports
from tests.support.way import Way, at_port

HOST = "shop.localhost"
PAGE = b"<!doctype html><title>Shop</title><script src='/index.js'></script>"
LOAD = "url => { window.analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: 'pk_1', cdnURL: url }); }"
TRACK = "id => { analytics.track('Product Added', { product_id: id, price: 5, currency: 'EUR', quantity: 1 }); }"


@Request.application
def shop(request: Request) -> Response:
    """A page, and the client as its package brings it."""
    file = npm.folder() / "node_modules/@segment/analytics-next/dist/umd" / request.path.lstrip("/")
    if file.is_file():
        return Response(file.read_bytes(), content_type="text/javascript")
    return Response(PAGE, content_type="text/html")


@dataclass(slots=True)
class Rig:
    """Ingestion behind a way at a port, which may be stopped and started, and the shop."""

    folder: Path
    port: int
    shop: str
    seen: list[Signal] = field(default_factory=list)
    way: Way = field(default_factory=lambda: Way(None))
    _running: ExitStack = field(default_factory=ExitStack)
    _ingestion: Ingestion | None = None

    @property
    def url(self) -> str:
        """Where ingestion is reached."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start ingestion on what an earlier one left."""
        self._ingestion = start_ingestion(settings_for(self.folder, MOMENTS_PARTITIONS="4"))
        configure(self._ingestion, configuration(domains=(HOST,)))
        self._running.callback(self._ingestion.close)
        self.way.app = self._ingestion.app
        self._running.enter_context(at_port(self.way, self.port))

    def stop(self) -> None:
        """Nothing answers at the port any more."""
        self._running.close()

    def recorded(self, count: int) -> Counter[str]:
        """Wait for so many different signals: kind → how many. Repetitions, which trigger knows by the id, are one."""

        def enough() -> bool:
            assert self._ingestion is not None
            self.seen += recorded(self._ingestion, 0)
            return len({each.id for each in self.seen}) >= count

        wait_until(enough, 30)
        return Counter(kind for kind, _ in {(each.kind.name, each.id) for each in self.seen})


@pytest.fixture(scope="module")
def shared_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One ingestion and one shop for all tests here."""
    require(request.config, npm.available())
    with at_port(shop) as shop_port:
        rig = Rig(tmp_path_factory.mktemp("segment"), free_ports(1)[0], f"http://{HOST}:{shop_port}/")
        rig.start()
        yield rig
        rig.stop()


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """With nothing recorded and nothing in the way."""
    shared_rig.way.refuse = 0
    shared_rig.recorded(0)
    shared_rig.seen.clear()
    return shared_rig


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that never saw the shop."""
    context = browser.new_context()
    context.set_default_timeout(PAGE_PATIENCE)
    yield context
    context.close()


def enter(visitor: BrowserContext, rig: Rig) -> Page:
    """A page of the shop with the client, whose visitor is named; an error in the page fails the test."""
    page = visitor.new_page()
    page.on("pageerror", _fail)
    page.goto(rig.shop)
    page.evaluate(LOAD, rig.url)
    page.evaluate("analytics.identify('u-1', { email: 'ada@example.com' })")
    return page


def _fail(error: Any) -> None:
    raise AssertionError(f"the page broke: {error}")


def test_what_a_page_calls_is_recorded_once(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)

    page.evaluate("analytics.page('Home')")
    page.evaluate(TRACK, "mug")
    page.evaluate("analytics.track('Something Else')")
    page.evaluate("analytics.track('Order Completed', { order_id: 'o-1', products: [{ product_id: 'mug' }] })")

    assert rig.recorded(3) == {"page/view": 1, "cart/add": 1, "cart/purchase": 1}
    assert {(each.id_type, each.profile, each.site, each.data.touchpoint) for each in rig.seen} == {
        ("external", "u-1", HOST, "web")
    }


def test_the_client_tells_nobody_else_of_its_work(rig: Rig, visitor: BrowserContext) -> None:
    """Left alone it reports to Segment's own servers every half minute."""
    asked: set[str] = set()
    visitor.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))
    # Not by a function, which would hold up every request until the driver looks up from what is waited for below.
    visitor.route(re.compile(rf"^https?://(?!{re.escape(HOST)}|127\.0\.0\.1)"), lambda route: route.abort())
    visitor.clock.install()
    page = enter(visitor, rig)
    page.evaluate(TRACK, "mug")
    rig.recorded(1)

    visitor.clock.fast_forward(60_000)
    page.evaluate(TRACK, "cup")
    rig.recorded(2)

    page.evaluate("0")  # what was asked for is told
    assert asked == {HOST, "127.0.0.1"}


def test_a_burst_of_503_and_a_restart_lose_and_double_nothing(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    page.evaluate(TRACK, "before")
    rig.recorded(1)

    rig.way.refuse, rig.way.refused = 3, 0
    for number in range(3):
        page.evaluate(TRACK, f"refused {number}")
    wait_until(lambda: rig.way.refused == 3)
    rig.stop()
    with page.expect_event("requestfailed"):
        page.evaluate(TRACK, "while nobody answers")
    rig.start()

    assert rig.recorded(5) == {"cart/add": 5}
    products = Counter(each.data.items[0].product_id for each in {each.id: each for each in rig.seen}.values())
    assert max(products.values()) == 1


def test_what_was_not_sent_when_the_page_closed_is_sent_by_the_next_one(rig: Rig, visitor: BrowserContext) -> None:
    page = enter(visitor, rig)
    rig.way.refuse, rig.way.refused = 1_000, 0

    page.evaluate(TRACK, "mug")
    wait_until(lambda: rig.way.refused > 1)
    page.close(run_before_unload=False)
    rig.way.refuse = 0
    enter(visitor, rig)

    assert rig.recorded(1) == {"cart/add": 1}
