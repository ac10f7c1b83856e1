"""Who may ask what: pages by session and role, the API by token. What declares nothing is shown to nobody."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from services.config.access.csrf import check_request
from services.config.access.parts import access
from services.config.access.viewer import ADMIN_TOKEN, NotSignedIn, acts_by_token, needed_role, signed_in, why_public
from shared.http import NotAllowed
from shared.pages import wants_fragment, wants_page

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LONGEST_PATH = 2_000


def authenticate() -> AnyResponse | None:
    """Let the present request pass, lead it to the sign-in, or raise NotAuthenticated or NotAllowed."""
    if wants_page():
        return _check_page()
    _check_token()
    return None


def _check_token() -> None:
    g.viewer = None
    token = access().bearers.admit()
    acts_by_token(ADMIN_TOKEN if token is None else f"token:{token.name}")


def _check_page() -> AnyResponse | None:
    view = current_app.view_functions[str(request.endpoint)]
    public = why_public(view) is not None
    if not public:
        if signed_in() is None:
            return _to_sign_in()
        _check_role(view)
    if request.method not in SAFE_METHODS:
        check_request(public=public)
    return None


def _check_role(view: object) -> None:
    person, role = signed_in(), needed_role(view)
    if role is None:
        raise NotAllowed("This page does not say whom it is for.")
    if person is None or not person.can(role):
        raise NotAllowed(f"This needs the role {role}. An administrator can give it to you.")


def _to_sign_in() -> AnyResponse:
    """To the sign-in and back; a script, or a form that was filled in, is told instead, so that nothing is lost."""
    if wants_fragment() or request.method not in SAFE_METHODS:
        raise NotSignedIn("Sign in in another tab, then come back here and try again.")
    return redirect(url_for("access.sign_in", next=request.full_path.rstrip("?")))


def local_path(text: str | None) -> str:
    """A path of this app as it was asked for, else `/`: nobody is led to another site."""
    path = text or "/"
    if len(path) > _LONGEST_PATH or not path.startswith("/") or path.startswith("//") or not path.isprintable():
        return "/"  # before it is taken apart, which composes what follows two slashes, however long that takes
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc or "\\" in path else path
