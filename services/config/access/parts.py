"""The parts of access behind the present request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from services.config.access.oidc import IdentityProvider
from services.config.access.people import People
from services.config.access.sessions import Sessions
from services.config.access.throttle import Throttle
from services.config.access.tokens import Tokens
from services.config.access.viewer import EXTENSION
from shared.bearer import Bearers


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the guard and the pages of access call. `public_url`: where people reach the app, or empty.

    `session_lasts`: seconds. `pepper`: keys what forms carry against forgery.
    """

    people: People
    sessions: Sessions
    throttle: Throttle
    tokens: Tokens
    provider: IdentityProvider | None
    bearers: Bearers
    pepper: bytes
    public_url: str
    session_lasts: int

    def forget(self) -> None:
        """Delete what has ended: sessions, links, counts of attempts."""
        self.sessions.forget()
        self.people.forget()
        self.throttle.forget()


def access() -> Access:
    """The parts behind the present request."""
    return cast(Access, current_app.extensions[EXTENSION])
