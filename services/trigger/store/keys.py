"""Keys of rows: 16-byte hashes of natural names, so that an index entry is small and of one size."""

from __future__ import annotations

from hashlib import blake2b

from services.trigger.engine.application import ProfileId


def profile_key(profile: ProfileId) -> bytes:
    """The key of a profile."""
    return _hash(*profile)


def process_key(profile: bytes, kind: str, process_id: str) -> bytes:
    """The key of a process of a profile."""
    return _hash(profile.hex(), kind, process_id)


def signal_key(profile: bytes, source: str, signal_id: str) -> bytes:
    """The key of a signal of a profile: what makes two copies the same signal (DOMAIN §6.8)."""
    return _hash(profile.hex(), source, signal_id)


def _hash(*parts: str) -> bytes:
    # Lengths keep ("a", "bc") apart from ("ab", "c").
    text = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
