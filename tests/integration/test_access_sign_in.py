"""Coming in and going out, over the real application: links, passwords, cookies, sessions, pauses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.clock import ManualClock
from tests.support.browsing import LOCAL, PASSWORD, Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config

NOON = 1_790_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
ACCOUNT = "/settings/account"


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


def is_in(browser: Browser) -> bool:
    """Whether the browser is signed in."""
    return bool(browser.get(ACCOUNT).status_code == 200)


def cookies_of(answer: Any) -> dict[str, str]:
    """Name → the whole header of each cookie that an answer sets."""
    return {header.partition("=")[0]: header for header in answer.headers.getlist("Set-Cookie")}


def test_the_first_link_makes_one_administrator_and_then_nothing(config: Client) -> None:
    token = config.service.access.people.first_link()
    assert token is not None
    first, second = Browser(config.service), Browser(config.service)

    answer = first.take_up(token, name="Ada", email="Ada@Example.com")

    assert answer.status_code == 303
    assert is_in(first)
    assert second.get(f"/welcome/{token}").status_code == 404
    assert config.service.access.people.first_link() is None
    (user,) = config.get("/api/v1/users")["items"]
    assert (user["email"], user["role"], user["status"]) == ("Ada@Example.com", "admin", "active")


def test_two_clicks_on_first_links_at_once_make_one_administrator(config: Client) -> None:
    people = config.service.access.people
    tokens = [people.first_link() for _ in range(4)]
    browsers = [Browser(config.service) for _ in tokens]
    start = threading.Barrier(len(tokens))
    statuses: list[int] = []

    def click(browser: Browser, token: str | None, number: int) -> None:
        values = {"csrf": browser.token(), "name": "A", "email": f"a{number}@example.com", "password": PASSWORD}
        start.wait(60)
        statuses.append(browser.call("POST", f"/welcome/{token}", values).status_code)

    threads = [
        threading.Thread(target=click, args=(browser, token, number))
        for number, (browser, token) in enumerate(zip(browsers, tokens, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(statuses) == [303, 404, 404, 404]
    assert len(config.get("/api/v1/users")["items"]) == 1


def test_a_first_link_stops_working_after_a_day_and_another_is_made(quick: Client, clock: ManualClock) -> None:
    token = quick.service.access.people.first_link()
    clock.advance(24 * HOUR)

    assert Browser(quick.service).get(f"/welcome/{token}").status_code == 404
    assert make_administrator(quick.service)


def test_a_wrong_form_does_not_use_a_link_up(quick: Client) -> None:
    token = quick.service.access.people.first_link()
    assert token is not None
    browser = Browser(quick.service)

    for password in ("short", "aaaaaaaaaaaaaaaa", "Password123", "ada@example.com"):
        answer = browser.take_up(token, name="Ada", email="ada@example.com", password=password)
        assert answer.status_code == 422
        assert "Ada" in answer.text
        assert f'value="{password}"' not in answer.text or password == "ada@example.com"
    for email in ("ada", "@example.com", "a b@example.com", ""):
        assert browser.take_up(token, name="Ada", email=email).status_code == 422

    assert browser.take_up(token, name="Ada", email="ada@example.com").status_code == 303


def test_who_is_invited_sets_a_name_and_a_password_and_signs_in_without_regard_to_case(config: Client) -> None:
    make_administrator(config.service)
    make_user(config.service, "viewer", "Zoë@Example.COM", "Zoë")
    browser = Browser(config.service)

    answer = browser.sign_in(" zoë@example.com ")

    assert answer.status_code == 303
    assert is_in(browser)


def test_nobody_is_invited_twice(config: Client) -> None:
    invitation = {"name": "Bo", "email": "bo@example.com", "role": "editor"}

    assert config.call("POST", "/api/v1/users", invitation).status == 201
    assert config.call("POST", "/api/v1/users", {**invitation, "email": "BO@example.com"}).status == 409


def test_a_wrong_password_an_unknown_address_and_a_disabled_user_are_told_alike(quick: Client) -> None:
    make_administrator(quick.service)
    gone = make_user(quick.service, "viewer", "gone@example.com")
    quick.service.access.people.invite(name="New", email="new@example.com", role="viewer")
    (user,) = (each for each in quick.get("/api/v1/users")["items"] if each["email"] == "gone@example.com")
    path = f"/api/v1/users/{user['id']}"
    assert quick.call("PATCH", path, {"disabled": True}, if_match="*").status == 200

    told = set()
    for number, (email, password) in enumerate(
        [
            ("ada@example.com", "wrong wrong wrong"),
            *((f"{name}@example.com", PASSWORD) for name in ("no", "gone", "new")),
        ]
    ):
        browser = Browser(quick.service, address=f"192.0.2.{number}")
        answer = browser.sign_in(email, password)
        assert answer.status_code == 401
        told.add(answer.text.replace(email, "").replace(browser.token(), ""))

    assert len(told) == 1
    assert not is_in(gone)


def test_a_session_gets_a_token_of_its_own_at_every_sign_in(quick: Client) -> None:
    browser = make_administrator(quick.service)
    first = browser.client.get_cookie("moments-session-8081", "127.0.0.1")
    assert first is not None
    browser.client.set_cookie("moments-session-8081", "planted-by-somebody-else", domain="127.0.0.1")
    assert not is_in(browser)

    browser.sign_in("ada@example.com")

    second = browser.client.get_cookie("moments-session-8081", "127.0.0.1")
    assert second is not None
    assert len({first.value, second.value, "planted-by-somebody-else"}) == 3
    assert is_in(browser)


def test_signing_in_as_somebody_else_ends_the_session_that_the_browser_had(config: Client) -> None:
    browser = make_administrator(config.service)
    make_user(config.service, "viewer", "eve@example.com")
    former = browser.client.get_cookie("moments-session-8081", "127.0.0.1")
    assert former is not None

    assert browser.sign_in("eve@example.com").status_code == 303

    assert "eve@example.com" in browser.get(ACCOUNT).text
    thief = Browser(config.service)
    thief.client.set_cookie("moments-session-8081", former.value, domain="127.0.0.1")
    assert not is_in(thief)


def test_cookies_on_plain_localhost_are_out_of_reach_of_scripts_and_other_sites(quick: Client) -> None:
    make_administrator(quick.service)
    for base in (LOCAL, "http://localhost:8081", "http://[::1]:8081"):
        browser = Browser(quick.service, base=base)
        cookies = cookies_of(browser.sign_in("ada@example.com"))

        header = cookies["moments-session-8081"]
        assert all(part in header for part in ("HttpOnly", "SameSite=Lax", "Path=/"))
        assert "Secure" not in header
        assert "Domain" not in header


@pytest.mark.parametrize(
    "base", ["https://moments.example.com", "http://moments.example.com", "https://localhost:8443"]
)
def test_cookies_anywhere_else_are_secure_and_bound_to_the_host(quick: Client, base: str) -> None:
    make_administrator(quick.service)
    browser = Browser(quick.service, base=base)

    values = {"csrf": "", "email": "ada@example.com", "password": PASSWORD}
    form = browser.get("/sign-in")
    for name, header in cookies_of(form).items():
        assert name.startswith("__Host-")
        assert all(part in header for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Secure"))
    assert ("without encryption" in form.text) is base.startswith("http:")
    if base.startswith("https:"):
        answer = browser.sign_in(values["email"])
        assert "Secure" in cookies_of(answer)["__Host-moments-session"]
        assert is_in(browser)


def test_a_session_ends_a_day_after_its_latest_use(config: Client, clock: ManualClock) -> None:
    browser = make_administrator(config.service)
    for _ in range(3):
        clock.advance(23 * HOUR)
        assert is_in(browser)

    clock.advance(24 * HOUR)

    assert not is_in(browser)
    config.service.access.forget()
    clock.advance(-2 * HOUR)
    assert not is_in(browser)


def test_a_session_ends_two_weeks_after_the_sign_in_however_it_is_used(quick: Client, clock: ManualClock) -> None:
    browser = make_administrator(quick.service)
    for _ in range(14):
        assert is_in(browser)
        clock.advance(23 * HOUR)
    assert is_in(browser)

    clock.advance(14 * HOUR)

    assert not is_in(browser)


def test_signing_out_ends_this_session_alone(config: Client) -> None:
    here = make_administrator(config.service)
    there = Browser(config.service)
    there.sign_in("ada@example.com")
    stolen = here.client.get_cookie("moments-session-8081", "127.0.0.1")
    assert stolen is not None

    answer = here.post("/sign-out")

    assert answer.status_code == 302
    assert not is_in(here)
    here.client.set_cookie("moments-session-8081", stolen.value, domain="127.0.0.1")
    assert not is_in(here)
    assert is_in(there)


@pytest.mark.parametrize("changes", [{"disabled": True}, {"role": "admin"}, {"role": "viewer"}])
def test_another_role_or_disabling_ends_every_session(config: Client, changes: dict[str, Any]) -> None:
    make_administrator(config.service)
    browser = make_user(config.service, "editor", "eve@example.com")
    (user,) = (each for each in config.get("/api/v1/users")["items"] if each["email"] == "eve@example.com")

    assert config.call("PATCH", f"/api/v1/users/{user['id']}", changes, if_match="*").status == 200

    assert not is_in(browser)


def test_a_new_password_by_a_link_ends_every_session_and_every_other_link(config: Client) -> None:
    browser = make_administrator(config.service)
    (user,) = config.get("/api/v1/users")["items"]
    former = config.call("POST", f"/api/v1/users/{user['id']}/link", {}).document["url"].rpartition("/")[2]
    token = config.call("POST", f"/api/v1/users/{user['id']}/link", {}).document["url"].rpartition("/")[2]
    fresh = Browser(config.service)

    assert fresh.take_up(former, password="another good one").status_code == 404
    assert fresh.take_up(token, password="another good one").status_code == 303

    assert is_in(fresh)
    assert not is_in(browser)
    assert browser.sign_in("ada@example.com").status_code == 401
    assert browser.sign_in("ada@example.com", "another good one").status_code == 303


def test_the_last_administrator_stays(config: Client) -> None:
    make_administrator(config.service)
    (ada,) = config.get("/api/v1/users")["items"]
    config.call("POST", "/api/v1/users", {"name": "Not in yet", "email": "b@example.com", "role": "admin"})

    for changes in ({"role": "editor"}, {"disabled": True}):
        assert config.call("PATCH", f"/api/v1/users/{ada['id']}", changes, if_match="*").status == 409

    make_user(config.service, "admin", "second@example.com")
    assert config.call("PATCH", f"/api/v1/users/{ada['id']}", {"role": "viewer"}, if_match="*").status == 200


def test_guessing_one_account_meets_a_growing_pause_from_any_address(config: Client, clock: ManualClock) -> None:
    make_administrator(config.service)
    pauses = []
    for number in range(16):
        browser = Browser(config.service, address=f"198.51.100.{number}")
        answer = browser.sign_in("ada@example.com", f"wrong password {number}")
        while answer.status_code == 429:
            pauses.append(int(answer.headers["Retry-After"]))
            clock.advance(pauses[-1] * SECOND)
            answer = browser.sign_in("ada@example.com", f"wrong password {number}")
        assert answer.status_code == 401

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert Browser(config.service).sign_in("ada@example.com").status_code == 429
    clock.advance(300 * SECOND)
    assert Browser(config.service).sign_in("ada@example.com").status_code == 303


def test_one_address_meets_a_pause_whomever_it_tries(config: Client, clock: ManualClock) -> None:
    make_administrator(config.service)
    browser = Browser(config.service, address="2001:db8::1")
    neighbour = Browser(config.service, address="2001:db8::2")
    statuses = [browser.sign_in(f"user{number}@example.com").status_code for number in range(21)]

    assert statuses == [401] * 20 + [429]
    assert neighbour.sign_in("ada@example.com").status_code == 429
    assert Browser(config.service, address="2001:db8:0:1::1").sign_in("ada@example.com").status_code == 303
    clock.advance(SECOND)
    assert neighbour.sign_in("ada@example.com").status_code == 303


def test_many_guesses_at_once_get_no_more_tries(config: Client) -> None:
    make_administrator(config.service)
    statuses: list[int] = []
    browsers = [Browser(config.service, address=f"203.0.113.{number}") for number in range(12)]
    tokens = [browser.token() for browser in browsers]

    def guess(browser: Browser, token: str) -> None:
        values = {"csrf": token, "email": "ada@example.com", "password": "wrong wrong"}
        statuses.append(browser.call("POST", "/sign-in", values).status_code)

    threads = [threading.Thread(target=guess, args=pair) for pair in zip(browsers, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(statuses) == [401] * 5 + [429] * 7


def test_a_right_password_lets_an_account_start_anew(quick: Client) -> None:
    make_administrator(quick.service)
    for _ in range(3):
        for _ in range(4):
            assert Browser(quick.service).sign_in("ada@example.com", "wrong wrong").status_code == 401
        assert Browser(quick.service, address="192.0.2.9").sign_in("ada@example.com").status_code == 303


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/moments?status=running&page=2", "/moments?status=running&page=2"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("moments", "/"),
        ("/%2f/evil.example", "/%2f/evil.example"),
    ],
)
def test_a_sign_in_leads_back_to_this_app_and_nowhere_else(quick: Client, asked: str, led_to: str) -> None:
    make_administrator(quick.service)
    browser = Browser(quick.service)

    assert browser.sign_in("ada@example.com", next=asked).headers["Location"] == led_to


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(quick: Client) -> None:
    browser = Browser(quick.service)

    answer = browser.get(f"{ACCOUNT}?tab=2")

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/sign-in?next=/settings/account?tab%3D2"


def test_a_script_and_a_filled_in_form_are_told_that_the_session_has_ended(quick: Client) -> None:
    browser = make_administrator(quick.service)
    token = browser.token()
    other = Browser(quick.service)

    fragment = other.get(ACCOUNT, X_Requested_With="fragment")
    form = other.call("POST", "/sign-out", {"csrf": token})

    assert (fragment.status_code, form.status_code) == (401, 401)
    assert "<html" not in fragment.text
    assert "Sign in in another tab" in form.text
    assert "WWW-Authenticate" not in form.headers


def test_a_form_that_was_open_while_a_session_ended_can_be_sent_after_signing_in_again(
    quick: Client, clock: ManualClock
) -> None:
    browser = make_administrator(quick.service)
    token = browser.token()
    clock.advance(25 * HOUR)
    assert browser.call("POST", "/sign-out", {"csrf": token}).status_code == 401

    browser.sign_in("ada@example.com")

    assert browser.call("POST", "/sign-out", {"csrf": token}).status_code == 302
