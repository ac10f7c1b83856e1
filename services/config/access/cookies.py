"""The cookies of a browser: its session, a text of its own that outlives sessions, a sign-in that is under way."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from flask import request
from werkzeug.wrappers import Response

Kind = Literal["session", "browser", "provider"]

_LOCAL = ("localhost", "127.0.0.1", "::1")


def is_private() -> bool:
    """Whether nobody on the way can read the request: it is encrypted, or never leaves this machine."""
    return request.is_secure or _is_local()


def read_cookie(kind: Kind) -> str:
    """The value of a cookie, empty where there is none."""
    return request.cookies.get(_name(kind), "")


def set_cookie(response: Response, kind: Kind, value: str, seconds: int) -> None:
    """Have the browser keep a cookie: for this host alone, out of reach of scripts, not sent by other sites' forms."""
    response.set_cookie(
        _name(kind), value, max_age=seconds, path="/", secure=_is_secure(), httponly=True, samesite="Lax"
    )


def drop_cookie(response: Response, kind: Kind) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(_name(kind), path="/", secure=_is_secure(), httponly=True, samesite="Lax")


def _is_local() -> bool:
    return urlsplit(f"//{request.host}").hostname in _LOCAL


def _is_secure() -> bool:
    return request.is_secure or not _is_local()


def _name(kind: Kind) -> str:
    """`__Host-` binds it to the host; plain localhost cannot have that, and its ports share their cookies."""
    if _is_secure():
        return f"__Host-moments-{kind}"
    return f"moments-{kind}-{urlsplit(f'//{request.host}').port or 80}"
