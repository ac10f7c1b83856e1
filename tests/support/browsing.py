"""A browser in front of a config service in this process: cookies, forms and the headers that browsers send."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient

from services.config.access.passwords import Passwords
from services.config.access.resources import Role
from services.config.wiring import Config

QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
"""Hashes as the real ones do, without their cost."""

PASSWORD = "four words in a row"
LOCAL = "http://127.0.0.1:8081"


@dataclass(slots=True)
class Browser:
    """One browser, with cookies of its own. `base`: where it believes the app to be."""

    service: Config
    base: str = LOCAL
    address: str = "192.0.2.7"
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.service.app.test_client()

    def get(self, path: str, **headers: str) -> Any:
        """A page, as following a link or a script asks for it."""
        return self.call("GET", path, None, **headers)

    def post(self, path: str, values: dict[str, str] | None = None, **headers: str) -> Any:
        """Send a form of this app: from its origin, with its token."""
        return self.call("POST", path, {"csrf": self.token(), **(values or {})}, **headers)

    def call(self, method: str, path: str, values: dict[str, str] | None, **headers: str) -> Any:
        """One request; `X_Requested_With="fragment"` and the like become headers, an empty one is left out."""
        sent = {"Accept": "text/html,*/*;q=0.8", "User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"}
        if method not in ("GET", "HEAD"):
            sent["Sec-Fetch-Site"] = "same-origin"
            sent["Origin"] = self.base
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(
            path,
            method=method,
            data=values,
            headers={name: value for name, value in sent.items() if value},
            base_url=self.base,
            environ_overrides={"REMOTE_ADDR": self.address},
        )

    def token(self) -> str:
        """The text against forgery of the form that this browser sees now."""
        answer = self.get("/settings/account")
        if answer.status_code != 200:
            answer = self.get("/sign-in")
        found = re.search(r'name="csrf" (?:value|content)="([^"]+)"', answer.text)
        assert found, answer.text
        return unescape(found[1])

    def sign_in(self, email: str, password: str = PASSWORD, **values: str) -> Any:
        """Fill in the sign-in form."""
        return self.post("/sign-in", {"email": email, "password": password, **values})

    def take_up(self, token: str, *, password: str = PASSWORD, **values: str) -> Any:
        """Fill in the form of a link."""
        return self.post(f"/welcome/{token}", {"password": password, **values})


def make_administrator(service: Config, email: str = "ada@example.com", name: str = "Ada") -> Browser:
    """The browser of the first administrator, who has just come in."""
    token = service.access.people.first_link()
    assert token is not None
    browser = Browser(service)
    answer = browser.take_up(token, name=name, email=email)
    assert answer.status_code == 303, answer.text
    return browser


def make_user(service: Config, role: Role, email: str, name: str = "") -> Browser:
    """The browser of somebody who was invited and has just come in."""
    _, token = service.access.people.invite(name=name or email.partition("@")[0], email=email, role=role)
    browser = Browser(service)
    answer = browser.take_up(token, name=name or email.partition("@")[0])
    assert answer.status_code == 303, answer.text
    return browser
