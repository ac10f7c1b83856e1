"""Who calls an API: the admin token of the installation, or an API token with a scope."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import g, request

from contracts.tokens import SCOPES, TOKEN_PREFIX, Scope
from shared.clock import Clock
from shared.http import NotAllowed, NotAuthenticated, bearer_token, is_token

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


ADMIN_CALLER = "admin token"
"""How the holder of the installation's token is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token as a service knows it. `expires_at`: µs, None for never."""

    id: str
    name: str
    scope: Scope
    expires_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearers:
    """Admits requests by their bearer token.

    `find`: the token of a hash, None when there is none or it was revoked. `scopes`: path pattern → the scope that it
    needs whatever the method; `harmless`: endings of patterns that change nothing though they are sent by POST.
    """

    admin_token: str
    pepper: bytes
    clock: Clock
    find: Callable[[str], ApiToken | None]
    scopes: Mapping[str, Scope]
    harmless: tuple[str, ...] = ()

    def admit(self) -> ApiToken | None:
        """The token of the present request, None for the admin token; raises NotAuthenticated and NotAllowed."""
        given = bearer_token()
        g.caller = ADMIN_CALLER
        if is_token(given, self.admin_token):
            return None
        found = self.find(token_hash(self.pepper, given)) if given.startswith(f"{TOKEN_PREFIX}_") else None
        if found is None or (found.expires_at is not None and self.clock.now() >= found.expires_at):
            raise NotAuthenticated("Send the admin token or an API token in the header Authorization: Bearer <token>.")
        needed = self.needed_scope()
        if SCOPES.index(found.scope) < SCOPES.index(needed):
            raise NotAllowed(f"The token {found.name!r} has the scope {found.scope}; this needs {needed}.")
        g.caller = found.name
        return found

    def needed_scope(self) -> Scope:
        """What the present request needs: read to look, edit to change, or as its path says."""
        rule = "" if request.url_rule is None else request.url_rule.rule
        for beginning, scope in self.scopes.items():
            if rule.startswith(beginning):
                return scope
        safe = request.method in _SAFE_METHODS or rule.endswith(self.harmless or ("\n",))
        return "read" if safe else "edit"


def token_hash(pepper: bytes, token: str) -> str:
    """The hex HMAC-SHA256 by which a token is recognised."""
    return hmac.digest(pepper, token.encode("utf-8", "replace"), "sha256").hex()


def caller() -> str:
    """The name of the token that the present request was admitted by."""
    return str(g.get("caller", ADMIN_CALLER))
