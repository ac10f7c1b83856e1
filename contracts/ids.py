"""Ids that follow from what they name."""

from __future__ import annotations

from hashlib import sha1
from uuid import UUID


def named_id(namespace: UUID, name: bytes) -> str:
    """`str(uuid5(namespace, name))` in a quarter of its time."""
    digest = bytearray(sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
