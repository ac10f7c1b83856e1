"""Audience configurations in the app: list, form, keys and secrets, conflicts, snippets, and the test signal."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from services.config.states import configuration_state
from services.config.ui.snippets import offered, snippets
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import CONFIGURATIONS, running_config
from tests.support.ingestion import configure, settings_for, start_ingestion, wait_until
from tests.support.installation import Installation, running_installation
from tests.support.serving import served

HOSTILE = '<script>alert(1)</script> "Shop" \u202e & 🛒' + "x" * 150
FORM = {
    "name": "Web shop",
    "audience_id": "list-1",
    "audience_name": "Customers",
    "id_types": "email",
    "domains": "shop.example.com\n*.example.net",
}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path, f"sqlite:///{tmp_path}/test.db") as made:
        yield made


@pytest.fixture
def browser(installation: Installation) -> Browser:
    """An administrator."""
    return make_administrator(installation.config.service)


@contextmanager
def ingestion_of(installation: Installation, folder: Path, shop: dict[str, Any]) -> Iterator[None]:
    """A real ingestion behind a port, which knows a configuration as it is now."""
    variables = {"MOMENTS_PARTITIONS": "4", "MOMENTS_SECRET_PEPPER": (folder / "data" / "pepper").read_text()}
    process = start_ingestion(settings_for(folder / "ingestion", **variables))
    known = installation.config.service.program.configurations.get(shop["id"])
    configure(process, configuration_state(known))
    wait_until(lambda: process.publisher.ready)
    with served(process.app) as port:
        installation.config.service.program.ingestion.url = f"http://127.0.0.1:{port}"
        yield
    process.close()


def form_of(page: str) -> dict[str, str]:
    """What stands in the main form of a panel."""
    values = {
        name: unescape(value) for name, value in re.findall(r'id="(\w+)" name="\w+" type="text" value="([^"]*)"', page)
    }
    version = re.search(r'name="version" value="(\d+)"', page)
    area = re.search(r'<textarea id="domains"[^>]*>\n([^<]*)</textarea>', page)
    assert version
    assert area
    return {**values, "version": version[1], "domains": unescape(area[1]), "id_types": "email"}


def make(browser: Browser, **fields: str) -> str:
    """The path of a configuration that was made by the form."""
    answer = browser.post("/configurations/new", {**FORM, **fields})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"]).partition("?")[0]


def test_an_empty_list_leads_to_the_form_and_the_made_one_stands_in_the_list(
    installation: Installation, browser: Browser
) -> None:
    assert 'href="/configurations/new"' in browser.get("/configurations").text

    path = make(browser, name=HOSTILE, description=HOSTILE, audience_name=HOSTILE[:180])
    page = browser.get("/configurations").text

    assert f'href="{path}"' in page
    assert "<script>alert" not in page + browser.get(path).text
    assert "shop.example.com" in page
    assert page.count("None yet") == 1
    shop = installation.config.get(f"/api/v1{path.replace('/configurations', '/audience-configurations')}")
    installation.config.make_moment(shop["id"], name=HOSTILE)
    installation.desk.add("ada@example.com", configuration=shop["id"])
    page = browser.get("/configurations").text
    assert "None yet" not in page
    assert f'href="/moments?configuration={shop["id"]}"' in page
    assert "Nothing found" in browser.get("/configurations?search=nowhere").text
    assert path in browser.get("/configurations?search=EXAMPLE.net").text


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(browser: Browser) -> None:
    answer = browser.post("/configurations/new", {**FORM, "name": " ", "domains": "shop.example.com\n*.com\nno way"})

    assert answer.status_code == 422
    assert "Give it a name." in answer.text
    assert "*.com: " in unescape(answer.text)
    assert "public suffix" in answer.text
    assert form_of(answer.text)["domains"] == "shop.example.com\n*.com\nno way"
    assert browser.post("/configurations/new", {}).status_code == 422
    assert "name: " not in browser.get("/configurations").text


def test_domains_are_checked_by_the_servers_own_rule_while_they_are_typed(browser: Browser) -> None:
    typed = "SHOP.example.com.\n*.co.uk\nbücher.example\n<b>x</b>"

    page = browser.post("/configurations/domains", {"domains": typed}, X_Requested_With="fragment").text

    assert "shop.example.com</bdi>" in page
    assert "xn--bcher-kva.example" in page
    assert page.count("wrong") == 2
    assert "<b>x</b>" not in page
    assert "no web page can send" in browser.post("/configurations/domains", {"domains": ""}).text


def test_the_secret_is_shown_once_after_creation_and_after_regeneration_never_in_an_address(
    installation: Installation, browser: Browser
) -> None:
    answer = browser.post("/configurations/new", FORM)
    path = answer.headers["Location"]
    through_script = browser.get(path, X_Requested_With="fragment").text
    first, second = browser.get(path).text, browser.get(path).text

    secret = re.search(r'id="secret">(sk_\w+:\w+)<', first)
    assert secret
    assert secret[1].partition(":")[2] not in path + second + through_script
    assert f"X-Api-Key: {secret[1]}" in unescape(first)

    here = path.partition("?")[0]
    stranger = make_user(installation.config.service, "editor", "eve@example.com")
    made = browser.post(f"{here}/keys/server/regeneration", {"overlap": "hour"})
    assert made.status_code == 303
    assert 'id="secret"' not in stranger.get(here).text
    assert 'id="secret"' in browser.get(here).text
    assert 'id="secret"' not in browser.get(here).text


def test_consent_and_declared_fields_are_set_in_the_form_and_merged_like_its_other_fields(
    installation: Installation, browser: Browser
) -> None:
    here = make(browser, consent="on", declared="on", attributes="campaign\nitems.size")
    path = f"{CONFIGURATIONS}/{here.rpartition('/')[2]}"
    made, form = installation.config.get(path), form_of(browser.get(here).text)

    assert (made["consentRequired"], made["attributes"]) == (True, ["campaign", "items.size"])
    installation.config.call("PATCH", path, {"attributes": ["campaign"]}, if_match=f'"{made["version"]}"')
    both = {"consent": "on", "declared": "on", "attributes": "campaign\nitems.size"}
    conflict = browser.post(here, {**form, **both, "name": "Mine"})
    assert (conflict.status_code, "Put into the form" in conflict.text) == (409, True)
    assert ">\ncampaign</textarea>" in conflict.text

    wrong = browser.post(here, {**form_of(conflict.text), **both, "attributes": f"a\n{'x' * 256}"})
    assert wrong.status_code == 422
    assert f"{'x' * 256}: " in unescape(wrong.text)
    browser.post(here, {**form_of(wrong.text), "attributes": "campaign"})
    freed = installation.config.get(path)
    assert (freed["consentRequired"], freed["attributes"]) == (False, None), "what is not ticked is off"


def test_events_of_segment_clients_are_typed_row_by_row(installation: Installation, browser: Browser) -> None:
    here = make(browser)
    path = f"{CONFIGURATIONS}/{here.rpartition('/')[2]}"
    assert browser.get(f"{here}/segment").text.count('name="event"') == 3

    def typed(version: int, *rows: tuple[str, str, str, str], **more: Any) -> dict[str, Any]:
        events, signals, items, fields = (list(column) for column in zip(*rows, strict=True))
        return {"version": version, "event": events, "signal": signals, "items": items, "fields": fields, **more}

    saved = ("Saved", "cart/replace", "lines", "cartId = basket.id\r\nitems.name=label = x")
    hostile = (HOSTILE[:200], "", "", "")
    wrong = browser.post(f"{here}/segment", typed(1, saved, ("Bad", "cart/add", "", "speed = v"), ("", "", "", "")))
    assert wrong.status_code == 422
    assert "<bdi>Bad</bdi> – Products: cart/add needs products" in unescape(wrong.text)
    assert "<bdi>Bad</bdi> – Fields speed: The signal has no such field." in unescape(wrong.text)
    browser.post(f"{here}/segment", typed(1, saved, ("", "page/view", "", ""), hostile))
    made = installation.config.get(path)
    assert made["segmentEvents"] == [
        {
            "event": "Saved",
            "signal": "cart/replace",
            "items": "lines",
            "fields": {"cartId": "basket.id", "items.name": "label = x"},
        },
        {"event": HOSTILE[:200], "signal": None, "items": "", "fields": {}},
    ]

    page = browser.get(f"{here}/segment").text
    late = browser.post(f"{here}/segment", typed(1, saved))
    browser.post(f"{here}/segment", typed(2, saved, hostile, remove="1"))
    assert "<script>alert" not in page
    assert page.count('name="event"') == 5
    assert (late.status_code, "Somebody else has saved" in late.text) == (409, True)
    assert [each["event"] for each in installation.config.get(path)["segmentEvents"]] == ["Saved"]


def test_a_key_is_limited_by_ticking_kinds_and_freed_again(installation: Installation, browser: Browser) -> None:
    here = make(browser)
    form = browser.get(f"{here}/keys/web/limits").text
    assert 'value="cart/add"' in form
    assert 'value="order/ship"' not in form
    assert 'value="order/ship"' in browser.get(f"{here}/keys/server/limits").text

    none = browser.post(f"{here}/keys/web/limits", {"which": "some", "kinds": "order/ship"})
    some = browser.post(f"{here}/keys/web/limits", {"which": "some", "kinds": "cart/add"})

    assert (none.status_code, "Tick at least one kind" in none.text) == (422, True)
    assert some.headers["Location"].endswith("done=key_limited")
    assert '<code class="id">cart/add</code>' in browser.get(here).text
    assert re.search(r'value="cart/add" checked', browser.get(f"{here}/keys/web/limits").text)
    state = configuration_state(installation.config.service.program.configurations.get(here.rpartition("/")[2]))
    assert [key.kinds for key in state.keys] == [("cart/add",), None, None]

    browser.post(f"{here}/keys/web/limits", {"which": "some", "kinds": "identify"})
    assert re.search(r'value="identify" checked', browser.get(f"{here}/keys/web/limits").text)
    assert '<code class="id">identify</code>' in browser.get(here).text

    browser.post(f"{here}/keys/web/limits", {"which": "all", "kinds": "cart/add"})
    assert '<code class="id">cart/add</code>' not in browser.get(here).text
    stranger = make_user(installation.config.service, "viewer", "eve@example.com")
    assert stranger.get(f"{here}/keys/web/limits").status_code == 403


def test_a_key_that_was_replaced_meanwhile_is_not_replaced_again(installation: Installation, browser: Browser) -> None:
    here = make(browser)
    seen = re.search(r'name="key" value="(pk_\w+)"', browser.get(f"{here}/keys/web/regeneration").text)
    assert seen
    first = browser.post(f"{here}/keys/web/regeneration", {"key": seen[1], "overlap": "none"})
    made = web_key(installation, here)

    second = browser.post(f"{here}/keys/web/regeneration", {"key": seen[1], "overlap": "none"})

    assert first.headers["Location"].endswith("done=key_made")
    assert second.headers["Location"].endswith("done=key_replaced")
    assert web_key(installation, here) == made != seen[1]


def web_key(installation: Installation, path: str) -> str:
    """The present web key of the configuration with this page."""
    known = installation.config.service.program.configurations.get(path.rpartition("/")[2])
    return next(key.id for key in known.keys if key.type == "web" and key.expires_at is None)


def test_who_came_from_a_new_moment_goes_back_there_with_the_new_one(browser: Browser) -> None:
    page = browser.get("/configurations/new?next=/moments/new%3Ftype%3Dcart_abandon").text
    action = re.search(r'action="(/configurations/new[^"]+)"', page)
    assert action

    refused = browser.post(unescape(action[1]), {**FORM, "name": ""})
    action = re.search(r'action="(/configurations/new[^"]+)"', refused.text)
    assert action
    answer = browser.post(unescape(action[1]), FORM)

    assert re.fullmatch(r"/moments/new\?type=cart_abandon&configuration=[0-9a-f-]{36}", answer.headers["Location"])
    elsewhere = browser.post("/configurations/new?next=https://evil.example/", FORM)
    assert elsewhere.headers["Location"].startswith("/configurations/")


def test_two_editors_see_what_the_other_did_and_lose_nothing(installation: Installation, browser: Browser) -> None:
    path = make(browser)
    other = make_user(installation.config.service, "editor", "eve@example.com", "Eve Adams")
    mine, theirs = form_of(browser.get(path).text), form_of(other.get(path).text)

    assert other.post(path, {**theirs, "name": "Eve's shop", "audience_name": "Everybody"}).status_code == 303
    conflict = browser.post(path, {**mine, "name": "Ada's shop", "domains": "new.example.com"})

    assert conflict.status_code == 409
    page = unescape(conflict.text)
    assert "Somebody else has saved changes meanwhile" in page
    assert "Eve Adams" in page
    merged = form_of(conflict.text)
    both = ("Ada's shop", "Everybody", "new.example.com")
    assert (merged["name"], merged["audience_name"], merged["domains"]) == both
    assert browser.post(path, merged).status_code == 303
    saved = form_of(browser.get(path).text)
    assert (saved["name"], saved["audience_name"], saved["domains"]) == both


def test_switching_a_key_meanwhile_is_no_conflict(browser: Browser) -> None:
    path = make(browser)
    mine = form_of(browser.get(path).text)

    assert browser.post(f"{path}/keys/web/switch", {"enabled": "on"}).status_code == 303
    assert browser.post(path, {**mine, "name": "Renamed"}).status_code == 303

    page = browser.get(path).text
    assert form_of(page)["name"] == "Renamed"
    assert page.count('aria-label="Listen to signals of the Web key"') == 1
    assert re.search(r'value="on" checked aria-label="Listen to signals of the Web key"', page)
    browser.post(f"{path}/keys/web/switch", {"enabled": "on", "wanted": "off"})
    assert not re.search(r'value="on" checked aria-label', browser.get(path).text)


def test_last_use_is_told_and_unknown_is_not_never(installation: Installation, browser: Browser) -> None:
    path = make(browser)
    service = installation.config.service
    known = service.program.configurations.get(path.rpartition("/")[2])
    with service.store.transaction():
        service.store.database.execute_sql("UPDATE keys SET uses_noted = FALSE WHERE type = 'app'")
    service.program.configurations.note_key_uses({known.keys[0].id: installation.clock.now()})

    page = browser.get(path).text

    assert page.count("Not used yet") == 1
    assert page.count("Not known: it is older") == 1
    assert page.count("Last used") == 3


def test_one_that_running_moments_use_is_not_deleted_and_the_reason_is_told(
    installation: Installation, browser: Browser
) -> None:
    path = make(browser)
    moment = installation.config.make_moment(path.rpartition("/")[2], name=HOSTILE)
    installation.config.set_status(moment["id"], "running")

    assert browser.get(f"{path}/deletion").status_code == 200
    refused = browser.post(f"{path}/deletion")
    assert refused.status_code == 409
    assert "Archive or delete first" in refused.text
    assert "<script>alert" not in refused.text

    installation.config.set_status(moment["id"], "archived")
    assert browser.post(f"{path}/deletion").headers["Location"].startswith("/configurations?done=")
    assert browser.get(path).status_code == 404


def test_a_viewer_reads_and_changes_nothing(installation: Installation, browser: Browser) -> None:
    path = make(browser)
    viewer = make_user(installation.config.service, "viewer", "vic@example.com")

    page = viewer.get(path).text

    assert '<fieldset class="stack" disabled>' in page
    assert "/switch" not in page
    for change in ("", "/keys/web/switch", "/keys/web/regeneration", "/deletion", "/test"):
        assert viewer.post(f"{path}{change}", FORM).status_code == 403
    assert viewer.get("/configurations/new").status_code == 403


def test_a_test_signal_goes_through_ingestion_and_a_fault_is_told_plainly(
    installation: Installation, browser: Browser, tmp_path: Path
) -> None:
    path = make(browser)
    assert "switched off" in browser.post(f"{path}/test").text
    browser.post(f"{path}/keys/web/switch", {"enabled": "on"})
    installation.config.service.program.ingestion.url = "http://127.0.0.1:9"
    assert "does not answer at http://127.0.0.1:9" in browser.post(f"{path}/test").text

    shop = installation.config.get(f"{CONFIGURATIONS}/{path.rpartition('/')[2]}")
    with ingestion_of(installation, tmp_path, shop):
        sent = browser.post(f"{path}/test")
        assert sent.status_code == 303, sent.text
        signal_id = re.search(r"tested=(test-[0-9a-f-]+)#test", sent.headers["Location"])
        assert signal_id
        waiting = browser.get(f"{path}/tests/{signal_id[1]}", X_Requested_With="fragment").text
        browser.post(path, {**form_of(browser.get(path).text), "domains": ""})
        assert "Add a domain" in browser.post(f"{path}/test").text

    assert "Waiting for it to arrive" in waiting


def test_a_server_can_be_told_to_sign_and_the_lines_that_are_shown_do(
    installation: Installation, browser: Browser, tmp_path: Path
) -> None:
    here = make(browser)
    browser.post(f"{here}/keys/server/switch", {"wanted": "on"})
    saved = browser.post(f"{here}/keys/server/limits", {"which": "all", "signed": "on"})
    shop = installation.config.get(f"{CONFIGURATIONS}/{here.rpartition('/')[2]}")

    with ingestion_of(installation, tmp_path, shop):
        installation.config.service.program.ingestion.public_url = installation.config.service.program.ingestion.url
        first, second = browser.get(saved.headers["Location"]).text, browser.get(here).text
        lines = re.search(r'id="code-signed"[^>]*>([^<]+)</pre>', first)
        assert lines
        sent = subprocess.run(["bash", "-euo", "pipefail", "-c", unescape(lines[1])], capture_output=True, check=True)
        forged = unescape(lines[1]).replace('--data-binary "$body"', '--data-binary "$body "')
        refused = subprocess.run(["bash", "-c", forged], capture_output=True, check=True)

    secret = re.search(r'id="signing-secret">(ss_\w+)<', first)
    assert secret
    assert secret[1] not in second
    assert "YOUR_SIGNING_SECRET" in second
    assert b'"status":200' in sent.stdout
    assert b"wrong_signature" in refused.stdout
    assert 'id="code-segment"' not in first


def test_only_ways_that_ingestion_has_are_offered() -> None:
    assert offered({"/sdk/signals.js": True}.get) == ("web", "server")  # type: ignore[arg-type]
    assert offered(lambda _: None) == ("fetch", "server")
    assert offered(lambda _: True) == ("web", "server", "segment")


def test_where_consent_is_required_the_snippets_ask_and_say_so(installation: Installation, browser: Browser) -> None:
    strict, plain = make(browser, consent="on"), make(browser)

    asked, not_asked = unescape(browser.get(strict).text), unescape(browser.get(plain).text)

    for line in ("consent: true,", '"consent":true,'):
        assert line in asked
        assert line not in not_asked
    known = installation.config.service.program.configurations.get(strict.rpartition("/")[2])
    (web, segment) = snippets(known, "https://signals.example.com", ("web", "segment"))
    assert ", consentRequired: true });" in web.text
    assert "Signals.setConsent(true);" in web.text
    assert "context: { consent: true }," in segment.text


def test_the_sample_shop_is_led_to_by_the_configuration_that_it_sells_for(tmp_path: Path) -> None:
    with running_config(tmp_path, start=False, MOMENTS_SAMPLE_SHOP="http://shop.localhost:8084") as config:
        browser = make_administrator(config.service)
        shop, other = make(browser, domains="shop.localhost"), make(browser)

        link = re.compile(r'href="http://shop\.localhost:8084"\s+target="_blank"\s+rel="noopener"')
        assert link.search(browser.get(shop).text)
        assert not link.search(browser.get(other).text)
        assert link.search(browser.get("/signals").text)


def test_snippets_hold_the_real_keys_and_host(installation: Installation, browser: Browser, tmp_path: Path) -> None:
    path = make(browser, domains="*.example.com")
    shop = installation.config.get(f"{CONFIGURATIONS}/{path.rpartition('/')[2]}")
    with ingestion_of(installation, tmp_path, shop):
        browser.get(path)
        page = unescape(browser.get(path).text)

    assert f'Signals.setApiKey("{shop["keys"][0]["id"]}", {{ endpoint: "http://127.0.0.1:8082" }})' in page
    assert "curl http://127.0.0.1:8082/v1/signals/cart/add" in page
    assert f"X-Api-Key: {shop['keys'][2]['id']}:YOUR_SECRET" in page
