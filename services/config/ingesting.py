"""Asking ingestion, for what the app shows of it: which addresses it has, and what it says to a test signal."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from shared.clock import stopwatch

_PATIENCE = 2.0
_KNOWN_FOR = 60.0
_AWAY_FOR = 5.0
_MOST_BYTES = 4_000_000
_TRIES = 5
_BETWEEN_TRIES = 0.5
_NOT_HEARD_YET = ("unknown_key", "disabled_key", "foreign_origin", "foreign_site")
_FAULTS = (OSError, http.client.HTTPException, msgspec.MsgspecError)
_log = structlog.get_logger("config.ingesting")


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""
    errors: list[dict[str, str]] = []


_problem = msgspec.json.Decoder(_Problem)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ingestion said to a signal. `code`: empty when it took it; `away`: nobody answered. `reason`: in words."""

    code: str = ""
    reason: str = ""

    @property
    def taken(self) -> bool:
        """Whether the signal is stored."""
        return not self.code


class IngestionClient:
    """Ingestion within the installation at `url`; those who send signals reach it at `public_url`."""

    def __init__(self, url: str, public_url: str, patience: float = _PATIENCE) -> None:
        self.public_url = public_url
        self.url = url
        self._patience = patience
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._lock = threading.Lock()
        self._paths: frozenset[str] | None = None
        self._look_again = 0.0

    def serves(self, path: str) -> bool | None:
        """Whether ingestion has a path, by its own description; None while nobody knows. Asked once a minute."""
        with self._lock:
            now = stopwatch()
            if now >= self._look_again:
                found = self._read_paths()
                self._paths = self._paths if found is None else found
                self._look_again = stopwatch() + (_AWAY_FOR if found is None else _KNOWN_FOR)
        return None if self._paths is None else path in self._paths

    def send(self, kind: str, key: str, origin: str, signal: Mapping[str, Any]) -> Answer:
        """Send one signal as a web page of an origin does."""
        request = urllib.request.Request(  # noqa: S310 - the URL is the operator's
            f"{self.url}/v1/signals/{kind}",
            data=msgspec.json.encode(signal),
            headers={"Content-Type": "application/json", "X-Api-Key": key, "Origin": origin},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._patience) as answer:
                answer.read(_MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return _refusal(error.code, error.read(_MOST_BYTES))
        except _FAULTS as error:
            _log.warning("ingesting.failed", url=self.url, error=type(error).__name__)
            return Answer("away")
        return Answer()

    def send_test(
        self, kind: str, key: str, origin: str, signal: Mapping[str, Any], pause: Callable[[float], object]
    ) -> Answer:
        """Send one again for a while if ingestion may not have heard of a change of the configuration yet."""
        answer = self.send(kind, key, origin, signal)
        for _ in range(_TRIES - 1):
            if answer.code not in _NOT_HEARD_YET:
                break
            pause(_BETWEEN_TRIES)
            answer = self.send(kind, key, origin, signal)
        return answer

    def _read_paths(self) -> frozenset[str] | None:
        try:
            with self._opener.open(f"{self.url}/openapi.json", timeout=self._patience) as answer:
                document = msgspec.json.decode(answer.read(_MOST_BYTES), type=dict[str, Any])
        except _FAULTS as error:
            _log.info("ingesting.not_described", url=self.url, error=type(error).__name__)
            return None
        return frozenset(document.get("paths", ()))


def _refusal(status: int, body: bytes) -> Answer:
    try:
        problem = _problem.decode(body)
    except msgspec.MsgspecError:
        problem = _Problem()
    if status >= 500 and not problem.code:
        return Answer("away")
    faults = "; ".join(f"{each.get('pointer', '')}: {each.get('reason', '')}" for each in problem.errors[:5])
    return Answer(problem.code or f"{status}", f"{problem.detail} {faults}".strip())
