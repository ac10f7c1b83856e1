"""Making a moment: led to an audience first, a template, a name; faults in words; one for two clicks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from contracts.templates import templates, use_templates
from shared.clock import ManualClock
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import CONFIGURATIONS, MOMENTS, Client, running_config
from tests.support.trigger_stand_in import TriggerStandIn, standing_in

NOON = 1_790_000_000_000_000
CART = "/moments/new/cart_abandon"


@pytest.fixture
def trigger() -> Iterator[TriggerStandIn]:
    """What answers in trigger's place."""
    with standing_in(NOON) as stand_in:
        yield stand_in


@pytest.fixture
def config(tmp_path: Path, database_url: str, trigger: TriggerStandIn) -> Iterator[Client]:
    """The service on each database."""
    clock = ManualClock(NOON)
    with running_config(tmp_path, database_url, clock=clock, start=False, MOMENTS_TRIGGER_URL=trigger.url) as client:
        yield client


@pytest.fixture
def quick(tmp_path: Path, trigger: TriggerStandIn) -> Iterator[Client]:
    """The service on SQLite, for what does not concern the store."""
    with running_config(tmp_path, clock=ManualClock(NOON), start=False, MOMENTS_TRIGGER_URL=trigger.url) as client:
        yield client


def editor_of(client: Client) -> Browser:
    """The browser of somebody who may make moments."""
    make_administrator(client.service)
    return make_user(client.service, "editor", "grace@example.com", "Grace")


def value(answer: Any, name: str) -> str:
    """What a field of the form holds."""
    found = re.search(
        rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"|<textarea[^>]*name="{name}"[^>]*>\n([^<]*)</textarea>',
        answer.text,
    )
    assert found, f"no field {name}"
    return unescape(found[1] or found[2] or "")


def chosen(answer: Any) -> str:
    """The audience configuration that is selected."""
    found = re.search(r'<option value="([^"]*)" selected', answer.text)
    return found[1] if found else ""


def fault(answer: Any, name: str) -> str:
    """The fault beside a field."""
    found = re.search(rf'id="{name}-fault"( hidden)?>.*?<span>([^<]*)</span>', answer.text)
    assert found
    return "" if found[1] else unescape(found[2])


def test_without_an_audience_one_is_made_first_and_the_way_back_is_kept(quick: Client) -> None:
    editor = editor_of(quick)

    assert editor.get("/moments/new").location == "/configurations/new?next=/moments/new"
    assert editor.get(CART).location == f"/configurations/new?next={CART}"


def test_who_was_led_to_make_an_audience_comes_back_with_it_chosen(quick: Client) -> None:
    editor = editor_of(quick)
    way = editor.get(CART).location
    made = {"name": "Shop", "audience_id": "list-1", "audience_name": "Customers", "id_types": "email"}

    back = editor.post(way, {**made, "domains": "shop.example.com"})

    (shop,) = quick.get(CONFIGURATIONS)["items"]
    quick.make_configuration(name="another")
    assert back.location == f"{CART}?configuration={shop['id']}"
    assert chosen(editor.get(back.location)) == shop["id"]


def test_every_template_is_a_card_under_its_purpose_with_its_goal(quick: Client) -> None:
    quick.make_configuration()
    editor = editor_of(quick)

    page = editor.get("/moments/new").text

    groups = re.findall(r'id="purpose-(\w+)">', page)
    assert groups == ["win_back", "welcome", "thank", "goodbye"]
    for template in templates().values():
        assert f'href="/moments/new/{template.type}"' in page
        assert template.goal in unescape(page)
    assert page.index('id="purpose-goodbye"') < page.index('href="/moments/new/goodbye"')


def test_signals_that_came_are_marked_and_not_known_is_not_no(quick: Client, trigger: TriggerStandIn) -> None:
    quick.make_configuration()
    editor = editor_of(quick)
    unknown = editor.get("/moments/new").text
    assert "received lately" not in unknown

    trigger.kinds = {"cart/add": NOON}

    page = editor.get("/moments/new").text
    good = re.findall(r'class="badge good" title="([^"]*)"', page)
    assert good == ["cart/add · received lately"]
    assert 'title="cart/purchase · not received lately"' in page


def test_templates_are_found_by_words_without_a_script(quick: Client) -> None:
    quick.make_configuration()
    editor = editor_of(quick)

    page = editor.get("/moments/new?search=BOOKING%20win").text

    assert re.findall(r'href="/moments/new/(\w+)"', page) == ["booking_abandon"]
    assert '<div id="no-template">' in editor.get("/moments/new?search=%3Cscript%3E").text
    assert "<script>" not in editor.get("/moments/new?search=%3Cscript%3E").text


def test_the_form_is_filled_in_and_makes_a_draft(config: Client) -> None:
    shop = config.make_configuration()
    editor = editor_of(config)
    form = editor.get(CART)
    assert value(form, "name") == "Cart Abandon"
    assert value(form, "description") == templates()["cart_abandon"].description
    assert chosen(form) == shop["id"]

    sent = {"token": value(form, "token"), "name": "  Baskets ", "description": "", "configuration": shop["id"]}
    answer = editor.post(CART, sent)

    (made,) = config.get(MOMENTS)["items"]
    assert answer.location == f"/moments/{made['id']}?done=moment_created"
    assert (made["name"], made["status"], made["type"]) == ("Baskets", "draft", "cart_abandon")
    assert made["updatedBy"] == "user:grace@example.com"
    assert made["settings"]["duration"] == "PT2H"


