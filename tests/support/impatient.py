"""A server of the smallest kind under the services' own worker, for tests of slow clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.worker import PatientWorker


class ImpatientWorker(PatientWorker):
    """Waits a second for a request."""

    patience = 1.0


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Read the body and say how long it was."""
    try:
        text = str(len(environ["wsgi.input"].read())).encode()
    except OSError:
        text = b"cut short"
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
