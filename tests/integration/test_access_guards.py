"""Guards over every page: who may see it, what it must carry against forgery, and its headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from werkzeug.routing import AnyConverter, BaseConverter, UUIDConverter

from services.config.access.resources import ROLES, Role
from services.config.access.viewer import needed_role, why_public
from services.config.ui.assets import version
from shared.clock import ManualClock
from tests.support.browsing import LOCAL, PASSWORD, Browser, make_administrator, make_user
from tests.support.configuring import Client, running_config

NOTHING = UUID(int=0)
ACCOUNT = "/settings/account"
SAFE = {"GET", "HEAD", "OPTIONS"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service for all guards; the clock stands."""
    clock = ManualClock(1_790_000_000_000_000)
    with running_config(tmp_path_factory.mktemp("config"), clock=clock, start=False) as client:
        yield client


@pytest.fixture(scope="module")
def administrator(config: Client) -> Browser:
    """The first one."""
    return make_administrator(config.service)


@pytest.fixture(scope="module")
def browsers(config: Client, administrator: Browser) -> dict[str, Browser]:
    """A browser of each role, and one of nobody."""
    people: dict[str, Browser] = {"nobody": Browser(config.service), "admin": administrator}
    for role in ("viewer", "editor"):
        people[role] = make_user(config.service, role, f"{role}@example.com")
    return people


def argument(converter: BaseConverter) -> Any:
    """Something that fits a part of a path, and names nothing."""
    if isinstance(converter, AnyConverter):
        return sorted(converter.items)[0]
    return NOTHING if isinstance(converter, UUIDConverter) else "1"


def pages(config: Client) -> Iterator[tuple[str, str, Any]]:
    """Path, method and view of every page that is not public; ids in paths are of nothing."""
    app = config.service.app
    names = {page.name for page in app.extensions["moments-pages"].blueprints}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if rule.endpoint.partition(".")[0] not in names or why_public(view):
            continue
        arguments = {name: argument(converter) for name, converter in rule._converters.items()}
        path = app.url_map.bind("x").build(rule.endpoint, arguments)
        for method in sorted(rule.methods or ()):
            yield path, method, view


def test_each_page_is_shown_to_its_roles_and_to_nobody_else(config: Client, browsers: dict[str, Browser]) -> None:
    looked_at = 0
    for path, method, view in pages(config):
        needed = needed_role(view)
        assert needed is not None, path
        for role, browser in browsers.items():
            if method == "OPTIONS" or path == "/sign-out":
                continue
            values = None if method in SAFE else {"csrf": browser.token()}
            status = browser.call(method, path, values).status_code
            if role == "nobody":
                assert status == (302 if method in SAFE else 401), (path, method)
            elif ROLES.index(role) < ROLES.index(needed):  # type: ignore[arg-type]
                assert status == 403, (path, method, role)
            else:
                assert status not in (401, 403), (path, method, role)
            looked_at += 1
    assert looked_at


def test_no_page_takes_a_change_without_the_text_of_its_own_form(config: Client, administrator: Browser) -> None:
    looked_at = 0
    paths = [(path, method) for path, method, _ in pages(config) if method not in SAFE]
    for path, method in [*paths, ("/sign-in", "POST"), ("/welcome/x", "POST")]:
        for values in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}):
            assert administrator.call(method, path, values).status_code == 403, path
        looked_at += 1
    assert looked_at > 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": ""},
        {"Sec_Fetch_Site": "", "Origin": "http://127.0.0.1:9999"},
        {"Sec_Fetch_Site": "", "Origin": "https://127.0.0.1:8081"},
        {"Sec_Fetch_Site": "", "Origin": "http://127.0.0.1:8081.evil.example"},
    ],
)
def test_another_site_changes_nothing_even_with_the_text(
    config: Client, administrator: Browser, headers: dict[str, str]
) -> None:
    token = administrator.token()

    assert administrator.call("POST", "/sign-out", {"csrf": token}, **headers).status_code == 403
    stranger = Browser(config.service)
    values = {"csrf": stranger.token(), "email": "ada@example.com", "password": "x"}
    assert stranger.call("POST", "/sign-in", values, **headers).status_code == 403
    assert administrator.get(ACCOUNT).status_code == 200


def test_an_old_browser_is_believed_by_its_origin(config: Client, administrator: Browser) -> None:
    values = {"csrf": administrator.token(), "email": "ada@example.com", "password": "wrong wrong"}

    assert administrator.call("POST", "/sign-in", values, Sec_Fetch_Site="").status_code == 401


def test_a_text_is_good_for_one_person_in_one_browser(config: Client, administrator: Browser) -> None:
    eve = make_user(config.service, "viewer", "eve@example.com")

    taken = [eve.token(), Browser(config.service).token(), administrator.token()[::-1]]

    assert [administrator.call("POST", "/sign-out", {"csrf": each}).status_code for each in taken] == [403, 403, 403]