def test_a_name_that_is_taken_is_counted_on(config: Client) -> None:
    shop = config.make_configuration()
    editor = editor_of(config)
    for name in ("cart abandon", "Cart Abandon 3", "Cart Abandon 2 or so"):
        config.make_moment(shop["id"], name=name)
    assert value(editor.get(CART), "name") == "Cart Abandon 2"

    config.make_moment(shop["id"], name="Cart Abandon 2")

    assert value(editor.get(CART), "name") == "Cart Abandon 4"


def test_of_several_audiences_one_is_chosen_or_named_by_the_address(quick: Client) -> None:
    quick.make_configuration(name="one")
    two = quick.make_configuration(name="two")
    editor = editor_of(quick)

    assert chosen(editor.get(CART)) == ""
    assert chosen(editor.get(f"{CART}?configuration={two['id']}")) == two["id"]
    assert chosen(editor.get(f"{CART}?configuration=gone")) == ""
    assert f"{CART}?configuration={two['id']}" in editor.get(f"/moments/new?configuration={two['id']}").text


@pytest.mark.parametrize(
    ("given", "where", "told"),
    [
        ({"name": "   "}, "name", "Give it a name."),
        ({"name": "x" * 201}, "name", "At most 200 characters; these are 201."),
        ({"name": "a\x00b"}, "name", "cannot be shown"),
        ({"description": "x" * 2001}, "description", "At most 2000 characters; these are 2001."),
        ({"configuration": ""}, "configuration", "Choose an audience configuration."),
        ({"configuration": "9f6e4c1e-0000-4000-8000-000000000000"}, "configuration", "was deleted meanwhile"),
        ({"configuration": "<b>"}, "configuration", "was deleted meanwhile"),
    ],
)
def test_faults_stand_in_words_beside_the_field_and_nothing_typed_is_lost(
    quick: Client, given: dict[str, str], where: str, told: str
) -> None:
    shop = quick.make_configuration()
    quick.make_configuration(name="another")
    editor = editor_of(quick)
    sent = {"token": "t", "name": "<script>Näme", "description": "about\nit", "configuration": shop["id"], **given}

    page = editor.post(CART, sent)

    assert page.status_code == 422
    assert told in fault(page, where)
    others = {"name", "description", "configuration"} - {where}
    assert [fault(page, name) for name in others] == ["", ""]
    assert value(page, "token") == "t"
    if where != "name":
        assert value(page, "name") == "<script>Näme"
    if where != "description":
        assert value(page, "description") == "about\nit"
    if where != "configuration":
        assert chosen(page) == shop["id"]
    assert "<script>N" not in page.text
    assert quick.get(MOMENTS)["items"] == []


def test_two_clicks_make_one_moment(config: Client) -> None:
    shop = config.make_configuration()
    editor = editor_of(config)
    form = editor.get(CART)
    sent = {"token": value(form, "token"), "name": "Cart", "description": "", "configuration": shop["id"]}
    sent["csrf"] = editor.token()
    start, answers = threading.Barrier(4), []

    def click() -> None:
        other = Browser(config.service)
        for cookie in editor.client._cookies.values():  # type: ignore[union-attr]
            other.client.set_cookie(cookie.key, cookie.value, domain=cookie.domain)
        start.wait(60)
        answers.append(other.call("POST", CART, sent))

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    (made,) = config.get(MOMENTS)["items"]
    assert [answer.status_code for answer in answers] == [303] * 4
    assert {answer.location for answer in answers} == {f"/moments/{made['id']}?done=moment_created"}


def test_the_same_form_sent_for_something_else_makes_another(quick: Client) -> None:
    shop = quick.make_configuration()
    editor = editor_of(quick)
    token = value(editor.get(CART), "token")

    for name in ("one", "two"):
        sent = {"token": token, "name": name, "description": "", "configuration": shop["id"]}
        assert editor.post(CART, sent).status_code == 303

    assert {each["name"] for each in quick.get(MOMENTS)["items"]} == {"one", "two"}


def test_a_form_sent_again_after_the_deletion_makes_a_moment_of_another_id(quick: Client) -> None:
    shop = quick.make_configuration()
    editor = editor_of(quick)
    token = value(editor.get(CART), "token")
    sent = {"token": token, "name": "one", "description": "", "configuration": shop["id"]}
    editor.post(CART, sent)
    quick.call("DELETE", f"{MOMENTS}/{token}")

    assert editor.post(CART, sent).status_code == 303

    (made,) = quick.get(MOMENTS)["items"]
    assert made["id"] != token


def test_templates_of_ones_own_are_there_with_an_icon_of_some_kind(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    source = (Path(__file__).parents[2] / "contracts" / "templates" / "survey_abandon.toml").read_text("utf-8")
    own = source.replace('"survey_abandon"', '"own_survey"').replace('icon = "clipboard"', 'icon = "no-such"')
    (folder / "own_survey.toml").write_text(own.replace("Survey Abandon", "<i>Our</i> survey"), "utf-8")
    request.addfinalizer(lambda: use_templates(None))
    with running_config(
        tmp_path, start=False, MOMENTS_TEMPLATES=str(folder), MOMENTS_TRIGGER_URL="http://127.0.0.1:9"
    ) as client:
        shop = client.make_configuration()
        editor = editor_of(client)

        page = editor.get("/moments/new").text
        assert "&lt;i&gt;Our&lt;/i&gt; survey" in page
        form = editor.get("/moments/new/own_survey")
        sent = {"token": value(form, "token"), "name": value(form, "name"), "configuration": shop["id"]}
        assert editor.post("/moments/new/own_survey", sent).status_code == 303
        assert client.get(MOMENTS)["items"][0]["type"] == "own_survey"


def test_an_unknown_template_is_not_found(quick: Client) -> None:
    quick.make_configuration()
    editor = editor_of(quick)

    assert editor.get("/moments/new/no_such").status_code == 404
    assert editor.post("/moments/new/no_such").status_code == 404
