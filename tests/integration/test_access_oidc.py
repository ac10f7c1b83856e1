"""Signing in by an identity provider that is really asked: who comes in, with which role, and what is not believed."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from services.config.access.oidc import IdentityProvider as OidcClient
from services.config.access.oidc import ProviderAway
from shared.clock import ManualClock
from shared.settings import InvalidSetting, OidcSettings, Settings
from tests.support.browsing import Browser, make_administrator
from tests.support.configuring import Client, running_config
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, new_key, running_provider
from tests.support.serving import served

NOON = 1_790_000_000_000_000
SECOND = 1_000_000
BACK = "/sign-in/provider/back"
ACCOUNT = "/settings/account"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Redirects are looked at, not followed."""


def location(url: str) -> str:
    """Where the provider sends the browser."""
    try:
        urllib.request.build_opener(_Stay).open(url, timeout=10)
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["Location"])
    raise AssertionError(f"{url} did not lead anywhere")


@dataclass
class Place:
    """A config service and its identity provider."""

    config: Client
    provider: IdentityProvider
    clock: ManualClock

    def leave(self, browser: Browser, query: str = "") -> str:
        """Press the button; where the provider then sends the browser."""
        answer = browser.get(f"/sign-in/provider{query}")
        assert answer.status_code == 303, answer.text
        parts = urlsplit(location(answer.headers["Location"]))
        assert parts.path == BACK
        return f"{parts.path}?{parts.query}"

    def come_in(self, browser: Browser, query: str = "", **person: Any) -> Any:
        """The whole way, as this person; the app's last answer."""
        self.provider.person |= person
        return browser.get(self.leave(browser, query))

    def users(self) -> list[tuple[str, str]]:
        """E-mail address and role of everybody."""
        return [(each["email"], each["role"]) for each in self.config.get("/api/v1/users")["items"]]


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Parametrized indirectly by further settings."""
    clock = ManualClock(NOON)
    with running_provider(clock) as provider:
        variables = {
            "MOMENTS_OIDC_ISSUER": provider.issuer,
            "MOMENTS_OIDC_CLIENT_ID": CLIENT_ID,
            "MOMENTS_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            **getattr(request, "param", {}),
        }
        with running_config(tmp_path, clock=clock, start=False, **variables) as config:
            yield Place(config, provider, clock)


def test_somebody_new_comes_in_with_the_default_role_and_back_to_where_they_wanted(place: Place) -> None:
    browser = Browser(place.config.service)
    assert "Sign in with your organisation" in browser.get("/sign-in").text

    answer = place.come_in(browser, "?next=/settings/audit%3Fpage=2")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/settings/audit?page=2"
    assert browser.get(ACCOUNT).status_code == 200
    assert place.users() == [("ada@example.com", "viewer")]
    assert Browser(place.config.service).sign_in("ada@example.com").status_code == 401
    log = place.config.get("/api/v1/audit?kind=user")["items"]
    assert {each["actor"] for each in log} == {"user:ada@example.com"}
    assert place.config.service.access.people.first_link() is not None


def test_the_same_person_is_found_again_under_another_address(place: Place) -> None:
    place.come_in(Browser(place.config.service))

    place.come_in(Browser(place.config.service), email="countess@example.com")

    assert place.users() == [("ada@example.com", "viewer")]


def test_a_user_is_linked_by_a_verified_address_and_by_no_other(place: Place) -> None:
    make_administrator(place.config.service, "Ada@example.com")

    refused = [
        place.come_in(Browser(place.config.service), email_verified=wrong).status_code
        for wrong in (False, None, "true")
    ]
    taken = place.come_in(Browser(place.config.service), email_verified=True)
    other = place.come_in(Browser(place.config.service), sub="p-2")

    assert refused == [403, 403, 403]
    assert taken.status_code == 303
    assert other.status_code == 403
    assert place.users() == [("Ada@example.com", "admin")]


def test_who_is_disabled_stays_out(place: Place) -> None:
    browser = Browser(place.config.service)
    place.come_in(browser)
    (user,) = place.config.get("/api/v1/users")["items"]
    place.config.call("PATCH", f"/api/v1/users/{user['id']}", {"disabled": True}, if_match="*")

    assert place.come_in(browser).status_code == 403
    assert browser.get(ACCOUNT).status_code == 302


@pytest.mark.parametrize(
    "place", [{"MOMENTS_OIDC_ROLE_CLAIM": "realm_access.roles", "MOMENTS_OIDC_DEFAULT_ROLE": "none"}], indirect=True
)
def test_a_claim_tells_the_role_at_each_sign_in(place: Place) -> None:
    browser, other = Browser(place.config.service), Browser(place.config.service)
    for nothing in (None, {}, {"roles": []}, {"roles": ["root"]}, "admin", {"roles": {"admin": 1}}):
        assert place.come_in(browser, realm_access=nothing).status_code == 403
    assert place.users() == []

    place.come_in(browser, realm_access={"roles": ["offline", "viewer", "editor"]})
    assert place.users() == [("ada@example.com", "editor")]
    place.come_in(other, realm_access={"roles": "viewer"})

    assert place.users() == [("ada@example.com", "viewer")]
    assert browser.get(ACCOUNT).status_code == 302
    place.come_in(other, realm_access={"roles": ["admin"]})
    place.come_in(other, realm_access={"roles": ["viewer"]})
    assert place.users() == [("ada@example.com", "admin")]  # the last one stays


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-app"},
        {"aud": None},
        {"iss": "http://127.0.0.1:1"},
        {"exp": NOON // SECOND - 61},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"azp": "another-app"},
    ],
)
def test_a_token_with_a_wrong_claim_is_not_believed(place: Place, changes: dict[str, Any]) -> None:
    place.provider.changes = changes
    browser = Browser(place.config.service)

    answer = place.come_in(browser)

    assert answer.status_code == 401
    assert browser.get(ACCOUNT).status_code == 302
    assert place.users() == []


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_the_provider_did_not_sign_is_not_believed(place: Place, algorithm: str) -> None:
    place.provider.algorithm = algorithm
    assert place.come_in(Browser(place.config.service)).status_code == 401

    place.provider.algorithm, place.provider.signing_key = "RS256", new_key("k1")
    assert place.come_in(Browser(place.config.service)).status_code == 401
    assert place.users() == []


def test_keys_are_remembered_and_asked_for_anew_when_the_provider_has_others(place: Place) -> None:
    for _ in range(3):
        assert place.come_in(Browser(place.config.service)).status_code == 303
    assert place.provider.asked_keys == 1

    place.provider.rotate()

    assert place.come_in(Browser(place.config.service)).status_code == 303
    assert place.provider.asked_keys == 2


def test_the_way_back_is_for_the_browser_that_left_once_and_soon(place: Place) -> None:
    browser, other = Browser(place.config.service), Browser(place.config.service)
    back = place.leave(browser)
    place.leave(other)

    assert other.get(back).status_code == 401
    assert browser.get(back.replace("state=", "state=x")).status_code == 401
    assert browser.get(BACK).status_code == 401
    assert (
        browser.get(f"{BACK}?error=access_denied&state={parse_qs(urlsplit(back).query)['state'][0]}").status_code == 401
    )
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 401
    late = place.leave(browser)
    place.clock.advance(600 * SECOND)
    assert browser.get(late).status_code == 401


def test_a_cookie_that_was_made_up_is_not_opened(place: Place) -> None:
    browser = Browser(place.config.service)
    for value in ("", "x", "7b7d.00", "é.é", "zz." + "0" * 64):
        browser.client.set_cookie("moments-provider-8081", value, domain="127.0.0.1")
        assert browser.get(f"{BACK}?state=&code=x").status_code == 401


def test_a_provider_that_is_away_or_another_is_told_and_passwords_go_on(place: Place) -> None:
    make_administrator(place.config.service)
    right = place.provider.issuer
    place.provider.issuer = "http://127.0.0.1:1"

    answer = Browser(place.config.service).get("/sign-in/provider")

    assert answer.status_code == 503
    assert answer.content_type.startswith("text/html")
    assert Browser(place.config.service).sign_in("ada@example.com").status_code == 303
    place.provider.issuer = right
    assert Browser(place.config.service).get("/sign-in/provider").status_code == 303


def test_a_provider_that_fails_is_left_alone_for_some_seconds() -> None:
    clock, failing = ManualClock(NOON), Flask("failing")
    asked: list[int] = []

    @failing.get("/.well-known/openid-configuration")
    def describe() -> tuple[str, int]:
        asked.append(clock.now())
        return "", 500

    def begin() -> None:
        with pytest.raises(ProviderAway):
            client.begin("https://moments.example.com/sign-in/provider/back")

    with served(failing) as port:
        client = OidcClient(
            OidcSettings(
                issuer=f"http://127.0.0.1:{port}",
                client_id=CLIENT_ID,
                client_secret="",
                role_claim="",
                default_role=None,
                button="",
            ),
            clock,
        )
        for _ in range(3):
            begin()
        clock.advance(6 * SECOND)
        begin()

    assert asked == [NOON, NOON + 6 * SECOND]


def test_without_a_provider_there_is_no_button_no_way_and_no_authlib(tmp_path: Path) -> None:
    with running_config(tmp_path, start=False) as config:
        browser = Browser(config.service)
        assert "organisation" not in browser.get("/sign-in").text
        assert browser.get("/sign-in/provider").status_code == 404
    code = "import sys, services.config.wiring; sys.exit(any(name in sys.modules for name in ('authlib', 'joserfc')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "variables",
    [
        {"MOMENTS_OIDC_ISSUER": "http://idp.example.com", "MOMENTS_OIDC_CLIENT_ID": "x"},
        {"MOMENTS_OIDC_ISSUER": "https://idp.example.com"},
        {"MOMENTS_OIDC_ISSUER": "idp", "MOMENTS_OIDC_CLIENT_ID": "x"},
        {"MOMENTS_OIDC_DEFAULT_ROLE": "root"},
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting):
        Settings.from_environment({"MOMENTS_DATA": str(tmp_path), **variables})
