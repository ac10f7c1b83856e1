"""The reporting page over a real trigger: its numbers, the lists behind them, its stream, and trigger being away."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.times import HOUR, MINUTE
from services.config import live
from services.config.live import LivePages
from services.config.triggering import TriggerAway, TriggerClient
from shared.clock import stopwatch
from shared.listeners import TooManyStreams
from tests.support.browsing import Browser, make_administrator
from tests.support.installation import TOKEN, Installation, running_installation
from tests.support.processes import stretched, wait_until

HOSTILE = '<script>alert(1)</script> "Cart" \u202e & 🛒'
HOSTILE_PROFILE = '<img src=x onerror="alert(1)">&b=c'


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """On SQLite: what trigger lists and counts is shown to be alike on both databases where it is made."""
    with running_installation(tmp_path, f"sqlite:///{tmp_path}/test.db") as made:
        yield made


@pytest.fixture
def browser(installation: Installation) -> Browser:
    """Somebody who is signed in."""
    return make_administrator(installation.config.service)


@pytest.fixture
def moment(installation: Installation) -> dict[str, Any]:
    """A running moment that raised two, suppressed one and recovered one; one ended, one was contradicted, two wait."""
    config, desk, clock = installation.config, installation.desk, installation.clock
    shop = config.make_configuration()
    settings = {"duration": "PT10M", "coolDown": "PT2H"}
    made = config.set_status(config.make_moment(shop["id"], name=HOSTILE, settings=settings)["id"], "running")
    installation.learn(made)
    there = {"configuration": shop["id"]}
    desk.add("ada", HOSTILE_PROFILE, "buyer", **there)
    desk.add("buyer", kind="cart/purchase", **there)
    clock.advance(HOUR)
    desk.fire()
    desk.apply([desk.signal("ada", at=clock.now() - 51 * MINUTE, **there)])
    desk.add("ada", kind="cart/purchase", **there)
    desk.add(HOSTILE_PROFILE, **there)
    clock.advance(HOUR)
    desk.fire()
    desk.add("w1", "w2", **there)
    return made


def text_of(page: str) -> str:
    """What a person reads, roughly."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def figure(page: str, name: str) -> str:
    """The number of a tile."""
    found = re.search(rf"<h2>{name}</h2>\s*(<p class=\"figure.*?</p>)", page, re.DOTALL)
    assert found, page
    return text_of(found[1]).strip()


def link_of(page: str, name: str) -> str:
    """Where the number of a tile leads."""
    found = re.search(rf'<h2>{name}</h2>\s*<p class="figure"><a href="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def test_the_page_tells_what_the_moment_did_and_where_each_number_comes_from(
    browser: Browser, moment: dict[str, Any]
) -> None:
    answer = browser.get(f"/moments/{moment['id']}/reporting")

    page = answer.text
    assert answer.status_code == 200
    assert {
        name: figure(page, name) for name in ("Raised", "Waiting now", "Opened", "Recovered", "Recovered value")
    } == {
        "Raised": "2",
        "Waiting now": "2",
        "Opened": "6",
        "Recovered": "1",
        "Recovered value": "2.50 EUR",
    }
    assert figure(page, "Raise rate") == "33.3 %"
    assert "Bought" in page
    assert "Raised for this profile too recently (cool-down)" in page
    assert "1 signal came too late to prevent a raise" in page
    assert 'role="img"' in page
    assert "In the last 24 hours: 2 raised, 1 ended, 1 suppressed; 2 are waiting now." in page
    for name, count in (("Raised", 2), ("Waiting now", 2), ("Recovered", 1)):
        listed = browser.get(link_of(page, name))
        assert listed.status_code == 200
        assert listed.text.count('data-label="What it is about"') == count, name
    suppressed = re.search(r'href="([^"]+reason=cool_down[^"]+)"', page)
    assert suppressed
    listed = browser.get(unescape(suppressed[1]))
    assert listed.text.count('data-label="What it is about"') == 1
    assert "Raised for this profile too recently (cool-down)" in listed.text
    assert browser.get(f"/moments/{moment['id']}/contradictions").text.count('data-label="Signal"') == 1


