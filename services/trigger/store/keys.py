"""Keys of rows: 16-byte hashes of natural names, so that an index entry is small and of one size.

Lengths keep ("a", "bc") apart from ("ab", "c").
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from services.trigger.engine.application import ProfileId

_REMEMBERED = 20_000


@lru_cache(_REMEMBERED)
def profile_key(profile: ProfileId) -> bytes:
    """The key of a profile."""
    configuration, id_type, name = profile
    text = f"{len(configuration)}:{configuration}{len(id_type)}:{id_type}{name}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@lru_cache(_REMEMBERED)
def process_key(profile: bytes, kind: str, process_id: str) -> bytes:
    """The key of a process of a profile."""
    text = f"process:{kind}:{process_id}"
    return blake2b(profile + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def signal_key(profile: bytes, source: str, signal_id: str) -> bytes:
    """The key of a signal: what makes two copies of a profile's signal the same (DOMAIN §6.8).

    It begins with half of the profile's key, so that a profile's signals lie together in the index.
    """
    text = f"signal:{len(source)}:{source}{signal_id}"
    return profile[:8] + blake2b(profile + text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def profile_number(profile: bytes) -> int:
    """Half of a profile's key as a signed integer: a small index entry. Two profiles may share one."""
    return int.from_bytes(profile[:8], "big", signed=True)
