"""Making keys: ids and secrets of 128 random bits or more, with a checksum so that a typo is told from a guess."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, replace
from zlib import crc32

from contracts.configurations import KEY_PREFIXES, KeyType
from contracts.signatures import signing_secret
from services.config.resources import Key

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 22
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """Makes keys; `pepper` keys the hash under which a secret is kept."""

    pepper: bytes

    def make(self, type: KeyType, now: int, *, enabled: bool = False) -> Key:
        """A new key; that of a server carries its secret, this once."""
        secret = random_text(_SECRET_LENGTH) if type == "server" else None
        return Key(
            id=f"{KEY_PREFIXES[type]}_{random_text(_ID_LENGTH)}",
            type=type,
            enabled=enabled,
            created_at=now,
            secret_hash=None if secret is None else secret_hash(self.pepper, secret),
            secret=secret,
        )

    def with_signing_secret(self, key: Key) -> Key:
        """A key that signs, with the secret that does it."""
        return replace(key, signing_secret=signing_secret(self.pepper, key.id)) if key.signed else key


def secret_hash(pepper: bytes, secret: str) -> str:
    """The hex HMAC-SHA256 by which a secret is recognised."""
    return hmac.digest(pepper, secret.encode(), "sha256").hex()


def random_text(length: int) -> str:
    """Random letters and digits (5.95 bits each), and their checksum."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    return text + checksum(text)


def checksum(text: str) -> str:
    """The CRC-32 of a text in base 62, six characters."""
    number, digits = crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def is_well_formed(text: str) -> bool:
    """Whether an id or a secret carries its own checksum."""
    random = text.rpartition("_")[2]
    return len(random) > _CHECKSUM_LENGTH and checksum(random[:-_CHECKSUM_LENGTH]) == random[-_CHECKSUM_LENGTH:]
