"""Keys of rows: 16-byte hashes of natural names, so that an index entry is small and of one size.

Lengths keep ("a", "bc") apart from ("ab", "c").
"""

from __future__ import annotations

from hashlib import blake2b

from services.trigger.engine.application import ProfileId


def profile_key(profile: ProfileId) -> bytes:
    """The key of a profile."""
    configuration, id_type, name = profile
    text = f"{len(configuration)}:{configuration}{len(id_type)}:{id_type}{name}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def process_key(profile: bytes, kind: str, process_id: str) -> bytes:
    """The key of a process of a profile."""
    text = f"process:{kind}:{process_id}"
    return blake2b(profile + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def signal_key(profile: bytes, source: str, signal_id: str) -> bytes:
    """The key of a signal of a profile: what makes two copies the same signal (DOMAIN §6.8)."""
    text = f"signal:{len(source)}:{source}{signal_id}"
    return blake2b(profile + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
