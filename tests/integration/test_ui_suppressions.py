"""The suppression list in the app: looked up, asked first, by administrators alone; nobody stands in it by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.erasures import ProfileErased
from tests.support.browsing import Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config

LIST = "/api/v1/suppressions"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_config(tmp_path_factory.mktemp("config"), start=False) as client:
        yield client


@pytest.fixture(scope="module")
def browser(config: Client) -> Browser:
    return make_administrator(config.service)


@pytest.fixture
def path(config: Client) -> str:
    """The list of a configuration of its own."""
    return f"/configurations/{config.make_configuration(name=HOSTILE)['id']}/suppressions"


def entries(config: Client, path: str) -> list[dict[str, str]]:
    """What the API lists of that configuration."""
    found: list[dict[str, str]] = config.get(f"{LIST}?configurationId={path.split('/')[2]}")["items"]
    return found


def test_a_customer_is_looked_up_put_on_the_list_and_taken_off(config: Client, browser: Browser, path: str) -> None:
    before = browser.get(f"{path}?idType=email&id=+Grace@Example.com+")
    asked = browser.get(f"{path}/new?idType=email&id=grace@example.com")
    added = browser.post(path, {"idType": "email", "id": "Grace@example.com"})
    told = browser.get(added.headers["Location"])
    during = browser.get(f"{path}?idType=email&id=grace@example.com")
    entry = entries(config, path)[0]["id"]
    asked_again = browser.get(f"{path}/{entry}/removal")
    removed = browser.post(f"{path}/{entry}/removal")
    after = browser.get(f"{path}?idType=email&id=grace@example.com")

    assert "grace@example.com is not on the list" in before.text
    assert "Refuse the signals of grace@example.com?" in asked.text
    assert (added.status_code, removed.status_code) == (303, 303)
    assert "refused from now on" in told.text
    assert "grace" not in (added.headers["Location"] + told.text + asked_again.text).lower()
    assert "grace@example.com is on the list" in during.text
    assert f"/{entry}/removal" in during.text
    assert "grace@example.com is not on the list" in after.text
    assert entries(config, path) == []


def test_what_an_erasure_put_there_says_so_before_it_is_taken_off(config: Client, browser: Browser, path: str) -> None:
    told = ProfileErased(
        erasure="e1", at=1, configuration=path.split("/")[2], id_type="external", profile="7", suppress=True
    )
    config.service.program.suppressions.erase(told)

    listed = browser.get(path)
    entry = entries(config, path)[0]["id"]

    assert "An erasure" in listed.text
    assert "make sure that the customer has agreed" in browser.get(f"{path}/{entry}/removal").text
    assert "7 is on the list" in browser.get(f"{path}?idType=external&id=7").text


def test_what_means_nobody_is_told_and_changes_nothing(config: Client, browser: Browser, path: str) -> None:
    wrong = browser.get(f"{path}?idType=email&id=nobody")
    hostile = browser.get(f"{path}?idType=external&id={HOSTILE}")

    assert (wrong.status_code, "must be an e-mail address" in wrong.text) == (422, True)
    assert "&lt;script&gt;alert" in hostile.text
    assert HOSTILE not in hostile.text
    assert browser.get(f"{path}?idType=nothing&id=x").status_code == 422
    assert browser.get(f"{path}/new").status_code == 422
    assert browser.post(path, {"idType": "email", "id": "no\0body"}).status_code == 422
    assert entries(config, path) == []


def test_an_entry_is_found_under_its_own_configuration_alone(config: Client, browser: Browser, path: str) -> None:
    browser.post(path, {"idType": "external", "id": "7"})
    entry = entries(config, path)[0]["id"]
    other = f"/configurations/{config.make_configuration()['id']}/suppressions"

    assert browser.post(f"{other}/{entry}/removal").status_code == 404
    assert browser.get(f"{path}/{'0' * 64}/removal").status_code == 404
    assert len(entries(config, path)) == 1


def test_the_list_has_pages(config: Client, browser: Browser, path: str) -> None:
    for number in range(26):
        config.service.program.suppressions.add(path.split("/")[2], "external", str(number))

    first, second, beyond = (browser.get(f"{path}?page={page}") for page in (1, 2, 9))

    assert [each.text.count("/removal") for each in (first, second, beyond)] == [25, 1, 0]
    assert "1–25 of 26" in first.text


def test_who_is_no_administrator_gets_nowhere(config: Client, path: str) -> None:
    editor = make_user(config.service, "editor", "eve@example.com")

    assert "suppressions" not in editor.get(path.removesuffix("/suppressions")).text
    assert editor.get(path).status_code == 403
    assert editor.get(f"{path}/new?idType=email&id=a@b.example").status_code == 403
    assert editor.post(path, {"idType": "email", "id": "a@b.example"}).status_code == 403
    assert editor.post(f"{path}/{'0' * 64}/removal").status_code == 403
    assert entries(config, path) == []
