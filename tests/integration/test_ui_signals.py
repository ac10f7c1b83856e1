"""The live list of signals over a real trigger: what came, why it was refused, what it did; and trigger being away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.times import SECOND
from contracts.wire import SignalRefused
from services.trigger.store.refused import keep_refusals
from shared.store import connected
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.installation import Installation, running_installation

HOSTILE = '<script>alert(1)</script> "Shop" \u202e & 🛒' + "x" * 150
HOSTILE_PROFILE = '<img src=x onerror="alert(1)">&b=c@\u202e.example'


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """On SQLite: what trigger lists is shown to be alike on both databases where it is made."""
    with running_installation(tmp_path, f"sqlite:///{tmp_path}/test.db") as made:
        yield made


@pytest.fixture
def browser(installation: Installation) -> Browser:
    """Somebody who is signed in."""
    return make_administrator(installation.config.service)


def refuse(installation: Installation, configuration: str, code: str = "disabled_key", **fields: Any) -> None:
    """A refusal as of now."""
    desk = installation.desk
    values: dict[str, Any] = {"reason": "no", "kind": "cart/add", "key": "pk_1", "id_type": "email", **fields}
    with connected(desk.database), desk.database.atomic():
        refused = SignalRefused(
            id=f"{code}{desk.now}", at=desk.now, status=403, code=code, configuration=configuration, **values
        )
        keep_refusals(desk.rows, [refused])


def rows(page: str) -> list[str]:
    """The ids of rows, in order."""
    return re.findall(r'<tr id="signal-([rs][0-9]+)"', page)


def test_the_list_tells_what_came_and_why_it_was_refused_and_follows_what_comes(
    installation: Installation, browser: Browser
) -> None:
    shop = installation.config.make_configuration(name=HOSTILE)
    installation.desk.add(HOSTILE_PROFILE, configuration=shop["id"])
    installation.clock.advance(SECOND)
    refuse(installation, shop["id"], profile="ada@example.com")

    page = browser.get("/signals").text

    assert rows(page) == ["r1", "s1"]
    assert "The key is switched off" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert unescape(page).count(HOSTILE_PROFILE) == 1
    news = re.search(r'data-news="([^"]+)" data-latest="([^"]+)"', page)
    assert news
    installation.desk.add("bob@example.com", configuration=shop["id"])
    came = browser.get(f"{news[1]}?after={news[2]}", X_Requested_With="fragment").text
    assert rows(came) == ["s2"]
    after = re.search(r'data-latest="([^"]+)"', came)
    assert after
    assert rows(browser.get(f"{news[1]}?after={after[1]}", X_Requested_With="fragment").text) == []


def test_filters_stand_in_the_url_and_hold_for_what_comes_and_for_older_pages(
    installation: Installation, browser: Browser
) -> None:
    shop = installation.config.make_configuration()
    for number in range(60):
        installation.desk.add(f"p{number}@example.com", configuration=shop["id"])
        installation.clock.advance(SECOND)
    refuse(installation, shop["id"], profile="ada@example.com")
    refuse(installation, "", code="unknown_key", key="pk_typo")

    accepted = browser.get(f"/signals?outcome=accepted&configurationId={shop['id']}").text
    older = re.search(r'rel="next" href="([^"]+)"', accepted)

    assert len(rows(accepted)) == 50
    assert older
    assert rows(browser.get(unescape(older[1])).text) == [f"s{number}" for number in range(10, 0, -1)]
    assert "outcome=accepted" in unescape(re.search(r'data-news="([^"]+)"', accepted)[1])  # type: ignore[index]
    assert rows(browser.get("/signals?reason=unknown_key").text) == ["r2"]
    assert rows(browser.get("/signals?key=pk_1").text) == ["r1"]
    assert rows(browser.get(f"/signals?profile=P7@example.com&configurationId={shop['id']}").text) == ["s8"]
    assert "Nothing fits these filters" in browser.get("/signals?kind=app/install").text
    assert rows(browser.get("/signals?outcome=both&cursor=nonsense").text) == []


def test_a_signal_shows_its_message_and_what_it_did_and_a_refused_one_what_to_do(
    installation: Installation, browser: Browser
) -> None:
    shop = installation.config.make_configuration(name=HOSTILE)
    made = installation.config.make_moment(shop["id"], name=HOSTILE)
    installation.learn(installation.config.set_status(made["id"], "running"))
    installation.desk.add(HOSTILE_PROFILE, configuration=shop["id"])
    refuse(installation, shop["id"], faults=(("/data/site", "<b>bad</b>"),))

    accepted, refused = browser.get("/signals/s1").text, browser.get("/signals/r1").text

    assert 'id="panel"' in accepted
    assert rows(accepted)
    assert "opened" in accepted.casefold()
    assert f"/moments/{made['id']}/explanation" in accepted
    assert '"specversion": "1.0"' in unescape(accepted)
    assert "<img src=x" not in accepted + refused
    assert "Switch the key on in the audience configuration." in refused
    assert "&lt;b&gt;bad&lt;/b&gt;" in refused
    assert browser.get("/signals/s99").status_code == 404
    assert browser.get("/signals/..%2f..%2fmoments").status_code == 404


def test_an_empty_list_leads_to_a_configuration_or_shows_how_to_send_the_first(
    installation: Installation, browser: Browser
) -> None:
    assert 'href="/configurations/new"' in browser.get("/signals").text

    shop = installation.config.make_configuration(domains=["*.example.com"])
    page = unescape(browser.get("/signals").text)

    assert shop["keys"][0]["id"] in page
    assert "Origin: https://www.example.com" in page
    assert "http://127.0.0.1:8082/v1/signals/cart/add" in page
    assert "Its web key is switched off" in page


def test_while_trigger_is_away_the_page_says_so_and_keeps_the_rest(installation: Installation) -> None:
    service = installation.config.service
    make_administrator(service)
    browser = make_user(service, "viewer", "eve@example.com")
    installation.config.make_configuration(name="Shop of Ada")
    service.program.trigger._url = "http://127.0.0.1:9"

    page = browser.get("/signals")

    assert page.status_code == 200
    assert "does not answer" in page.text
    assert "Shop of Ada" in page.text
    assert browser.get("/signals/s1").status_code == 200
    assert browser.get("/signals/news", X_Requested_With="fragment").status_code == 503


def test_who_is_not_signed_in_sees_nothing(installation: Installation) -> None:
    stranger = Browser(installation.config.service)

    assert stranger.get("/signals").status_code == 302
    assert stranger.get("/signals/news", X_Requested_With="fragment").status_code == 401


def test_refused_signals_are_chosen_confirmed_and_replayed_and_it_is_told_who_asked(
    installation: Installation, browser: Browser
) -> None:
    shop = installation.config.make_configuration(name=HOSTILE)
    sent = '{"id":"s1","data":{"signal":"cart/add","email":"<b>ada</b>@example.com"}}'
    refuse(installation, shop["id"], sent=sent)
    installation.clock.advance(SECOND)
    refuse(installation, shop["id"], sent=sent)
    refuse(installation, shop["id"], code="unknown_key", unkept="never")

    chosen = browser.get(f"/signals?outcome=refused&configurationId={shop['id']}").text
    one = browser.get("/signals/r2").text
    unkept = browser.get("/signals/r3").text

    assert chosen.count('name="id"') == 2
    assert "<b>ada</b>" not in one
    assert "<b>ada</b>@example.com" in unescape(one)
    assert 'href="/signals/replay?id=r2"' in one
    assert "did not show who they are" in unkept
    assert 'href="/signals/replay?id' not in unkept
    assert 'name="id"' not in browser.get("/signals").text

    confirmed = browser.get(f"/signals/replay?all=1&configurationId={shop['id']}&id=r1").text
    assert "2 refused signals can be replayed." in confirmed
    asked = browser.post("/signals/replay", {"id": "r1"})
    assert asked.status_code == 303
    progress = browser.get(asked.location).text
    assert "Not answered yet" in progress
    assert "Replay underway" in browser.get("/signals/r1").text
    assert "none_replayable" in browser.post("/signals/replay", {"id": "r1"}).location
    assert asked.location in browser.get("/signals/replays").text
    (entry,) = installation.config.get("/api/v1/audit?kind=replay")["items"]
    assert (entry["action"], entry["actor"]) == ("ask for replay", "user:ada@example.com")
    assert entry["after"]["name"] == "1 refused signals"


def test_who_may_only_look_replays_nothing(installation: Installation) -> None:
    shop = installation.config.make_configuration()
    refuse(installation, shop["id"], sent='{"id":"s1","data":{}}')
    service = installation.config.service
    make_administrator(service)
    viewer = make_user(service, "viewer", "eve@example.com")

    assert viewer.get("/signals/replay?id=r1").status_code == 403
    assert 'name="id"' not in viewer.get("/signals?outcome=refused").text
    assert "/signals/replay?id" not in viewer.get("/signals/r1").text
    assert viewer.get("/signals/replays").status_code == 200
    assert viewer.get("/signals/replays/8f1c1a0e-0000-4000-8000-000000000000").status_code == 404
