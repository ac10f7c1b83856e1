"""Messages by which a raise waits for what anonymous customers sent to its profile (DOMAIN §6.5, docs/decisions/043).

A signal of an anonymous id that is known takes two steps: through the partition of that id, its *source*, and from
there into the profile's. These messages go the same two ways, so that their order among the signals proves what has
come through. Their ids begin like a marker's, and their `nonce` is empty: a trigger that does not know them takes them
for markers of another, and drops them.
"""

from __future__ import annotations

import msgspec

from contracts.wire import MARKER_ID_PREFIX, UnreadableMessage

JOINING = "joining"
JOINING_TYPE = "application/vnd.moments.joining+json"
JOINING_ID_PREFIX = f"{MARKER_ID_PREFIX}joining:"
INQUIRY = "inquiry"
INQUIRY_TYPE = "application/vnd.moments.inquiry+json"
INQUIRY_ID_PREFIX = f"{MARKER_ID_PREFIX}inquiry:"
REPLY = "reply"
REPLY_TYPE = "application/vnd.moments.reply+json"
REPLY_ID_PREFIX = f"{MARKER_ID_PREFIX}reply:"


class Joining(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Ingestion was told that an anonymous id of the partition `source` is this profile; through the profile's.

    It is published with *identified*, before the sender is answered: whoever raises for the profile knows in time what
    to wait for. `at`: when that was received, µs.
    """

    partition: int
    configuration: str
    id_type: str
    profile: str
    source: int
    at: int
    nonce: str = ""


class Inquiry(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Through the partition of anonymous ids: let `asker`, a partition of profiles, know when this has come through.

    `at`: the clock before it was published, µs. `epoch`: of the partition as the asker knew it; who has it under
    another one sends the inquiry again under its own, for only then it follows all that it has learned.
    """

    partition: int
    asker: int
    at: int
    epoch: int
    nonce: str = ""


class Reply(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Into the asker's partition: what the `source` received before `until` (µs) stands in the partition before this.

    `at`: of the inquiry that it answers.
    """

    partition: int
    source: int
    at: int
    until: int
    nonce: str = ""


_joining = msgspec.json.Decoder(Joining)
_inquiry = msgspec.json.Decoder(Inquiry)
_reply = msgspec.json.Decoder(Reply)
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError)


def decode_joining(body: bytes) -> Joining:
    """Whose signals may join a profile; raises UnreadableMessage."""
    try:
        return _joining.decode(body)
    except _FAULTS as error:
        raise UnreadableMessage(str(error)) from error


def decode_inquiry(body: bytes) -> Inquiry:
    """A question to a source; raises UnreadableMessage."""
    try:
        return _inquiry.decode(body)
    except _FAULTS as error:
        raise UnreadableMessage(str(error)) from error


def decode_reply(body: bytes) -> Reply:
    """The answer to one; raises UnreadableMessage."""
    try:
        return _reply.decode(body)
    except _FAULTS as error:
        raise UnreadableMessage(str(error)) from error
