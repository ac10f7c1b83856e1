"""Erasing a customer: the messages between the services, and the hash by which an erased one is known afterwards."""

from __future__ import annotations

import hmac

import msgspec

TOMBSTONE_TYPE = "application/vnd.moments.tombstone+json"
TOMBSTONE_ID_PREFIX = "tombstone:"
PROFILE_ERASED = "profile.erased"
"""Type and routing key of the message that tells whom to erase."""
ERASURE_DONE = "erasure.done"
"""Type and routing key of an answer to it."""
_SUBJECT_BYTES = 16


class Tombstone(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Trigger's own message through the partition of a customer who is to be erased; it names nobody."""

    erasure: str
    partition: int


class ProfileErased(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A customer is to be erased wherever anything is kept. `at`: all that was received by then is meant, µs.

    `profile`: normalised (DOMAIN §2.1). `suppress`: signals of this customer are to be refused from now on.
    """

    erasure: str
    at: int
    configuration: str
    id_type: str
    profile: str
    suppress: bool = False


class ErasureDone(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A service has erased a customer: store → how many rows went or were blackened."""

    erasure: str
    reader: str
    at: int
    counts: dict[str, int]


class UnreadableErasure(ValueError):
    """The bytes are no message of that type."""


_tombstone = msgspec.json.Decoder(Tombstone)
_erased = msgspec.json.Decoder(ProfileErased)
_done = msgspec.json.Decoder(ErasureDone)


def decode_tombstone(body: bytes) -> Tombstone:
    """A tombstone; raises UnreadableErasure."""
    try:
        return _tombstone.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableErasure(str(error)) from error


def decode_profile_erased(body: bytes) -> ProfileErased:
    """Whom to erase; raises UnreadableErasure."""
    try:
        return _erased.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableErasure(str(error)) from error


def decode_erasure_done(body: bytes) -> ErasureDone:
    """An answer; raises UnreadableErasure."""
    try:
        return _done.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableErasure(str(error)) from error


def subject_of(pepper: bytes, configuration: str, id_type: str, profile: str) -> bytes:
    """The keyed hash that stands for a customer after the erasure: without the installation's key it names nobody."""
    text = f"{len(configuration)}:{configuration}{len(id_type)}:{id_type}{profile}"
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), "sha256")[:_SUBJECT_BYTES]


def erased_signal_of(pepper: bytes, key: bytes) -> bytes:
    """The same for a signal of an erased customer, by what makes two copies of it the same (DOMAIN §6.8)."""
    return hmac.digest(pepper, b"signal:" + key, "sha256")[:_SUBJECT_BYTES]
