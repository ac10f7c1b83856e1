"""Asking trigger's REST API, for what only trigger knows: the pending waits. Nothing else of config needs it."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from shared.http import Unavailable

_PATIENCE = 10.0
_MOST_BYTES = 100_000
_log = structlog.get_logger("config.triggering")


class TriggerAway(Unavailable):
    """Trigger, which knows the waits, does not answer."""


class TriggerClient:
    """Trigger at a URL. Proxies of the environment are not for calls within an installation."""

    def __init__(self, url: str, patience: float = _PATIENCE) -> None:
        self._url = url.rstrip("/")
        self._patience = patience
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def preview(self, moment_id: str, change: Mapping[str, Any], authorization: str) -> dict[str, Any]:
        """What a change would do to a moment's waits, asked with the caller's token; raises TriggerAway."""
        request = urllib.request.Request(  # noqa: S310 - the URL is the operator's
            f"{self._url}/api/v1/moments/{moment_id}/preview",
            data=msgspec.json.encode(change),
            headers={"Authorization": authorization, "Content-Type": "application/json"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._patience) as answer:
                found: dict[str, Any] = msgspec.json.decode(answer.read(_MOST_BYTES), type=dict[str, Any])
                return found
        except urllib.error.HTTPError as error:
            error.close()
            raise self._away(f"It answered {error.code}.", error) from error
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise self._away("It cannot be reached.", error) from error

    def _away(self, reason: str, error: Exception) -> TriggerAway:
        _log.warning("triggering.failed", url=self._url, error=type(error).__name__, detail=str(error)[:200])
        detail = f"{reason} Nothing was changed; start trigger, or set MOMENTS_TRIGGER_URL, and try again."
        return TriggerAway(detail, retry_after=5)
