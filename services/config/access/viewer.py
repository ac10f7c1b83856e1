"""Who acts in the present request: a signed-in person, a token, or the installation itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import current_app, g, has_request_context

from services.config.access.cookies import read_cookie
from services.config.access.resources import ROLES, Role
from shared.http import NotAuthenticated

View = TypeVar("View", bound=Callable[..., Any])

ITSELF = "moments"
"""The actor of what nobody asked for, such as dropping keys whose overlap is over."""

ADMIN_TOKEN = "admin token"  # noqa: S105 - a name
EXTENSION = "moments-access"
_NEEDS = "_needs_role"
_PUBLIC = "_why_public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The signed-in person who looks at a page. `zone`: the IANA time zone that they chose, or empty."""

    id: str
    name: str
    email: str
    role: Role
    zone: str
    session_id: str

    def can(self, role: Role) -> bool:
        """Whether they may do what this role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class NotSignedIn(NotAuthenticated):
    """You are not signed in."""


def signed_in() -> Viewer | None:
    """The person behind the present request, or None: nobody signed in, or it came by a token."""
    if not has_request_context():
        return None
    if "viewer" not in g:
        g.viewer = None  # a fault page must not ask again when the store is away
        g.viewer = current_app.extensions[EXTENSION].sessions.recognise(read_cookie("session"))
    found: Viewer | None = g.viewer
    return found


def viewer() -> Viewer:
    """The person behind the present request; there is one in every view that `needs` a role."""
    found = signed_in()
    if found is None:
        raise NotSignedIn()
    return found


def acts(found: Viewer) -> None:
    """Let a person be who acts in the rest of the present request."""
    g.viewer = found


def acts_by_token(name: str) -> None:
    """Let a token be who acts in the rest of the present request."""
    g.viewer = None
    g.token_name = name


def actor() -> str:
    """Who acts, as the audit log names them: `user:<e-mail>`, `token:<name>`, `admin token` or `moments`."""
    if not has_request_context():
        return ITSELF
    person = signed_in()
    return f"user:{person.email}" if person is not None else g.get("token_name", ITSELF)


def needs(role: Role) -> Callable[[View], View]:
    """Decorator, the innermost one: the page is for people of this role or a higher one.

    It is checked before the view is called; a page that neither declares this nor is public is shown to nobody.
    """

    def decorate(view: View) -> View:
        setattr(view, _NEEDS, role)
        return view

    return decorate


def public(why: str) -> Callable[[View], View]:
    """Decorator, the innermost one: anybody may see the page; why."""

    def decorate(view: View) -> View:
        setattr(view, _PUBLIC, why)
        return view

    return decorate


def needed_role(view: object) -> Role | None:
    """The role that a view declares, or None."""
    found: Role | None = getattr(view, _NEEDS, None)
    return found


def why_public(view: object) -> str | None:
    """Why anybody may see a view, or None."""
    found: str | None = getattr(view, _PUBLIC, None)
    return found