def test_a_text_from_before_the_sign_in_is_good_for_public_forms_alone(config: Client) -> None:
    browser = make_user(config.service, "viewer", "early@example.com")
    browser.post("/sign-out")
    early = browser.token()
    browser.sign_in("early@example.com")

    assert browser.call("POST", ACCOUNT, {"csrf": early, "name": "X", "zone": ""}).status_code == 403
    values = {"csrf": early, "email": "early@example.com", "password": PASSWORD}
    assert browser.call("POST", "/sign-in", values).status_code == 303


def test_a_script_sends_the_text_in_a_header(config: Client) -> None:
    eve = make_user(config.service, "viewer", "script@example.com")
    token = eve.token()

    assert eve.call("POST", "/sign-out", {}, X_CSRF_Token="wrong").status_code == 403
    assert eve.call("POST", "/sign-out", {}, X_CSRF_Token=token).status_code == 302


@pytest.mark.parametrize("path", ["/sign-in", ACCOUNT, "/welcome/x", "/nowhere"])
def test_every_page_and_every_fault_tells_the_browser_what_it_may_do(administrator: Browser, path: str) -> None:
    answer = administrator.get(path)

    policy = answer.headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.content_type == "text/html; charset=utf-8" or answer.status_code == 302


def test_faults_of_the_api_stay_documents(config: Client, administrator: Browser) -> None:
    for path, status in (("/api/v1/moments", 401), ("/api/v1/nothing", 404)):
        answer = administrator.get(path)
        assert answer.status_code == status
        assert answer.content_type == "application/problem+json"
        assert "Content-Security-Policy" not in answer.headers
    assert config.call("GET", "/nowhere").headers["Content-Type"] == "application/problem+json"


def test_a_session_is_no_token_and_a_token_is_no_session(config: Client, administrator: Browser) -> None:
    assert administrator.get("/api/v1/users").status_code == 401
    assert Browser(config.service).get(ACCOUNT, Authorization=f"Bearer {config.token}").status_code == 302


def test_an_error_of_a_page_is_a_page_and_one_of_the_fault_page_is_told_too(
    config: Client, administrator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(config.service.access.people, "sign_out", broken, raising=True)
    answer = administrator.post("/sign-out")
    assert (answer.status_code, answer.content_type) == (500, "text/html; charset=utf-8")
    assert "broken" not in answer.text

    pages = config.service.app.extensions["moments-pages"]
    monkeypatch.setitem(config.service.app.extensions, "moments-pages", type(pages)(pages.blueprints, broken))
    assert administrator.get("/nowhere").content_type == "text/plain; charset=utf-8"


def test_a_page_that_declares_nobody_is_shown_to_nobody(config: Client, administrator: Browser) -> None:
    view = config.service.app.view_functions["account_pages.account"]
    role: Role = "viewer"
    assert needed_role(view) == role
    del view._needs_role  # type: ignore[attr-defined]
    try:
        assert administrator.get(ACCOUNT).status_code == 403
    finally:
        view._needs_role = role  # type: ignore[attr-defined]


def test_headers_of_a_proxy_are_believed_only_when_there_is_one(tmp_path: Path) -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "moments.example.com"}
    for proxies, name in (("0", "moments-browser-8081"), ("1", "__Host-moments-browser")):
        with running_config(tmp_path / proxies, start=False, MOMENTS_TRUSTED_PROXIES=proxies) as client:
            answer = Browser(client.service, base=LOCAL).get("/sign-in", **forwarded)
            assert answer.headers["Set-Cookie"].startswith(name)


def test_the_audit_log_names_who_acted_and_the_resource_who_changed_it(config: Client, browsers: object) -> None:
    made = config.make_configuration(name="By token")
    entries = config.get(f"/api/v1/audit?resourceId={made['id']}")["items"]

    assert made["updatedBy"] == entries[0]["actor"] == "admin token"
    signed_in = [each for each in config.get("/api/v1/audit?pageSize=200")["items"] if each["action"] == "sign in"]
    assert {"user:ada@example.com", "user:viewer@example.com"} <= {each["actor"] for each in signed_in}
    log = str(config.get("/api/v1/audit?pageSize=200"))
    assert "argon2" not in log
    assert "assword_hash" not in log


def test_a_file_has_one_name_so_that_nobody_fills_the_memory_with_others(config: Client) -> None:
    folder = f"/assets/{version()}"
    browser = Browser(config.service)

    assert browser.get(f"{folder}/js/app.js", Accept_Encoding="gzip").status_code == 200
    for other in ("js/./app.js", "js/../js/app.js", "./app.css", "css/%2e/parts.css", "js/app.js/", "../assets.py"):
        assert browser.get(f"{folder}/{other}", Accept_Encoding="gzip").status_code == 404
