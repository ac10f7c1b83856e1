"""The pages of the settings: users, tokens, the audit log, and one's own account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from shared.clock import ManualClock
from tests.support.browsing import PASSWORD, Browser, make_administrator, make_user
from tests.support.configuring import CONFIGURATIONS, MOMENTS, Client, running_config

NOON = 1_790_000_000_000_000
SECOND = 1_000_000
USERS, TOKENS, AUDIT, ACCOUNT = (f"/settings/{name}" for name in ("users", "tokens", "audit", "account"))
HOSTILE = "<script>alert(1)</script>\u202eمرحبا 🛒" + "W" * 100


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(NOON)


@pytest.fixture
def config(tmp_path: Path, database_url: str, clock: ManualClock) -> Iterator[Client]:
    """The service on each database, without its background work."""
    with running_config(tmp_path, database_url, clock=clock, start=False) as client:
        yield client


@pytest.fixture
def quick(tmp_path: Path, clock: ManualClock) -> Iterator[Client]:
    """The service on SQLite, for what does not concern the store."""
    with running_config(tmp_path, clock=clock, start=False) as client:
        yield client


def user_of(config: Client, email: str) -> dict[str, Any]:
    """The REST document of a user."""
    found: dict[str, Any] = next(each for each in config.get("/api/v1/users")["items"] if each["email"] == email)
    return found


def shown_once(page: str) -> str:
    """The link or token that a page shows."""
    found = re.search(r'id="once"[^>]*value="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def text_of(page: str) -> str:
    """What a person reads of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2])).split())


def test_an_invitation_by_the_page_ends_with_a_person_who_is_in(config: Client) -> None:
    ada = make_administrator(config.service)

    answer = ada.post(f"{USERS}/new", {"name": HOSTILE, "email": "bo@example.com", "role": "editor"})

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    link = shown_once(answer.text)
    assert link.startswith("http://127.0.0.1:8081/welcome/")
    assert link not in ada.get(f"{USERS}/{user_of(config, 'bo@example.com')['id']}").text
    assert Browser(config.service).take_up(link.rpartition("/")[2], name=HOSTILE).status_code == 303
    assert "<script>alert" not in ada.get(USERS).text
    log = config.get("/api/v1/audit?kind=user")["items"]
    assert [(each["action"], each["actor"]) for each in log][:3] == [
        ("accept invitation", "user:bo@example.com"),
        ("sign in", "user:bo@example.com"),
        ("invite", "user:ada@example.com"),
    ]


def test_a_refused_invitation_keeps_what_was_typed(quick: Client) -> None:
    ada = make_administrator(quick.service)
    typed = {"name": "Bo", "email": "bo@example.com", "role": "admin"}

    for changes, reason, status in (
        ({"email": "bo"}, "name@example.com", 422),
        ({"name": " "}, "Fill this in.", 422),
        ({"role": "root"}, "role", 422),
        ({"email": "ADA@example.com"}, "is a user already", 409),
    ):
        answer = ada.post(f"{USERS}/new", {**typed, **changes})
        assert answer.status_code == status
        assert reason in answer.text
        assert 'value="Bo"' in answer.text or "name" in changes
    assert len(quick.get("/api/v1/users")["items"]) == 1


def test_a_role_is_changed_only_over_the_version_that_was_seen(config: Client) -> None:
    ada = make_administrator(config.service)
    make_user(config.service, "viewer", "bo@example.com", "Bo")
    bo = user_of(config, "bo@example.com")
    path = f"{USERS}/{bo['id']}"

    stale = ada.post(path, {"name": "Bo", "role": "admin", "version": str(bo["version"] - 1)})
    fresh = ada.post(path, {"name": "Bob", "role": "editor", "version": str(bo["version"])})

    assert (stale.status_code, fresh.status_code) == (412, 303)
    assert (user_of(config, "bo@example.com")["name"], user_of(config, "bo@example.com")["role"]) == ("Bob", "editor")
    assert "Saved." in ada.get(fresh.headers["Location"]).text


def test_disabling_enabling_new_links_and_taking_an_invitation_back(quick: Client) -> None:
    ada = make_administrator(quick.service)
    bo = make_user(quick.service, "viewer", "bo@example.com")
    path = f"{USERS}/{user_of(quick, 'bo@example.com')['id']}"

    assert ada.post(f"{path}/disable").status_code == 303
    assert bo.get(ACCOUNT).status_code == 302
    assert ada.post(f"{path}/link").status_code == 409
    assert ada.post(f"{path}/delete").status_code == 409
    assert ada.post(f"{path}/enable").status_code == 303
    token = shown_once(ada.post(f"{path}/link").text).rpartition("/")[2]
    assert bo.take_up(token, password="yet another password").status_code == 303
    ada.post(f"{USERS}/new", {"name": "Typo", "email": "tipo@example.com", "role": "viewer"})
    assert ada.post(f"{USERS}/{user_of(quick, 'tipo@example.com')['id']}/delete").status_code == 303
    assert [each["email"] for each in quick.get("/api/v1/users")["items"]] == ["ada@example.com", "bo@example.com"]


