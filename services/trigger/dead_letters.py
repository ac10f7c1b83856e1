"""What cannot be taken goes to the dead letters, with the reason."""

from __future__ import annotations

from contracts.topology import DEAD_LETTERS
from shared.broker import Message

_LONGEST_REASON = 500


def dead_letter(body: bytes, queue: str, reason: str) -> Message:
    """The message that keeps a body which came by `queue`."""
    return Message(
        exchange=DEAD_LETTERS,
        routing_key="dead",
        body=body,
        message_id="dead",
        content_type="application/octet-stream",
        headers={"reason": reason[:_LONGEST_REASON], "queue": queue},
    )
