"""The web SDK over HTTP: an immutable URL that names the version, and an alias that is looked up again soon."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, redirect, request

from services.ingestion import sdk
from shared.http import Blueprint

PUBLIC: Mapping[str, str] = {
    "/sdk/signals.js": "loaded by every page of a shop; holds no data",
    "/sdk/signals-<version>.js": "loaded by every page of a shop; holds no data",
    "/sdk/signals.d.ts": "types for developers; holds no data",
}
_SCRIPT = "text/javascript; charset=utf-8"
_FOREVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=300, stale-while-revalidate=86400"

blueprint = Blueprint("sdk", __name__, description="The web SDK.")


@blueprint.route("/sdk/signals.js")
@blueprint.doc(security=[])
@blueprint.response(200, {"type": "string"}, content_type="text/javascript")
def alias() -> Response:
    """The newest version of the web SDK; kept for five minutes."""
    return _shared(_script(), _SOON)


@blueprint.route("/sdk/signals-<version>.js")
@blueprint.doc(security=[])
@blueprint.alt_response(302, description="Another version: the newest is at Location")
@blueprint.response(200, {"type": "string"}, content_type="text/javascript")
def versioned(version: str) -> Response:
    """A version of the web SDK, kept for good; a page that names an older one is led to the newest."""
    if version != sdk.version():
        return _shared(redirect("/sdk/signals.js"), _SOON)  # type: ignore[arg-type]
    return _shared(_script(), _FOREVER)


@blueprint.route("/sdk/signals.d.ts")
@blueprint.doc(security=[])
@blueprint.response(200, {"type": "string"}, content_type="text/plain")
def types() -> Response:
    """The types of the web SDK, for TypeScript."""
    return _shared(Response(sdk.types(), content_type="text/plain; charset=utf-8"), _SOON)


def _script() -> Response:
    if request.accept_encodings["gzip"] <= 0:
        return Response(sdk.script(), content_type=_SCRIPT)
    return Response(sdk.packed(), content_type=_SCRIPT, headers={"Content-Encoding": "gzip"})


def _shared(answer: Response, kept: str) -> Response:
    """Any page may load it, also one that isolates itself or checks its integrity."""
    answer.headers["Cache-Control"] = kept
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.headers.add("Vary", "Accept-Encoding")
    answer.set_etag(sdk.version(), weak=True)
    return answer