def test_hostile_names_are_told_and_lead_to_their_explanation(browser: Browser, moment: dict[str, Any]) -> None:
    for part in ("reporting", "events?outcome=all", "waits", "recoveries", "contradictions"):
        page = browser.get(f"/moments/{moment['id']}/{part}").text
        assert "<script>alert" not in page
        assert "<img" not in page
        assert HOSTILE in unescape(page)

    page = browser.get(f"/moments/{moment['id']}/reporting").text
    links = {unescape(link) for link in re.findall(r'href="([^"]+/explanations\?[^"]+)"', page)}
    assert (
        f"/moments/{moment['id']}/explanations?idType=email&id=%3Cimg%20src%3Dx%20onerror%3D%22alert%281%29%22%3E%26b%3Dc&process=k"
        in links
    )
    hostile = browser.get(f"/moments/{moment['id']}/events?reason=%3Cscript%3E&from=%22%3E%3Cb%3E&outcome=suppressed")
    assert hostile.status_code == 422
    hostile = browser.get(f"/moments/{moment['id']}/events?reason=%3Cscript%3E&outcome=suppressed")
    assert "<script>" not in hostile.text.replace("<script type", "")
    assert browser.get(f"/moments/{moment['id']}/events?outcome=%3Cb%3E&period=x").status_code == 200
    assert "&lt;script&gt;" in hostile.text


def test_every_period_is_shown_in_the_viewers_zone(browser: Browser, moment: dict[str, Any]) -> None:
    browser.client.set_cookie("moments_zone", "Asia%2FKolkata", domain="127.0.0.1")

    for period in ("minutes", "hour", "day", "week", "month", "7d", "nonsense"):
        answer = browser.get(f"/moments/{moment['id']}/reporting?period={period}")

        assert answer.status_code == 200
        assert answer.text.count('aria-current="true"') == 1
        assert int(figure(answer.text, "Waiting now")) == 2
        assert int(figure(answer.text, "Raised")) == (0 if period in ("minutes", "hour") else 2), period


def test_a_moment_that_never_ran_leads_to_its_settings(browser: Browser, installation: Installation) -> None:
    shop = installation.config.make_configuration()
    draft = installation.config.make_moment(shop["id"])

    page = browser.get(f"/moments/{draft['id']}/reporting").text

    assert "This moment has not run yet" in page
    assert f'href="/moments/{draft["id"]}"' in page
    assert browser.get(f"/moments/{draft['id']}/waits").status_code == 200


def test_a_moment_that_trigger_has_not_heard_of_is_waited_for(browser: Browser, installation: Installation) -> None:
    shop = installation.config.make_configuration()
    made = installation.config.set_status(installation.config.make_moment(shop["id"])["id"], "running")

    assert "Trigger has not heard of this moment yet" in browser.get(f"/moments/{made['id']}/reporting").text
    assert browser.get(f"/moments/{made['id']}/reporting/figures").status_code == 200


def test_zeros_are_told_as_zeros(browser: Browser, installation: Installation) -> None:
    shop = installation.config.make_configuration()
    made = installation.config.set_status(installation.config.make_moment(shop["id"])["id"], "running")
    installation.learn(made)

    page = browser.get(f"/moments/{made['id']}/reporting").text

    assert [figure(page, name) for name in ("Raised", "Waiting now", "Opened", "Raise rate")] == ["0", "0", "0", "–"]
    assert "Nothing has happened in this time" in page
    assert "No wait ended in this time." in page


def without_trigger(installation: Installation) -> None:
    """From now on nobody answers where config asks trigger."""
    trigger = installation.config.service.program.trigger
    trigger._url = "http://127.0.0.1:9"


def test_without_trigger_the_page_says_what_is_missing_and_an_open_one_keeps_its_numbers(
    browser: Browser, installation: Installation, moment: dict[str, Any]
) -> None:
    there = installation.config.service.program.trigger._url
    without_trigger(installation)

    page = browser.get(f"/moments/{moment['id']}/reporting")
    part = browser.get(f"/moments/{moment['id']}/reporting/figures", X_Requested_With="fragment")
    listed = browser.get(f"/moments/{moment['id']}/waits")
    stream = browser.get(f"/moments/{moment['id']}/stream")

    assert page.status_code == listed.status_code == 200
    assert "Trigger does not answer" in page.text
    assert figure(page.text, "Raised") == "–"
    assert part.status_code == stream.status_code == 503
    assert "Trigger does not answer" in listed.text

    trigger = installation.config.service.program.trigger
    trigger._url, trigger._away_until = there, 0.0
    part = browser.get(f"/moments/{moment['id']}/reporting/figures", X_Requested_With="fragment")
    assert figure(part.text, "Raised") == "2"
    assert "<html" not in part.text


