"""Bearer tokens at the door of an API: who is let in, with which scope, until when."""

from __future__ import annotations

import pytest
from flask import Flask

from contracts.tokens import SCOPES, Scope
from shared.bearer import ApiToken, Bearers, token_hash
from shared.clock import ManualClock
from shared.http import NotAllowed, NotAuthenticated

PEPPER = b"pepper"
ADMIN = "the-admin-token-of-all"
NOON = 1_790_000_000_000_000


def bearers(scope: Scope = "read", expires_at: int | None = None) -> Bearers:
    """A door that knows one token, `mat_known`."""
    known = {token_hash(PEPPER, "mat_known"): ApiToken(id="t", name="T", scope=scope, expires_at=expires_at)}
    return Bearers(
        admin_token=ADMIN,
        pepper=PEPPER,
        clock=ManualClock(NOON),
        find=known.get,
        scopes={"/users": "admin"},
        harmless=("/preview",),
    )


def admit(door: Bearers, token: str, method: str = "GET", path: str = "/things") -> ApiToken | None:
    """What the door says of a request."""
    app = Flask("door")
    for rule in ("/things", "/things/preview", "/users"):
        app.add_url_rule(rule, rule, lambda: "", methods=["GET", "POST", "DELETE"])
    with app.test_request_context(path, method=method, headers={"Authorization": f"Bearer {token}"}):
        return door.admit()


def test_a_token_is_let_in_until_the_instant_at_which_it_expires() -> None:
    assert admit(bearers(expires_at=NOON + 1), "mat_known") is not None
    for expired in (NOON, NOON - 1):
        with pytest.raises(NotAuthenticated):
            admit(bearers(expires_at=expired), "mat_known")


@pytest.mark.parametrize("token", ["", "mat_", "mat_unknown", "known", "mat_é", ADMIN[:-1], f"{ADMIN} x"])
def test_what_is_no_token_is_not_let_in(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        admit(bearers("admin"), token)


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/things", "read"),
        ("POST", "/things/preview", "read"),
        ("POST", "/things", "edit"),
        ("DELETE", "/things", "edit"),
        ("GET", "/users", "admin"),
        ("POST", "/users", "admin"),
    ],
)
def test_a_scope_lets_in_what_it_covers_and_the_admin_token_all(method: str, path: str, needed: Scope) -> None:
    assert admit(bearers(), ADMIN, method, path) is None
    for scope in SCOPES:
        if SCOPES.index(scope) >= SCOPES.index(needed):
            assert admit(bearers(scope), "mat_known", method, path) is not None
        else:
            with pytest.raises(NotAllowed):
                admit(bearers(scope), "mat_known", method, path)
