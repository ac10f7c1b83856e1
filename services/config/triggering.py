"""Asking trigger's REST API, for what only trigger knows: waits, outcomes, analytics, explanations, webhooks.

Config asks with the token of the installation, whoever asks config: who may see what is config's to judge. Trigger may
be away: whoever asks says what is missing then, and goes on.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import structlog

from shared.clock import stopwatch
from shared.http import NotFound, Unavailable, Unprocessable
from shared.problems import Fault

_PATIENCE = 2.0
_PATIENCE_OF_PREVIEWS = 10.0
_REMEMBERED = 2.0
_LOOK_UP_EVERY = 0.5
_SILENT_FOR = 30.0
_MOST_BYTES = 16_000_000
_AT_ONCE = 65_536
_NOTHING_CHANGED = "Nothing was changed; start trigger, or set MOMENTS_TRIGGER_URL, and try again."
_UNREACHABLE = "It cannot be reached."
_FAULTS = (OSError, http.client.HTTPException, msgspec.MsgspecError)
_log = structlog.get_logger("config.triggering")

Query = Mapping[str, str | int | None]
"""Parameters of a query; those that are None are left out."""


class TriggerAway(Unavailable):
    """Trigger, which knows the waits, does not answer."""


class TriggerRefused(Unprocessable):
    """Trigger takes what it was asked for as wrong."""


class TriggerConflict(TriggerRefused):
    """What trigger holds was changed meanwhile, or does not allow this."""


class _Problem(msgspec.Struct):
    """What is read of a problem document."""

    detail: str = ""
    errors: list[dict[str, str]] = []


_problem = msgspec.json.Decoder(_Problem)


class TriggerStream:
    """Server-sent events of trigger as they come, for one reader, who closes it; `end` is for other threads."""

    def __init__(self, answer: http.client.HTTPResponse, connection: socket.socket) -> None:
        self._answer = answer
        self._connection = connection
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """What has come; b"" after half a second of silence, so that the reader can look up."""
        began = stopwatch()
        try:
            yield self._answer.read1(_AT_ONCE)  # what came with the head; from there on it is read from the socket
            self._connection.settimeout(_LOOK_UP_EVERY)
            while not self._ended.is_set() and stopwatch() - began < _SILENT_FOR:
                try:
                    came = self._connection.recv(_AT_ONCE)
                except TimeoutError:
                    yield b""
                    continue
                if not came:
                    return
                began = stopwatch()
                yield came
        except _FAULTS as error:
            _log.info("triggering.stream_broke", error=type(error).__name__)
        finally:
            self.close()

    def end(self) -> None:
        """Let the reader come to its end, at once."""
        self._ended.set()
        with contextlib.suppress(OSError):  # it is over already
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self._ended.set()
        self._answer.close()
        self._connection.close()


class TriggerClient:
    """Trigger at a URL, asked with a token; usable from any thread. Paths are plain: they are quoted here.

    Proxies of the environment are not for calls within an installation. When trigger could not be reached, it counts
    as away for the next two seconds without being asked: a page of several parts waits for it once.
    """

    def __init__(
        self,
        url: str,
        token: str,
        patience: float = _PATIENCE,
        patience_of_previews: float = _PATIENCE_OF_PREVIEWS,
    ) -> None:
        self._url = url.rstrip("/")
        self._authorization = f"Bearer {token}"
        self._patience = patience
        self._patience_of_previews = patience_of_previews
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._away_until = 0.0

    def get(self, path: str, query: Query | None = None, *, within: float | None = None) -> dict[str, Any]:
        """The document at a path with its query; raises TriggerAway, NotFound, TriggerRefused.

        `within`: seconds, for a page that would rather come without it than late.
        """
        self._unless_away()
        return self._asked("GET", self._target(path, query), None, within)

    def post(
        self, path: str, document: Mapping[str, Any], *, version: int | None = None, within: float | None = None
    ) -> dict[str, Any]:
        """The answer to a document; raises TriggerAway, NotFound, TriggerRefused. An empty answer is {}.

        `version`: of what is to be changed, where only that one is meant. `within`: seconds, of what may take long.
        """
        self._unless_away()
        return self._asked("POST", self._target(path), document, within, version)

    def patch(self, path: str, document: Mapping[str, Any], version: int) -> dict[str, Any]:
        """Change what has this version; raises TriggerAway, NotFound, TriggerRefused, TriggerConflict."""
        self._unless_away()
        return self._asked("PATCH", self._target(path), document, version=version)

    def delete(self, path: str, version: int | None = None) -> None:
        """Delete what is there, of this version where one is named; raises as `patch` does."""
        self._unless_away()
        self._asked("DELETE", self._target(path), None, version=version)

    def stream(self, path: str, query: Query | None = None) -> TriggerStream:
        """Listen to server-sent events; raises TriggerAway, NotFound, TriggerRefused. The caller closes it."""
        self._unless_away()
        try:
            return self._listened(self._target(path, query))
        except _FAULTS as error:
            raise self._unreachable(error) from error

    def preview(self, moment_id: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """What a change would do to a moment's waits; raises TriggerAway, also for what trigger does not know.

        It is asked with more patience, and also when trigger was away just now.
        """
        target = self._target(f"/api/v1/moments/{moment_id}/preview")
        try:
            return self._answered("POST", target, change, self._patience_of_previews)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._away(f"It answered {error.code}. {_NOTHING_CHANGED}", error) from error
        except _FAULTS as error:
            raise self._away(f"{_UNREACHABLE} {_NOTHING_CHANGED}", error) from error

    def _asked(
        self,
        method: str,
        target: str,
        document: Mapping[str, Any] | None,
        within: float | None = None,
        version: int | None = None,
    ) -> dict[str, Any]:
        try:
            return self._answered(method, target, document, self._patience if within is None else within, version)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.read(_MOST_BYTES), error) from error
        except _FAULTS as error:
            if within is not None and _is_timeout(error):  # others may have more time
                raise self._away("It did not answer in time.", error) from error
            raise self._unreachable(error) from error

    def _answered(
        self,
        method: str,
        target: str,
        document: Mapping[str, Any] | None,
        patience: float,
        version: int | None = None,
    ) -> dict[str, Any]:
        headers = {"Authorization": self._authorization}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        if document is not None:
            headers["Content-Type"] = "application/json"
        data = None if document is None else msgspec.json.encode(document)
        request = urllib.request.Request(  # noqa: S310 - the URL is the operator's
            self._url + target, data=data, headers=headers, method=method
        )
        with self._opener.open(request, timeout=patience) as answer:
            body = answer.read(_MOST_BYTES)
        self._away_until = 0.0
        found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        return found

    def _listened(self, target: str) -> TriggerStream:
        """HTTP/1.0, which knows no chunks: what is read from the socket after the head is the events themselves."""
        parts = urlsplit(self._url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._patience)
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        headers = {"Authorization": self._authorization, "Accept": "text/event-stream"}
        try:
            connection.request("GET", parts.path + target, headers=headers)
            held = connection.sock
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if answer.status != 200:
            with answer:
                raise self._refusal(answer.status, answer.read(_MOST_BYTES))
        return TriggerStream(answer, held)

    def _target(self, path: str, query: Query | None = None) -> str:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return quote(path) + (f"?{urlencode(given)}" if given else "")

    def _unless_away(self) -> None:
        if stopwatch() < self._away_until:
            raise TriggerAway(_UNREACHABLE, retry_after=5)

    def _unreachable(self, error: Exception) -> TriggerAway:
        self._away_until = stopwatch() + _REMEMBERED
        return self._away(_UNREACHABLE, error)

    def _refusal(
        self, status: int, body: bytes, error: Exception | None = None
    ) -> NotFound | TriggerRefused | TriggerAway:
        """What trigger answered in place of a document, as an error of config's own."""
        try:
            problem = _problem.decode(body)
        except msgspec.MsgspecError:
            problem = _Problem()
        if status == 404:
            return NotFound(problem.detail)
        if status in (400, 409, 412, 422):
            refused = TriggerConflict if status in (409, 412) else TriggerRefused
            return refused(problem.detail, faults=[_fault(each) for each in problem.errors])
        return self._away(f"It answered {status}. {problem.detail}".strip(), error)

    def _away(self, detail: str, error: Exception | None) -> TriggerAway:
        _log.warning("triggering.failed", url=self._url, error=type(error).__name__, detail=str(error)[:200])
        return TriggerAway(detail, retry_after=5)


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError)


def _fault(document: Mapping[str, str]) -> Fault:
    return Fault(document.get("pointer", ""), document.get("reason", ""), parameter=document.get("parameter"))
