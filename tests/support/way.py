"""What lies between a client and ingestion: it can refuse requests, and lose answers after the signals were taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server


@dataclass(slots=True)
class Way:
    """WSGI in front of an application. `refuse`, `lose_answers`: so many of the next POSTs."""

    app: Any
    refuse: int = 0
    status: str = "503 Service Unavailable"
    retry_after: str = "1"
    lose_answers: int = 0
    refused: int = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Refuse, lose the answer, or pass on."""
        if environ["REQUEST_METHOD"] == "POST" and self.refuse:
            self.refuse -= 1
            self.refused += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            origin = environ.get("HTTP_ORIGIN", "")
            headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "Retry-After")]
            start(self.status, [*headers, ("Retry-After", self.retry_after), ("Content-Length", "2")])
            return [b"{}"]
        if environ["REQUEST_METHOD"] == "POST" and self.lose_answers:
            self.lose_answers -= 1
            b"".join(self.app(environ, lambda *_: None))
            start("502 Bad Gateway", [("Content-Length", "0")])
            return [b""]
        answer: Iterable[bytes] = self.app(environ, start)
        return answer


@contextmanager
def at_port(app: Any, port: int = 0) -> Iterator[int]:
    """The port at which a WSGI application answers, many requests at once."""
    server: BaseWSGIServer = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
