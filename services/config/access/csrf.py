"""Against forged requests: where a form was sent from, and a text in it that only this app could write.

The text is bound to the browser and the person, not to the session: a form that was open while a session ended can
still be sent after signing in again (decision 021).
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from flask import Response, after_this_request, g, request
from markupsafe import Markup

from services.config.access.cookies import read_cookie, set_cookie
from services.config.access.errors import ForgedRequest
from services.config.access.parts import access
from services.config.access.viewer import signed_in

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_MONTH = 30 * 86_400
_LENGTH = 43
_AGAIN = "Reload the page that you came from, and try again."


def csrf_token() -> str:
    """The text for forms and scripts of the present page."""
    person = signed_in()
    return _token(_browser(), "" if person is None else person.id)


def csrf_field() -> Markup:
    """The hidden field for a form."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token())


def check_request(*, public: bool) -> None:
    """Raises ForgedRequest when a request that changes something was not sent by a page of this app.

    `public`: the page is there for anybody, too, and its form may have been opened before someone signed in.
    """
    if not _is_same_origin():
        raise ForgedRequest(f"It was sent from another site. {_AGAIN}")
    person, browser = signed_in(), read_cookie("browser")
    owners = {"" if person is None else person.id} | ({""} if public else set())
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    expected = [_token(browser, owner) for owner in owners] if browser else []
    if not any(hmac.compare_digest(given.encode("utf-8", "replace"), each.encode()) for each in expected):
        raise ForgedRequest(f"It is too old, or this browser keeps no cookies. {_AGAIN}")


def _is_same_origin() -> bool:
    """By what browsers say of every request; older ones, and plain http, by the origin, which must be there then."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    return request.headers.get("Origin", "").casefold() == request.host_url.rstrip("/").casefold()


def _browser() -> str:
    """This browser's own text; one that has none is given one with the answer."""
    if "browser" not in g:
        kept = read_cookie("browser")
        g.browser = kept if len(kept) == _LENGTH else secrets.token_urlsafe(32)
        browser: str = g.browser

        @after_this_request
        def keep(response: Response) -> Response:
            set_cookie(response, "browser", browser, _MONTH)
            return response

    found: str = g.browser
    return found


def _token(browser: str, user_id: str) -> str:
    return hmac.new(access().pepper, f"form\n{browser}\n{user_id}".encode("utf-8", "replace"), sha256).hexdigest()
