"""Pages of the sign-in by an identity provider: going there, and coming back."""

from __future__ import annotations

import hmac
from hashlib import sha256

import msgspec
from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from services.config.access.cookies import drop_cookie, read_cookie, set_cookie
from services.config.access.guard import local_path
from services.config.access.oidc import Beginning, IdentityProvider, NotIdentified
from services.config.access.pages import browser_name, signed_in_at
from services.config.access.parts import access
from services.config.access.viewer import public
from services.config.program import program
from shared.http import NotFound

blueprint = Blueprint("oidc", __name__, url_prefix="/sign-in/provider")

_MOST_SECONDS = 600
_SECOND = 1_000_000


class _Kept(msgspec.Struct, frozen=True):
    """What the cookie keeps while the browser is away, µs."""

    state: str
    nonce: str
    verifier: str
    next: str
    at: int


_kept = msgspec.json.Decoder(_Kept)


@blueprint.get("")
@public("the way to the identity provider")
def leave() -> Response:
    """Go to the provider."""
    url, begun = _provider().begin(_redirect_uri())
    kept = _Kept(begun.state, begun.nonce, begun.verifier, local_path(request.args.get("next")), program().clock.now())
    answer = redirect(url, 303)
    set_cookie(answer, "provider", _sealed(kept), _MOST_SECONDS)
    return answer


@blueprint.get("/back")
@public("the way back from the identity provider")
def come_back() -> Response:
    """Come back from the provider; what it says counts for the browser that left, once, within ten minutes."""
    kept = _opened(read_cookie("provider"))
    state = request.args.get("state", "")
    if kept is None or not hmac.compare_digest(kept.state.encode(), state.encode("utf-8", "replace")):
        raise NotIdentified("This sign-in was not begun in this browser, or too long ago. Begin again.")
    if "error" in request.args:
        raise NotIdentified("The identity provider refused it. Begin again, or ask who runs it.")
    begun = Beginning(state=kept.state, nonce=kept.nonce, verifier=kept.verifier)
    identity = _provider().identify(request.args.get("code", ""), _redirect_uri(), begun)
    answer = signed_in_at(kept.next, access().people.enter_by(identity, browser_name()))
    drop_cookie(answer, "provider")
    return answer


def _provider() -> IdentityProvider:
    found = access().provider
    if found is None:
        raise NotFound("There is no identity provider.")
    return found


def _redirect_uri() -> str:
    base = access().public_url or request.host_url
    return base.rstrip("/") + url_for("oidc.come_back")


def _sealed(kept: _Kept) -> str:
    body = msgspec.json.encode(kept).hex()
    return f"{body}.{_seal(body)}"


def _opened(text: str) -> _Kept | None:
    body, _, seal = text.partition(".")
    if not hmac.compare_digest(seal.encode("utf-8", "replace"), _seal(body).encode()):
        return None
    kept = _kept.decode(bytes.fromhex(body))
    return kept if program().clock.now() - kept.at < _MOST_SECONDS * _SECOND else None


def _seal(body: str) -> str:
    return hmac.new(access().pepper, f"provider\n{body}".encode("utf-8", "replace"), sha256).hexdigest()
