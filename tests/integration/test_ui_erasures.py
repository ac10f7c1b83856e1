"""Erasing and exporting a customer in the app: for administrators, asked first, and nobody is named in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from contracts.configurations import AudienceState, ConfigurationState
from contracts.times import HOUR, SECOND
from services.trigger.store.erasures import note_failure
from services.trigger.store.records import save_configuration
from shared.store import connected
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.installation import Installation, running_installation

START = 1_790_000_000 * SECOND


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with running_installation(tmp_path, f"sqlite:///{tmp_path}/test.db") as made:
        yield made


@pytest.fixture
def browser(installation: Installation) -> Browser:
    return make_administrator(installation.config.service)


def known(installation: Installation) -> dict[str, str]:
    """A customer of a configuration, with a signal, as a form names them."""
    desk, shop = installation.desk, installation.config.make_configuration()
    desk.add("grace@example.com", configuration=shop["id"])
    with connected(desk.database), desk.database.atomic():
        audience = AudienceState(id="list-1", name="Customers", id_types=("email",))
        save_configuration(desk.rows, ConfigurationState(id=shop["id"], version=1, name="Shop", audience=audience))
    return {"configuration": shop["id"], "idType": "email", "id": "grace@example.com"}


def test_an_administrator_is_asked_then_led_to_a_receipt_and_the_log_names_nobody(
    installation: Installation, browser: Browser
) -> None:
    whom = known(installation)
    address = f"/profiles/erasure?configuration={whom['configuration']}&idType=email&id=grace@example.com"

    asked = browser.get(address)
    answer = browser.post("/profiles/erasure", {**whom, "suppress": "1"})
    receipt = browser.get(answer.headers["Location"])
    log = browser.get("/settings/audit?kind=customer")

    assert (asked.status_code, answer.status_code, receipt.status_code) == (200, 303, 200)
    assert "grace@example.com" in asked.text
    assert "Underway" in receipt.text
    assert "Refused from now on" in receipt.text
    assert "grace" not in receipt.text + log.text
    assert "erased the data of a customer" in " ".join(log.text.split())
    assert answer.headers["Location"].partition("?")[0] in log.text, "no way from the log to the receipt"
    found = installation.desk.rows
    with connected(installation.desk.database):
        assert found.execute("SELECT profile, suppress FROM erasures") == [("grace@example.com", 1)]


def test_receipts_are_listed_page_by_page_for_administrators(installation: Installation, browser: Browser) -> None:
    assert "No customer was erased yet" in browser.get("/profiles/erasures").text
    whom = known(installation)
    for number in range(26):
        browser.post("/profiles/erasure", {**whom, "id": f"{number}@example.com"})
    editor = make_user(installation.config.service, "editor", "eve@example.com")

    first = browser.get("/profiles/erasures")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following
    second = browser.get(unescape(following[1]))

    receipts = [set(re.findall(r"/profiles/erasures/([0-9a-f-]{36})", each.text)) for each in (first, second)]
    assert [len(each) for each in receipts] == [25, 1]
    assert not receipts[0] & receipts[1]
    assert "Web shop" in first.text
    assert "@example.com" not in first.text + second.text
    assert browser.get("/profiles/erasures?cursor=nonsense").status_code == 200
    assert editor.get("/profiles/erasures").status_code == 403
    assert "/profiles/erasures" in browser.get("/profiles").text
    assert "/profiles/erasures" not in editor.get("/profiles").text


def test_a_receipt_that_is_not_done_is_looked_at_again(installation: Installation, browser: Browser) -> None:
    receipt = browser.post("/profiles/erasure", known(installation)).headers["Location"].partition("?")[0]

    underway = browser.get(f"{receipt}?part=state")
    with connected(installation.desk.database), installation.desk.database.atomic():
        installation.desk.rows.execute("UPDATE erasures SET state = 'done'")
    done = browser.get(f"{receipt}?part=state")

    assert ["data-settled" in each.text for each in (underway, done)] == [False, True]
    assert "<html" not in underway.text
    assert f"{receipt}?part=state" in browser.get(receipt).text


def test_whose_signals_are_refused_is_told_where_they_are_known(installation: Installation, browser: Browser) -> None:
    whom = known(installation)
    seen = browser.get("/profiles?id=grace@example.com").text

    installation.config.service.program.suppressions.add(whom["configuration"], "email", "grace@example.com")
    refused = browser.get("/profiles?id=grace@example.com").text
    editor = make_user(installation.config.service, "editor", "eve@example.com")

    assert ["Their signals are refused" in each for each in (seen, refused)] == [False, True]
    assert ["/suppressions/new?" in each for each in (seen, refused)] == [True, False]
    assert "/removal" in refused
    told = editor.get("/profiles?id=grace@example.com").text
    assert ("Their signals are refused" in told, "/suppressions/" in told) == (True, False)


def test_a_visitor_who_is_not_known_is_erased_by_their_anonymous_id(
    installation: Installation, browser: Browser
) -> None:
    configuration = known(installation)["configuration"]
    editor = make_user(installation.config.service, "editor", "eve@example.com")

    page, of_others = (each.get("/profiles?idType=anonymous&id=anon-1").text for each in (browser, editor))
    asked = re.search(r'href="(/profiles/erasure\?[^"]+)"', page)
    assert asked
    confirmed = browser.get(unescape(asked[1]))
    whom = {"configuration": configuration, "idType": "anonymous", "id": "anon-1"}
    receipt = browser.post("/profiles/erasure", whom)

    assert (confirmed.status_code, receipt.status_code) == (200, 303)
    assert 'value="anonymous"' in confirmed.text
    assert f"/configurations/{configuration}/suppressions/new?idType=anonymous&amp;id=anon-1" in page
    assert "Administrators can export and erase" in of_others
    assert "/profiles/erasure" not in of_others
    with connected(installation.desk.database):
        assert installation.desk.rows.execute("SELECT id_type, profile FROM erasures") == [("anonymous", "anon-1")]


def test_an_export_is_a_file_of_all_that_is_kept(installation: Installation, browser: Browser) -> None:
    whom = known(installation)

    answer = browser.post("/profiles/export", whom)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="customer.json"'
    assert [each["data"]["profile"]["id"] for each in json.loads(answer.data)["signals"]] == ["grace@example.com"]
    log = browser.get("/settings/audit").text
    assert "grace" not in log
    assert "Web shop" in log[log.index("exported") :]


def test_who_is_no_administrator_sees_no_button_and_gets_nowhere(installation: Installation) -> None:
    whom = known(installation)
    editor = make_user(installation.config.service, "editor", "eve@example.com")

    assert editor.get("/profiles/erasure?configuration=c&idType=email&id=x").status_code == 403
    assert editor.post("/profiles/erasure", whom).status_code == 403
    assert editor.post("/profiles/export", whom).status_code == 403
    with connected(installation.desk.database):
        assert installation.desk.rows.execute("SELECT 1 FROM erasures") == []


def test_what_names_nobody_is_refused_in_words(installation: Installation, browser: Browser) -> None:
    whom = known(installation)

    assert browser.get("/profiles/erasure").status_code == 422
    assert browser.post("/profiles/erasure", {**whom, "id": "no\0body"}).status_code == 422
    assert browser.post("/profiles/erasure", {**whom, "id": "nobody"}).status_code == 422
    assert browser.post("/profiles/erasure", {**whom, "configuration": "unknown"}).status_code == 404
    asked = browser.get("/profiles/erasure?configuration=c&idType=external&id=%3Cscript%3E")
    assert "&lt;script&gt;" in asked.text


def test_a_receipt_tells_that_an_erasure_fails_and_when_it_is_tried_again(
    installation: Installation, browser: Browser
) -> None:
    whom = known(installation)
    where = browser.post("/profiles/erasure", {**whom, "suppress": "1"}).headers["Location"]
    rows = installation.desk.rows
    with connected(installation.desk.database):
        erasure_id = rows.execute("SELECT id FROM erasures")[0][0]
        for _ in range(2):
            note_failure(rows, erasure_id, START, "KeyError in services.trigger.erasing.<erase>", START + HOUR)

    receipt = browser.get(where)
    words = " ".join(receipt.text.split())

    assert "Failing" in browser.get("/profiles/erasures").text
    assert "It failed 2 times" in words
    assert "KeyError in services.trigger.erasing.&lt;erase&gt;" in words
    assert "Underway" in words
