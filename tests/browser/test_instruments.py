"""The instruments themselves: each finds what it is for, on pages made for that."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import judging
from tests.browser.house import House
from tests.browser.watching import Watch, focused
from tests.support.processes import wait_until

GOOD = """<!doctype html><html lang="en"><head><title>Good</title></head><body><main><h1>Good</h1>
<p>Some words.</p><label>Name <input name="name"></label></main></body></html>"""

SMALL = '<button style="width:9px;height:9px;padding:0" aria-label="x"></button>'


def serve(page: Page, body: str, path: str = "/probe", **headers: str) -> None:
    """Open a page made here, at the address of the app."""
    sent = {"content-type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    page.route(f"**{path}", lambda route: route.fulfill(body=body, headers=sent))
    page.goto(path)


@pytest.mark.usefixtures("needs_axe")
def test_accessible_page_is_accepted_under_a_strict_policy(page: Page) -> None:
    serve(page, GOOD, content_security_policy="default-src 'none'")

    judging.assert_accessible(page)


@pytest.mark.usefixtures("needs_axe")
@pytest.mark.parametrize(
    ("faulty", "rule"),
    [
        (GOOD.replace("<p>", '<p style="color:#bbb;background:#fff">'), "color-contrast"),
        (GOOD.replace("<label>Name ", "").replace("</label>", ""), "label"),
        (GOOD.replace(' lang="en"', ""), "html-has-lang"),
        (
            GOOD.replace("</main>", f"<div>{SMALL * 3}</div></main>"),
            "target-size",
        ),
    ],
)
def test_faults_of_accessibility_are_found(page: Page, faulty: str, rule: str) -> None:
    serve(page, faulty)

    found = judging.accessibility_faults(page)

    assert len(found) == 1
    assert f": {rule}:" in found[0]


def test_what_scrolls_sideways_is_named(page: Page) -> None:
    serve(page, GOOD)
    judging.assert_fits(page)

    page.evaluate("document.querySelector('h1').style.width = '3000px'")

    with pytest.raises(AssertionError, match=r"h1\.: 30\d\d > 1280"):
        judging.assert_fits(page)


def test_errors_of_a_page_are_noticed(page: Page, watch: Watch, house: House) -> None:
    serve(
        page,
        GOOD.replace("</main>", '<img src="/nothing.png" alt=""><p onclick="x()">x</p></main>'),
        content_security_policy="default-src 'self'; script-src 'self'",
    )
    page.evaluate("console.error('told'); setTimeout(() => { throw new Error('thrown') })")
    page.evaluate("fetch('http://127.0.0.1:1/').catch(() => 0)")
    page.evaluate("document.body.setAttribute('onclick', '1')")
    page.wait_for_function("document.querySelector('img').complete")

    for expected in ("told", "thrown", f"404: GET {house.url}/nothing.png", "policy: script-src-attr"):
        wait_until(lambda: page.evaluate("1") and any(expected in fault for fault in watch.faults), expected)  # noqa: B023
    watch.faults.clear()


def test_forgiven_errors_are_not_told_again(page: Page, watch: Watch) -> None:
    watch.forgive("expected")

    page.evaluate("console.error('this was expected')")
    page.evaluate("console.error('this was not')")
    page.evaluate("0")

    assert watch.unforgiven() == ["console error: this was not"]
    watch.faults.clear()


def test_the_cost_of_a_page_is_measured(page: Page) -> None:
    page.route("**/a.css", lambda route: route.fulfill(body="p{}" * 1000, content_type="text/css"))
    page.route("**/a.js", lambda route: route.fulfill(body="1;" * 1000, content_type="text/javascript"))
    head = '<link rel="stylesheet" href="/a.css"><script type="module" src="/a.js"></script></head>'
    serve(page, GOOD.replace("</head>", head))

    found = judging.cost(page)

    assert (found.css, found.javascript) == (3000, 2000)
    assert found.html == len(GOOD) + len(head) - len("</head>")
    assert 0 < found.first_paint < 15_000
    assert 0 < found.interactive < 15_000
    judging.assert_light(found)


def test_a_page_that_jumps_is_refused(page: Page) -> None:
    serve(page, GOOD)
    page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => {
            document.querySelector("h1").style.marginTop = "300px";
            requestAnimationFrame(() => requestAnimationFrame(done));
        }))"""
    )

    found = judging.cost(page)

    assert found.shift > judging.MOST_SHIFT
    with pytest.raises(AssertionError, match="shift"):
        judging.assert_light(found)


def test_screenshots_lie_in_the_folder_that_was_asked_for_and_nowhere_else(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(page, GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOMENTS_SCREENSHOTS", raising=False)
    judging.screenshot(page, "good", "light-desktop")
    assert not list(tmp_path.iterdir())

    monkeypatch.setenv("MOMENTS_SCREENSHOTS", str(tmp_path / "pictures"))
    judging.screenshot(page, "good", "light-desktop")

    assert (tmp_path / "pictures" / "good-light-desktop.png").read_bytes().startswith(b"\x89PNG")


def test_the_focus_is_told_in_words(page: Page) -> None:
    serve(page, GOOD)
    assert focused(page) == ""

    page.keyboard.press("Tab")

    assert focused(page) == "input Name"


def test_without_trigger_the_others_go_on(house: House) -> None:
    with house.without_trigger():
        assert not house.up.ready("trigger")
        assert house.up.ready("config")

    assert house.up.ready("trigger")