def test_the_last_administrator_is_told_why_they_stay(quick: Client) -> None:
    ada = make_administrator(quick.service)
    user = user_of(quick, "ada@example.com")

    answer = ada.post(f"{USERS}/{user['id']}", {"name": "Ada", "role": "viewer", "version": str(user["version"])})

    assert answer.status_code == 409
    assert "Make somebody else an administrator first." in answer.text


def test_a_token_is_shown_once_and_revoked_by_the_page(config: Client) -> None:
    ada = make_administrator(config.service)

    token = shown_once(ada.post(f"{TOKENS}/new", {"name": HOSTILE[:80], "scope": "read", "days": "30"}).text)

    (made,) = config.get("/api/v1/tokens")["items"]
    assert made["createdBy"] == "user:ada@example.com"
    assert config.call("GET", MOMENTS, Authorization=f"Bearer {token}").status == 200
    for path in (TOKENS, f"{TOKENS}/{made['id']}"):
        assert token not in ada.get(path).text
        assert "<script>alert" not in ada.get(path).text
    assert ada.post(f"{TOKENS}/{made['id']}/revoke").status_code == 303
    assert config.call("GET", MOMENTS, Authorization=f"Bearer {token}").status == 401
    assert HOSTILE[:8] not in text_of(ada.get(TOKENS).text)
    assert "Revoked" in ada.get(f"{TOKENS}?all=1").text


def test_a_refused_token_keeps_what_was_typed(quick: Client) -> None:
    ada = make_administrator(quick.service)
    assert ada.post(f"{TOKENS}/new", {"name": "CI", "scope": "read", "days": "0"}).status_code == 200

    for changes, status in (({}, 409), ({"name": ""}, 422), ({"scope": "root"}, 422), ({"days": "31"}, 422)):
        answer = ada.post(f"{TOKENS}/new", {"name": "CI", "scope": "read", "days": "365", **changes})
        assert answer.status_code == status
    assert len(quick.get("/api/v1/tokens")["items"]) == 1


def test_the_audit_log_reads_field_by_field(config: Client) -> None:
    ada = make_administrator(config.service, name="Ada <b>")
    shop = config.make_configuration()
    moment = config.make_moment(shop["id"], name="Cart")
    changes = {"name": "<i>Basket", "settings": {"duration": "PT3H"}}
    assert config.call("PATCH", f"{MOMENTS}/{moment['id']}", changes, if_match="*").status == 200
    config.set_status(moment["id"], "running")
    config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}/keys/web", {"enabled": True})

    page = ada.get(AUDIT).text
    told = text_of(page)

    assert "<i>" not in page
    assert "Admin token changed the moment <i>Basket" in told
    assert "Name Cart <i>Basket" in told
    assert re.search(r"\d+ \w+ 3 hours", told)
    assert "Admin token started the moment" in told
    assert "Status draft running" in told
    assert re.search(r"Keys · web pk_\w+ · Enabled no yes", told)
    assert "Ada <b> made the user Ada <b>" in told
    assert "Ada <b> signed in" in told
    assert "Updated at" not in told


