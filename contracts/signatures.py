"""Signed requests of servers: the secret that signs for a key, and what a signature says. Pure.

The secret is derived from the installation's pepper, so that neither database, message nor backup holds it.
"""

from __future__ import annotations

import hmac

TIMESTAMP_HEADER = "Signal-Timestamp"
SIGNATURE_HEADER = "Signal-Signature"
SIGNING_PREFIX = "ss_"
_VERSION = "v1="


def signing_secret(pepper: bytes, key_id: str) -> str:
    """The secret by which requests with a server key are signed; that of a key that is made anew is another."""
    return SIGNING_PREFIX + hmac.digest(pepper, f"moments:signing:{key_id}".encode(), "sha256").hex()


def signature_of(secret: str, timestamp: str, path: str, body: bytes) -> str:
    """The signature of a request: `v1=` and the hex HMAC-SHA256 of `timestamp.path.body`.

    `timestamp`: seconds since 1970, as the header has them. `path`: of the URL, as /v1/signals. `body`: as it is sent,
    packed or not. Neither a timestamp nor a path has a full stop, so nothing can be moved from one part to another.
    """
    signed = f"{timestamp}.{path}.".encode() + body
    return _VERSION + hmac.digest(secret.encode(), signed, "sha256").hex()
