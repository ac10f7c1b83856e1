"""Styles, scripts and pictures: under a URL that names their version, so that browsers keep them for good."""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import Blueprint, Response, abort, request, send_from_directory, url_for

from services.config.access import public

STATIC = Path(__file__).parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
_STYLES = ("variables", "elements", "frame", "parts", "charts", "pages")

assets = Blueprint("assets", __name__)


@cache
def _names() -> frozenset[str]:
    """What there is, each by its one name: what is remembered under names would grow by other ways of writing them."""
    return frozenset(
        (*(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()), "app.css")
    )


@cache
def version() -> str:
    """Sixteen hex digits that change with any file."""
    digest = sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(STATIC)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def styles() -> str:
    """Every style sheet as one: one request before the first paint."""
    named = [STATIC / "css" / f"{name}.css" for name in _STYLES]
    others = sorted(path for path in (STATIC / "css").glob("*.css") if path not in named)
    return "\n".join(path.read_text(encoding="utf-8") for path in (*named, *others) if path.exists())


@cache
def scripts() -> tuple[str, ...]:
    """The modules that every page loads: `app` and what it imports. `js/pages/` are loaded by their pages."""
    return tuple(sorted(f"js/{path.name}" for path in (STATIC / "js").glob("*.js")))


def asset(path: str) -> str:
    """The URL of a file of `static/`; `app.css` is all styles."""
    return url_for("assets.file", asked=version(), path=path)


@assets.route("/assets/<asked>/<path:path>")
@public("styles and scripts hold no data; the sign-in page needs them")
def file(asked: str, path: str) -> Response:
    """A file; the URL of another version is not found, so that no browser keeps a new file under an old name."""
    if asked != version() or path not in _names():
        abort(404)
    if path == "app.css":
        answer = Response(styles(), content_type="text/css; charset=utf-8")
    else:
        answer = send_from_directory(STATIC, path)
    if request.accept_encodings["gzip"]:
        answer.close()
        answer = Response(_packed(path), content_type=answer.content_type, headers={"Content-Encoding": "gzip"})
    answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = _FOREVER
    return answer


@cache
def _packed(path: str) -> bytes:
    """A file that is there, as it is sent. Pages are sent as they are: no length tells what stands beside a secret."""
    content = styles().encode() if path == "app.css" else (STATIC / path).read_bytes()
    return gzip.compress(content, 9, mtime=0)
