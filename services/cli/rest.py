"""A small HTTP client for the services, on the standard library."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from services.cli.failures import Failed, Unreachable


class NoAnswer(Exception):
    """The service did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `document` is its JSON, or None."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def retry_after(self) -> float | None:
        """Seconds of the Retry-After header, if it gives seconds."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None

    def reason(self) -> str:
        """What the service says is wrong, in one line."""
        document = self.document if isinstance(self.document, dict) else {}
        text = document.get("detail") or document.get("reason") or document.get("title") or f"HTTP {self.status}"
        faults = [
            f"{fault.get('pointer') or '/'}: {fault.get('reason', '')}"
            for fault in document.get("errors") or []
            if isinstance(fault, dict)
        ]
        return f"{text} ({'; '.join(faults)})" if faults else str(text)


@dataclass(slots=True)
class Client:
    """Calls one service, keeping the connection. Used by one thread.

    `url`: `http://127.0.0.1:8082`, checked by `checked_url`. `headers` go with every request.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 30.0
    _connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; raises NoAnswer. A kept connection that was closed meanwhile is opened anew, once."""
        body = None if document is None else json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return self.send(method, path, body, headers)

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request with a body of JSON bytes."""
        sent = {**self.headers, **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        kept = self._connection is not None
        try:
            return self._once(method, path, body, sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not kept or isinstance(error, TimeoutError):
                raise NoAnswer(_reason(error)) from error
        try:
            return self._once(method, path, body, sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(_reason(error)) from error

    def close(self) -> None:
        """Close the kept connection."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(self.url)
        if self._connection is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(parts.netloc, timeout=self.timeout)
        self._connection.request(method, parts.path.rstrip("/") + path, body=body, headers=dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        document = None
        with suppress(ValueError):
            document = json.loads(content) if content else None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, document)


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def checked_url(text: str) -> str:
    """The URL when it is http(s) with a host; raises ValueError with the reason."""
    parts = urlsplit(text)
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise ValueError(f"{text!r} is no URL as http://127.0.0.1:8082")
    return text.rstrip("/")


@dataclass(slots=True)
class Administration:
    """The REST API of config or trigger with the admin token; an answer of 400 or more ends the command."""

    client: Client
    name: str = "config"

    def get(self, path: str) -> Any:
        """The document at a path."""
        return self.call("GET", path).document

    def post(self, path: str, document: Any = None) -> Any:
        """The answer to a POST."""
        return self.call("POST", path, {} if document is None else document).document

    def call(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; raises Unreachable or Failed in words for a person."""
        try:
            answer = self.client.call(method, path, document, headers)
        except NoAnswer as error:
            raise Unreachable(
                f"{self.name} at {self.client.url} does not answer: {error}. Is `moments up` running?"
            ) from error
        if answer.status == 401:
            raise Failed(
                f"{self.name} at {self.client.url} does not accept the admin token. "
                "Name the data folder of `moments up` by --data, or the token by --token."
            )
        if answer.status >= 500:
            raise Unreachable(f"{self.name} at {self.client.url} cannot answer now: {answer.reason()}")
        if answer.status >= 400:
            raise Failed(f"{method} {path} was refused ({answer.status}): {answer.reason()}")
        return answer


def administration(url: str, token: str, *, name: str = "config") -> Administration:
    """The administration client of a service."""
    return Administration(Client(url, {"Authorization": f"Bearer {token}", "Connection": "close"}), name)