@pytest.mark.parametrize("name", ["2026-99-99T99:99:99Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "P1D", "PT"])
@pytest.mark.parametrize("zone", ["America/Anchorage", "Pacific/Kiritimati"])
def test_a_name_that_looks_like_a_time_is_told_in_the_audit_log(quick: Client, name: str, zone: str) -> None:
    ada = make_administrator(quick.service)
    quick.make_configuration(name=name)
    ada.client.set_cookie("moments_zone", zone, domain="127.0.0.1")

    answer = ada.get(AUDIT)

    assert answer.status_code == 200
    assert name in answer.text


def test_the_audit_log_is_filtered_and_paged_by_its_address(config: Client) -> None:
    ada = make_administrator(config.service)
    shop = config.make_configuration()
    for number in range(30):
        config.call("PATCH", f"{CONFIGURATIONS}/{shop['id']}", {"name": f"Shop {number}"}, if_match="*")

    def entries(query: str) -> int:
        return ada.get(f"{AUDIT}{query}").text.count('<li class="card">')

    assert (entries(""), entries("?page=2"), entries("?page=3")) == (25, 8, 0)
    assert entries("?kind=user") == 2
    assert entries("?actor=user:ada@example.com") == 2
    assert entries(f"?resource={shop['id']}&page=2") == 6
    assert entries("?actor=nobody") == 0
    for odd in ("?page=x", "?page=-1", "?page=99999999999", "?kind=x", "?resource=%00", "?actor=" + "x" * 400):
        assert ada.get(f"{AUDIT}{odd}").status_code == 200


def test_who_is_no_administrator_reads_of_moments_and_configurations_alone(config: Client) -> None:
    make_administrator(config.service)
    config.make_configuration()
    config.call("POST", "/api/v1/tokens", {"name": "Secret project", "scope": "read"})
    eve = make_user(config.service, "viewer", "eve@example.com")
    user = user_of(config, "ada@example.com")

    for query in ("", "?kind=user", "?kind=token", f"?resource={user['id']}", "?actor=user:ada@example.com"):
        page = eve.get(f"{AUDIT}{query}").text
        assert "Secret project" not in page
        assert "signed in" not in text_of(page)
        assert 'value="user"' not in page
    assert "made the audit configuration" not in eve.get(AUDIT).text
    assert "made the audience configuration" in text_of(eve.get(AUDIT).text)
    assert 'href="/settings/users"' not in eve.get(ACCOUNT).text


def test_a_new_password_keeps_this_session_and_ends_the_others(config: Client) -> None:
    here = make_administrator(config.service)
    there = Browser(config.service)
    there.sign_in("ada@example.com")
    before = here.client.get_cookie("moments-session-8081", "127.0.0.1")

    answer = here.post(f"{ACCOUNT}/password", {"present": PASSWORD, "password": "quite another one"})

    after = here.client.get_cookie("moments-session-8081", "127.0.0.1")
    assert answer.status_code == 303
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert here.get(ACCOUNT).status_code == 200
    assert there.get(ACCOUNT).status_code == 302
    assert there.sign_in("ada@example.com").status_code == 401
    assert there.sign_in("ada@example.com", "quite another one").status_code == 303


def test_a_password_is_not_changed_by_who_only_has_the_browser(config: Client, clock: ManualClock) -> None:
    ada = make_administrator(config.service)

    def guess(number: int) -> int:
        values = {"present": f"guess number {number}", "password": "quite another one"}
        status: int = ada.post(f"{ACCOUNT}/password", values).status_code
        return status

    statuses = [guess(number) for number in range(6)]

    assert statuses == [422] * 5 + [429]
    clock.advance(SECOND)
    assert ada.post(f"{ACCOUNT}/password", {"present": PASSWORD, "password": "short"}).status_code == 422
    assert ada.post(f"{ACCOUNT}/password", {"present": PASSWORD, "password": "quite another one"}).status_code == 303


def test_sessions_are_listed_and_ended_one_by_one_and_all(config: Client) -> None:
    here = make_administrator(config.service)
    others = [Browser(config.service) for _ in range(3)]
    for other in others:
        other.sign_in("ada@example.com")
    stranger = make_user(config.service, "viewer", "eve@example.com")

    page = here.get(ACCOUNT).text
    assert page.count("Firefox on Linux") == 4
    path = re.findall(r'action="(/settings/account/sessions/[\w-]+/end)"', page)[0]
    assert stranger.post(path).status_code == 404
    assert here.post(path).status_code == 303
    assert sorted(other.get(ACCOUNT).status_code for other in others) == [200, 200, 302]
    assert here.post(f"{ACCOUNT}/sessions/end").status_code == 303
    assert {other.get(ACCOUNT).status_code for other in others} == {302}
    assert here.get(ACCOUNT).status_code == 200
    assert stranger.get(ACCOUNT).status_code == 200


def test_name_time_zone_and_colours_are_kept(quick: Client) -> None:
    ada = make_administrator(quick.service)

    answer = ada.post(ACCOUNT, {"name": "Ada L.", "zone": "Europe/Berlin", "scheme": "dark"})

    assert answer.status_code == 303
    page = ada.get(ACCOUNT).text
    assert 'data-scheme="dark"' in page
    assert "<option selected>Europe/Berlin</option>" in page
    assert "Ada L." in page
    assert "CEST" in page
    assert ada.post(ACCOUNT, {"name": "Ada", "zone": "../../etc/passwd", "scheme": "x"}).status_code == 422
    assert ada.post(ACCOUNT, {"name": "Ada", "zone": "", "scheme": "auto"}).status_code == 303
    assert 'data-scheme="auto"' in ada.get(ACCOUNT).text


def test_the_settings_open_where_a_person_has_something_to_set(quick: Client) -> None:
    ada = make_administrator(quick.service)
    eve = make_user(quick.service, "viewer", "eve@example.com")

    assert ada.get("/settings").headers["Location"] == USERS
    assert eve.get("/settings").headers["Location"] == ACCOUNT


def test_a_nul_wherever_it_stands_is_no_error_of_the_service(config: Client) -> None:
    ada = make_administrator(config.service)
    moment = config.make_moment(config.make_configuration()["id"])["id"]

    asked = (
        "/moments?search=%00&configuration=%00",
        "/moments?done=moment_running&of=%00",
        "/configurations?search=a%00",
    )
    asked += (f"/moments/bulk?to=archived&id=%00&id={moment}", f"{AUDIT}?resource=%00", "/signals?configurationId=%00")
    sent = (
        ("/moments/bulk", {"to": "archived", "item": "\0@1"}),
        (f"/moments/{moment}", {"version": "1", "audience_configuration_id": "\0", "name": "\0"}),
        ("/moments/new/cart_abandon", {"configuration": "\0", "name": "\0", "token": "\0"}),
        (f"{USERS}/new", {"name": "\0", "email": "a\0@example.com", "role": "viewer"}),
        ("/sign-in", {"email": "a\0@example.com", "password": "\0"}),
    )

    assert [path for path in asked if ada.get(path).status_code >= 500] == []
    assert [path for path, values in sent if ada.post(path, values).status_code >= 500] == []
