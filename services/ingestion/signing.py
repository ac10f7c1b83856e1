"""Signed requests: whether a signature is of this key, of this path and body, and of this time. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from contracts.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature_of, signing_secret
from services.ingestion.refusals import Refusal

_SECOND = 1_000_000
_LONGEST_TIMESTAMP = 12


@dataclass(frozen=True, slots=True)
class Signature:
    """What came with a request as its signature, empty where nothing did, and what it must be of."""

    timestamp: str
    value: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """Judges signatures. `tolerance`: µs by which the time of one may differ from ours, before or after."""

    pepper: bytes
    tolerance: int = 300 * _SECOND

    def refusal(self, signature: Signature | None, key_id: str, now: int) -> Refusal | None:
        """Why it is not taken, by the clock of `now` (µs); the time is judged after the signature that covers it."""
        if signature is None or not signature.value or not signature.timestamp:
            reason = f"this key needs signed requests, with the headers {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}"
            return Refusal(401, "missing_signature", reason)
        if not self._fits(signature, key_id):
            return Refusal(401, "wrong_signature", "the signature is not that of this path, body and time")
        if abs(int(signature.timestamp) * _SECOND - now) > self.tolerance:
            seconds = self.tolerance // _SECOND
            return Refusal(401, "stale_signature", f"the request was signed more than {seconds} seconds from now")
        return None

    def _fits(self, signature: Signature, key_id: str) -> bool:
        stamp = signature.timestamp
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _LONGEST_TIMESTAMP):
            return False
        wanted = signature_of(signing_secret(self.pepper, key_id), stamp, signature.path, signature.body)
        given = signature.value.strip().encode("utf-8", "surrogatepass")
        return hmac.compare_digest(wanted.encode(), given)