def test_lists_are_paged_and_keep_their_filters(browser: Browser, installation: Installation) -> None:
    shop = installation.config.make_configuration()
    made = installation.config.set_status(installation.config.make_moment(shop["id"])["id"], "running")
    installation.learn(made)
    installation.desk.add(*(f"p{n:03}" for n in range(60)), configuration=shop["id"])
    installation.clock.advance(3 * HOUR)
    installation.desk.fire()

    first = browser.get(f"/moments/{made['id']}/events?outcome=raised&to=2099-01-01T00:00:00Z").text
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following, first
    second = browser.get(unescape(following[1])).text

    seen = [re.findall(r"<bdi>(p\d+)</bdi>", page) for page in (first, second)]
    assert [len(profiles) for profiles in seen] == [50, 10]
    assert len({*seen[0], *seen[1]}) == 60
    assert 'rel="next"' not in second
    assert "before 1 Jan 2099" in second


def test_pages_and_streams_are_for_those_who_are_signed_in(installation: Installation, moment: dict[str, Any]) -> None:
    stranger = Browser(installation.config.service)

    for part in ("reporting", "waits", "events"):
        answer = stranger.get(f"/moments/{moment['id']}/{part}")
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in")
    assert stranger.get(f"/moments/{moment['id']}/reporting/figures", X_Requested_With="fragment").status_code == 401
    assert stranger.get(f"/moments/{moment['id']}/stream", X_Requested_With="fragment").status_code == 401
    nobody = "6f0c9d0e-9a3b-5f0e-8a51-2c7f4d1b7e42"
    known = make_administrator(installation.config.service)
    assert known.get(f"/moments/{nobody}/reporting").status_code == 404
    assert known.get(f"/moments/{nobody}/stream").status_code == 404


class Listening:
    """An open stream, read in a thread."""

    def __init__(self, browser: Browser, moment_id: str) -> None:
        self.answer = browser.client.get(
            f"/moments/{moment_id}/stream", base_url=browser.base, environ_overrides={"REMOTE_ADDR": browser.address}
        )
        self.told = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.answer.status_code == 200:
            self._thread.start()

    @property
    def changes(self) -> int:
        """How often it was told that there is news."""
        return self.told.count(b"event: changed\n")

    def is_over(self) -> bool:
        """Whether the stream has ended."""
        return not self._thread.is_alive()

    def _read(self) -> None:
        for chunk in self.answer.iter_encoded():
            self.told += chunk
        self.answer.close()


def test_a_stream_tells_that_there_is_news_and_nothing_else(
    browser: Browser, installation: Installation, moment: dict[str, Any]
) -> None:
    listening = Listening(browser, moment["id"])
    wait_until(lambda: listening.changes == 1, "the first numbers", 10)
    began = stopwatch()

    installation.desk.add("new", configuration=moment["audienceConfigurationId"])

    wait_until(lambda: listening.changes >= 2, "the news", 10)
    assert stopwatch() - began < stretched(3)
    assert listening.answer.headers["Content-Type"] == "text/event-stream"
    assert set(listening.told.split(b"\n\n")) <= {b"retry: 1000", b"event: changed\ndata: {}", b": still here", b""}
    installation.config.service.program.live.close()
    wait_until(listening.is_over, "the stream to end", 5)
    assert installation.config.service.program.live.count == 0
    assert Listening(browser, moment["id"]).answer.status_code == 503


def test_a_stream_ends_with_the_session(
    browser: Browser, installation: Installation, moment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.1)
    listening = Listening(browser, moment["id"])
    wait_until(lambda: listening.changes == 1, "the first numbers", 10)

    assert browser.post("/sign-out").status_code == 302

    wait_until(listening.is_over, "the stream to end", 5)


def test_there_are_so_many_streams_and_no_more(
    browser: Browser, installation: Installation, moment: dict[str, Any]
) -> None:
    service = installation.config.service
    url = service.program.trigger._url
    few = LivePages(TriggerClient(url, TOKEN), 2)
    path = f"/api/v1/moments/{moment['id']}/stream"

    opened = [few.open(path, {}, lambda: True, None) for _ in range(2)]
    with pytest.raises(TooManyStreams, match="All 2 streams are taken"):
        few.open(path, {}, lambda: True, None)
    assert few.count == 2
    opened[0][1]()
    opened[0][1]()
    assert few.count == 1
    opened[1][1]()
    away = LivePages(TriggerClient("http://127.0.0.1:9", TOKEN), 1)
    with pytest.raises(TriggerAway, match="cannot be reached"):
        away.open(path, {}, lambda: True, None)
    assert away.count == 0
