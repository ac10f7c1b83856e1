"""A real HTTP server that receives webhooks as a journey does, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The id by which a journey recognises repeats."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The event."""
        return msgspec.json.decode(self.body)

    def signed_with(self, secret: str) -> bool:
        """Whether Standard Webhooks' own package accepts it."""
        try:
            Webhook(secret).verify(self.body, dict(self.headers))
        except WebhookVerificationError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `hold`: wait for it first, at most `most` seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"thanks"
    hold: threading.Event | None = None
    most: float = 30.0


@dataclass(slots=True)
class Endpoint:
    """A server on the loopback interface. `answer`: request → reply."""

    url: str = ""
    answer: Callable[[Received], Reply] = field(default=lambda _: Reply())
    received: list[Received] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self) -> list[str]:
        """The webhook-ids that came, in order, with repeats."""
        with self.lock:
            return [each.webhook_id for each in self.received]

    def take(self, received: Received) -> Reply:
        """Note a request, and wait when the reply says so."""
        with self.lock:
            self.received.append(received)
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        try:
            reply = self.answer(received)
            if reply.hold is not None:
                reply.hold.wait(reply.most)
            return reply
        finally:
            with self.lock:
                self.busy -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True

    def handle_error(self, *_arguments: Any) -> None:
        """A sender that goes away is no news."""


@contextmanager
def endpoint(answer: Callable[[Received], Reply] | None = None) -> Iterator[Endpoint]:
    """A running endpoint."""
    made = Endpoint()
    if answer is not None:
        made.answer = answer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = made.take(Received(self.path, headers, body))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(120)
