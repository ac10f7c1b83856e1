"""The pages of journeys over the real application: webhooks made, tried, changed and deleted; the log; who listens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from contracts.topology import JOURNEYS, Binding, Queue
from tests.integration.journeys_rig import Journeying, journeys_rig
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import running_config
from tests.support.endpoint import Reply

HOSTILE = '<script>alert("x")</script>\u202eمرحبا 🛒' + "x" * 120
LIST = "/journeys"
NEW = "/journeys/webhooks/new"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journeying]:
    with journeys_rig(tmp_path_factory.mktemp("journeys")) as running:
        yield running


@pytest.fixture
def rig(installation: Journeying) -> Journeying:
    """The same for all tests, each of which makes webhooks of its own; its endpoint takes everything anew."""
    installation.journey.answer = lambda _: Reply()
    installation.journey.received.clear()
    return installation


def said(page: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page[page.index("<main") :])))


def path_of(hook: dict[str, str]) -> str:
    return f"/journeys/webhooks/{hook['id']}"


def fields(rig: Journeying, **changed: str) -> dict[str, str]:
    return {"name": "CRM", "url": rig.journey.url, "patterns": "moment.*", "more": "", **changed}


def test_a_webhook_is_made_its_secret_shown_once_and_noted_without_it(rig: Journeying) -> None:
    made = rig.browser.post(NEW, fields(rig, name=HOSTILE, more="signal.cart.add, moment.#"))

    assert made.status_code == 201
    (secret,) = set(re.findall(r"whsec_[\w+/=]+", made.text))
    (hook,) = rig.called(HOSTILE)
    assert (hook["name"], hook["patterns"]) == (HOSTILE, ["moment.*", "signal.cart.add", "moment.#"])
    for page in (LIST, path_of(hook), f"{path_of(hook)}/edit"):
        text = rig.browser.get(page).text
        assert HOSTILE in unescape(text)
        assert "<script>alert" not in text
        assert secret not in text
    (entry,) = rig.audit(hook)
    assert (entry["action"], entry["actor"], entry["resourceId"]) == ("create", "user:ada@example.com", hook["id"])
    assert secret not in str(entry)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"name": " "}, "Give it a name."),
        ({"url": "ftp://example.com"}, "https"),
        ({"url": "https://10.0.0.1/"}, "address"),
        ({"patterns": "", "more": " , "}, "Choose at least one event."),
        ({"more": "moment.!"}, "A pattern is words"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    rig: Journeying, wrong: dict[str, str], reason: str
) -> None:
    sent = fields(rig, description="For mails", **wrong)
    if not sent["patterns"]:
        del sent["patterns"]

    answer = rig.browser.post(NEW, sent)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "For mails" in answer.text
    assert reason in said(answer.text)
    assert rig.called("CRM") == []


def test_a_test_shows_what_the_endpoint_answered(rig: Journeying) -> None:
    hook = rig.make()

    good = rig.browser.post(f"{path_of(hook)}/test")
    rig.journey.answer = lambda _: Reply(status=500, body=b"<b>broken</b>")
    bad = rig.browser.post(f"{path_of(hook)}/test")

    assert "Your endpoint took it: 200" in said(good.text)
    assert "Your endpoint did not take it: HTTP 500" in said(bad.text)
    assert "&lt;b&gt;broken&lt;/b&gt;" in bad.text
    assert [each.event["type"] for each in rig.journey.received] == ["webhook.test"] * 2


def test_a_change_is_saved_noted_and_led_back(rig: Journeying) -> None:
    hook = rig.make("Old name", "moment.cart_abandon", "signal.cart.add")
    form = rig.browser.get(f"{path_of(hook)}/edit").text
    assert 'value="moment.cart_abandon" checked' in form
    assert 'value="signal.cart.add"' in form

    saved = rig.browser.post(f"{path_of(hook)}/edit", fields(rig, name="New name", version="1"))

    assert (saved.status_code, saved.headers["Location"]) == (303, f"{path_of(hook)}?done=webhook_saved")
    (entry,) = rig.audit(hook)
    assert (entry["before"]["name"], entry["after"]["name"]) == ("Old name", "New name")
    rig.browser.post(f"{path_of(hook)}/edit", fields(rig, name="New name", version="2"))
    assert len(rig.audit(hook)) == 1  # nothing was changed


def test_two_at_once_lose_nothing(rig: Journeying) -> None:
    hook = rig.make("Before")
    rig.hooks.call("PATCH", f"/{hook['id']}", etag='"1"', name="Theirs")

    mine = rig.browser.post(f"{path_of(hook)}/edit", fields(rig, name="Mine", version="1"))

    assert mine.status_code == 409
    assert "Name is now: Theirs" in said(mine.text)
    assert 'value="Mine"' in mine.text
    version = re.search(r'name="version" value="(\d+)"', mine.text)
    assert version
    again = rig.browser.post(f"{path_of(hook)}/edit", fields(rig, name="Mine", version=version[1]))
    assert again.status_code == 303
    assert rig.hooks.call("GET", f"/{hook['id']}")["name"] == "Mine"


def test_it_is_switched_off_and_on_and_deleted(rig: Journeying) -> None:
    hook = rig.make()
    path = path_of(hook)

    assert rig.browser.post(f"{path}/switch", {"enabled": ""}).status_code == 303
    assert rig.hooks.call("GET", f"/{hook['id']}")["enabled"] is False
    assert "Disabled" in said(rig.browser.get(LIST).text)
    assert rig.browser.post(f"{path}/switch", {"enabled": "on"}).status_code == 303
    assert "Delete E-mail journey?" in said(rig.browser.get(f"{path}/delete").text)
    assert rig.browser.post(f"{path}/delete").headers["Location"] == f"{LIST}?done=webhook_deleted"

    assert rig.browser.get(path).status_code == 404
    assert [entry["action"] for entry in rig.audit(hook)] == ["delete", "change", "change"]


def test_another_secret_is_shown_once_and_the_former_goes_on_for_the_overlap(rig: Journeying) -> None:
    hook = rig.make()

    answer = rig.browser.post(f"{path_of(hook)}/secret", {"overlap": "3600"})

    secrets = set(re.findall(r"whsec_[\w+/=]+", answer.text))
    assert len(secrets) == 1
    assert secrets.isdisjoint({hook["secret"]})
    assert "The former secret signs too until" in said(rig.browser.get(path_of(hook)).text)
    assert secrets.pop() not in str(rig.audit(hook))
    audit = rig.browser.get(f"/settings/audit?resource={hook['id']}")
    assert "Ada made a new secret for the webhook E-mail journey" in said(audit.text)
    assert rig.audit(hook)[0]["action"] == "rotate secret"
    assert rig.browser.post(f"{path_of(hook)}/secret", {"overlap": "999999999"}).status_code == 200


def test_the_log_tells_every_attempt_and_sends_again(rig: Journeying) -> None:
    hook = rig.make()
    dispatcher = rig.hooks.dispatcher()
    rig.hooks.take(hook["id"], "e1", HOSTILE[:100])
    rig.hooks.turn(dispatcher)
    rig.journey.answer = lambda _: Reply(status=410)
    rig.hooks.take(hook["id"], "e3")
    rig.hooks.turn(dispatcher)
    path = f"{path_of(hook)}/deliveries"

    page = rig.browser.get(path).text
    assert said(page).count("moment.cart_abandon") == 3
    assert "<script>alert" not in page
    dead = rig.browser.get(f"{path}?state=dead").text
    assert "e3" in said(dead)
    assert "e1" not in said(dead)
    one = re.findall(rf'href="({path}/\d+)"', dead)[0]
    shown = rig.browser.get(one)
    assert '"id": "e3"' in unescape(shown.text)
    assert "410" in said(shown.text)
    assert "Disabled: gone" in said(rig.browser.get(path_of(hook)).text)

    again = rig.browser.post(f"{one}/redeliver", {"state": "dead"})
    assert again.status_code == 303
    assert rig.hooks.states(hook)["e3"] == "pending"
    every = rig.browser.post(f"{path_of(hook)}/redeliver")
    assert every.status_code == 303


@pytest.mark.parametrize("query", ["?state=nothing", "?cursor=made-up", "?cursor=%00", f"?cursor={'x' * 3000}"])
def test_strange_addresses_of_the_log_are_answered_plainly(rig: Journeying, query: str) -> None:
    hook = rig.make()

    assert rig.browser.get(f"{path_of(hook)}/deliveries{query}").status_code in (200, 302)
    assert rig.browser.get(f"{path_of(hook)}/deliveries/99").status_code == 404


def test_from_the_first_webhook_on_it_is_told_who_listens_and_what_nobody_hears(tmp_path: Path) -> None:
    with journeys_rig(tmp_path) as rig:
        empty = rig.browser.get(LIST).text
        shop = rig.config.make_configuration()
        for type in ("cart_abandon", "welcome"):
            rig.config.set_status(rig.config.make_moment(shop["id"], type=type)["id"], "running")
        rig.make("Hears carts", "moment.cart_abandon")
        rig.make("Switched off", "moment.#", enabled=False)
        rig.hooks.broker.declare_queue(Queue("mails"), [Binding(JOURNEYS, "mails", "moment.cart_abandon")])
        rig.hooks.publish("moment.welcome")
        page = rig.browser.get(LIST).text

    assert "No webhook yet" in empty
    assert f'href="{NEW}"' in empty
    found = map(said_row, re.findall(r"<tr>.*?</tr>", page, re.DOTALL))
    rows = {row.split("1 running")[0].strip(): row for row in found}
    assert "Hears carts" in rows["Cart Abandon"]
    assert "mails" in rows["Cart Abandon"]
    assert "Nobody" in rows["Welcome"]
    assert "Switched off" not in rows["Welcome"]
    assert re.search(r'class="figure">1</span>', page)


def said_row(row: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", row))).strip()


def test_roles_see_and_may_what_is_theirs(rig: Journeying) -> None:
    hook = rig.make()
    rig.hooks.take(hook["id"], "e1")
    path = path_of(hook)
    again = f"{path}/deliveries/{rig.hooks.log(hook)[0]['id']}/redeliver"
    viewer = make_user(rig.config.service, "viewer", "vera@example.com")
    editor = make_user(rig.config.service, "editor", "eve@example.com")
    changes = ("edit", "switch", "secret", "delete")

    for browser in (viewer, editor):
        page = browser.get(path).text
        assert browser.get(LIST).status_code == 200
        assert browser.get(f"{path}/deliveries").status_code == 200
        assert not [name for name in changes if f'{path}/{name}"' in page]
        assert NEW not in browser.get(LIST).text
        assert browser.get(NEW).status_code == 403
        assert [browser.post(f"{path}/{name}", fields(rig)).status_code for name in changes] == [403] * 4
    assert f'{path}/test"' not in viewer.get(path).text
    assert f'{path}/test"' in editor.get(path).text
    assert viewer.post(f"{path}/test").status_code == 403
    assert viewer.post(again).status_code == 403
    assert "Send again" not in viewer.get(f"{path}/deliveries").text
    assert editor.post(f"{path}/test").status_code == 200
    assert editor.post(again).status_code == 303
    assert Browser(rig.config.service).get(path).status_code == 302


def test_when_trigger_is_away_the_page_tells_of_queues_and_says_what_is_missing(tmp_path: Path) -> None:
    with running_config(tmp_path, start=False, MOMENTS_TRIGGER_URL="http://127.0.0.1:9") as config:
        browser = make_administrator(config.service)
        page = browser.get(LIST)
        hook = browser.get("/journeys/webhooks/0f0c6a5e-6f0e-4d0c-8f57-0f3b6f1f7d11")

    assert page.status_code == 200
    assert "Trigger does not answer" in page.text
    assert hook.status_code == 503


def test_when_the_broker_is_away_webhooks_are_still_there(tmp_path: Path) -> None:
    with running_config(tmp_path, broker_url="amqp://127.0.0.1:9/", start=False) as config:
        page = make_administrator(config.service).get(LIST)

    assert page.status_code == 200
    assert "The broker does not answer" in page.text
