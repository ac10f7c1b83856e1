"""Secrets and signatures as Standard Webhooks has them: HMAC-SHA256 of `id.timestamp.body`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Iterable

from contracts.times import SECOND

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,200}")


def new_secret() -> str:
    """A secret: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()


def webhook_id(event_id: str) -> str:
    """The id of an event as a header may carry it.

    A signal's id is its sender's: one that a header cannot carry, or whose full stop would make the signed text
    ambiguous, is replaced by its hash. Ids of ours (UUIDs) stay as they are.
    """
    if _PLAIN.fullmatch(event_id):
        return event_id
    return "evt_" + hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def signed_headers(event_id: str, at: int, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The three headers of one attempt, made at the instant `at` (µs): one signature for each secret."""
    identity, timestamp = webhook_id(event_id), str(at // SECOND)
    signed = f"{identity}.{timestamp}.".encode() + body
    return {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
