"""Access put together, and what it adds to the Flask application."""

from __future__ import annotations

from flask import Flask

from contracts.tokens import Scope
from services.config.access.csrf import csrf_field, csrf_token
from services.config.access.headers import add_page_headers
from services.config.access.oidc import IdentityProvider
from services.config.access.parts import Access
from services.config.access.passwords import Passwords
from services.config.access.people import People
from services.config.access.sessions import Sessions
from services.config.access.throttle import Throttle
from services.config.access.tokens import Tokens
from services.config.access.viewer import EXTENSION
from services.config.audit import Audit
from services.config.publication import Publication
from services.config.store import ConfigStore
from shared.bearer import Bearers
from shared.clock import Clock
from shared.proxies import trust_proxies
from shared.settings import Settings

_SCOPES: dict[str, Scope] = dict.fromkeys(
    ("/api/v1/users", "/api/v1/tokens", "/api/v1/audit", "/api/v1/suppressions"), "admin"
)
_SECOND = 1_000_000


def make_access(
    store: ConfigStore,
    audit: Audit,
    publication: Publication,
    settings: Settings,
    clock: Clock,
    passwords: Passwords | None = None,
) -> Access:
    """The parts of access."""
    tokens = Tokens(store, publication, audit, clock, settings.secret_pepper)
    sessions = Sessions(store, clock, idle=settings.session_idle, longest=settings.session_longest)
    throttle = Throttle(store, clock)
    return Access(
        people=People(store, audit, clock, passwords or Passwords(), sessions, throttle, settings.oidc),
        sessions=sessions,
        throttle=throttle,
        tokens=tokens,
        provider=None if settings.oidc is None else IdentityProvider(settings.oidc, clock),
        bearers=Bearers(
            admin_token=settings.admin_token,
            pepper=settings.secret_pepper,
            clock=clock,
            find=tokens.find,
            scopes=_SCOPES,
            harmless=("/preview",),
        ),
        pepper=settings.secret_pepper,
        public_url=settings.public_url,
        session_lasts=settings.session_longest // _SECOND,
    )


def set_up_access(app: Flask, access: Access, proxies: int) -> None:
    """Let the application know them; `proxies`: how many in front of it are believed about address, scheme and host."""
    app.extensions[EXTENSION] = access
    app.after_request(add_page_headers)
    app.jinja_env.globals.update(csrf_field=csrf_field, csrf_token=csrf_token)
    trust_proxies(app, proxies)
