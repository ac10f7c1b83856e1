"""An endpoint that reads the body and does nothing: the limit of the HTTP figures."""

from __future__ import annotations

from flask import Flask, Response, request


def application() -> Flask:
    """What gunicorn starts."""
    app = Flask("empty")

    @app.post("/<path:path>")
    def take(path: str) -> Response:  # noqa: ARG001 - Flask hands it over
        request.get_data(cache=False)
        return Response(b"{}", 200, content_type="application/json")

    return app
