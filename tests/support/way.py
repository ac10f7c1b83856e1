"""What lies between a client and ingestion: it can refuse requests, and lose answers after the signals were taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server


@dataclass(slots=True)
class Way:
    """WSGI in front of an application. `refuse`, `lose_answers`: so many of the next POSTs; `underway`: requests."""

    app: Any
    refuse: int = 0
    status: str = "503 Service Unavailable"
    retry_after: str = "1"
    lose_answers: int = 0
    refused: int = 0
    underway: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Refuse, lose the answer, or pass on."""
        fate = self._fate_of(environ["REQUEST_METHOD"])
        try:
            if fate == "refused":
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                origin = environ.get("HTTP_ORIGIN", "")
                headers = [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "Retry-After")]
                start(self.status, [*headers, ("Retry-After", self.retry_after), ("Content-Length", "2")])
                return [b"{}"]
            answer = b"".join(self.app(environ, start if fate == "passed on" else lambda *_: None))
            if fate == "passed on":
                return [answer]
            start("502 Bad Gateway", [("Content-Length", "0")])
            return [b""]
        finally:
            with self._lock:
                self.underway -= 1

    def _fate_of(self, method: str) -> str:
        with self._lock:
            self.underway += 1
            if method == "POST" and self.refuse:
                self.refuse -= 1
                self.refused += 1
                return "refused"
            if method == "POST" and self.lose_answers:
                self.lose_answers -= 1
                return "lost"
            return "passed on"


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
