"""One request: to an address that was checked, within one deadline, no redirect followed, no proxy asked.

`http.client` is told which address to connect to; the name of the host stays in the Host header and in TLS. Each
read has a time-out of its own there, so a line with a deadline stands between it and the socket: an endpoint that
answers a byte at a time holds a sender no longer than a silent one.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import structlog

from services.trigger.webhooks.resources import Answer
from services.trigger.webhooks.targets import ForbiddenTarget, Guard, Target
from shared.clock import stopwatch

CONTENT_TYPE = "application/cloudevents+json"
USER_AGENT = "Moments-Webhooks/1"
LARGEST_ANSWER = 16_384
_CHUNK = 65_536
_LONGEST_ERROR = 200
_FAULTS = (OSError, HTTPException, ForbiddenTarget, ValueError)
_log = structlog.get_logger("trigger.webhooks")


class Sender:
    """Sends events to URLs that `guard` lets pass; `timeout`: seconds for all of a request, its resolving too."""

    def __init__(self, guard: Guard, timeout: float) -> None:
        self._guard = guard
        self._timeout = timeout
        self._tls = ssl.create_default_context()

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST an event. Whatever goes wrong is an answer with an error."""
        began = stopwatch()
        try:
            return self._exchange(url, headers, body, began)
        except _FAULTS as error:
            return Answer(status=None, error=error_text(error), seconds=stopwatch() - began)
        except Exception as error:
            _log.exception("webhooks.send_failed")
            return Answer(status=None, error=f"not sent: {type(error).__name__}", seconds=stopwatch() - began)

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, began: float) -> Answer:
        def left() -> float:
            rest = self._timeout - (stopwatch() - began)
            if rest <= 0:
                raise TimeoutError
            return rest

        target = self._guard.target(url)
        addresses = self._guard.addresses(target)
        connection = _Connection(target, addresses, left, self._tls)
        try:
            _request(connection, target.path, headers, body)
            response = connection.getresponse()
            text = b""
            with suppress(OSError, HTTPException):
                text = response.read(LARGEST_ANSWER)
            return _answer(response, text, stopwatch() - began)
        finally:
            connection.end()


class _Connection(HTTPConnection):
    """Connects to addresses that were checked already, instead of to what the name means by now."""

    def __init__(
        self, target: Target, addresses: Sequence[str], left: Callable[[], float], tls: ssl.SSLContext
    ) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.secure else 80
        self._target = target
        self._addresses = addresses
        self._left = left
        self._tls = tls
        self._plain: socket.socket | None = None

    def connect(self) -> None:
        """Try the addresses in turn, until one answers or the time is over."""
        self._plain = self._reach()
        if self._target.secure:
            self._plain.settimeout(self._left())
            self._plain = self._tls.wrap_socket(self._plain, server_hostname=self._target.host)
        self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: Any = _Line(self._plain, self._left)

    def _reach(self) -> socket.socket:
        failure: OSError = ConnectionError("no address")
        for position, address in enumerate(self._addresses):
            share = self._left() / (len(self._addresses) - position)
            try:
                return socket.create_connection((address, self._target.port), timeout=share)
            except OSError as error:
                failure = error
        raise failure

    def end(self) -> None:
        """Close the socket, whoever still reads from it."""
        self.close()
        if self._plain is not None:
            self._plain.close()


class _Line:
    """What http.client needs of a socket, each step limited to the time that is left."""

    def __init__(self, plain: socket.socket, left: Callable[[], float]) -> None:
        self._plain = plain
        self._left = left

    def sendall(self, data: bytes) -> None:
        """Send in parts, since TLS limits only the time of each part."""
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self._plain.settimeout(self._left())
            self._plain.sendall(view[start : start + _CHUNK])

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The reading side."""
        return io.BufferedReader(_Reading(self._plain, self._left))

    def close(self) -> None:
        """Nothing: http.client closes before it has read; `_Connection.end` does it."""


class _Reading(io.RawIOBase):
    def __init__(self, plain: socket.socket, left: Callable[[], float]) -> None:
        self._plain = plain
        self._left = left

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, within the time that is left."""
        self._plain.settimeout(self._left())
        return self._plain.recv_into(buffer)


def _request(connection: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> None:
    connection.putrequest("POST", path, skip_accept_encoding=True)
    fixed = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "User-Agent": USER_AGENT,
        "Connection": "close",
    }
    for name, value in {**fixed, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)


def _answer(response: HTTPResponse, text: bytes, seconds: float) -> Answer:
    status = response.status
    error = "" if 200 <= status < 300 else f"HTTP {status} {_clean(response.reason)}".strip()
    if 300 <= status < 400:
        error += ": redirects are not followed"
    return Answer(
        status=status,
        error=error[:_LONGEST_ERROR],
        seconds=seconds,
        retry_after=response.getheader("Retry-After"),
        body=text,
    )


def error_text(error: Exception) -> str:
    """A short text for people of what kept a request from being answered."""
    if isinstance(error, TimeoutError):
        text = "timed out"
    elif isinstance(error, ForbiddenTarget):
        text = f"refused: {error}"
    elif isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate was not accepted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        text = f"TLS failed: {error.reason or error}"
    elif isinstance(error, socket.gaierror):
        text = "the host name was not found"
    elif isinstance(error, ConnectionRefusedError):
        text = "the connection was refused"
    elif isinstance(error, OSError):
        text = f"the connection failed: {error.strerror or type(error).__name__}"
    else:
        text = f"no HTTP answer: {type(error).__name__}"
    return _clean(text)[:_LONGEST_ERROR]


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
