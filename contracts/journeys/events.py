"""An event as a journey reads it, whatever its kind, and the routing keys by which a journey binds it (DOMAIN §7)."""

from __future__ import annotations

from typing import Any

import msgspec

MOMENTS = "moment.*"
"""Every raise of every type."""
RECOVERED = "moment.*.recovered"
"""Every recovery."""
SIGNALS = "signal.#"
"""Every accepted signal."""
PROFILES = "audience.profile"
"""Every change of a profile of an audience."""


def moment_key(type: str) -> str:
    """`moment.cart_abandon`: the raises of one type, by whatever moment."""
    return f"moment.{type}"


def signal_key(kind: str) -> str:
    """`signal.survey.start` of the kind `survey/start`: a journey that needs no moment."""
    return f"signal.{kind.replace('/', '.')}"


class UnreadableEvent(ValueError):
    """The bytes are no event."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent; fields that are not listed here are not kept. The schema of its type says what `data` holds."""

    id: str
    type: str
    source: str = ""
    time: str = ""
    dataschema: str = ""
    data: dict[str, Any] = {}

    @property
    def identity(self) -> str:
        """What is the same for every copy of it and for no other event.

        Source and id; a signal's id is its sender's, so that configuration and profile belong to it (DOMAIN §6.8).
        """
        parts = [self.source, self.id]
        if self.type.startswith("signal."):
            configuration, profile = (self._part(name) for name in ("audienceConfiguration", "profile"))
            parts += [str(part) for part in (configuration.get("id"), profile.get("idType"), profile.get("id"))]
        return msgspec.json.encode(parts).decode()

    def _part(self, name: str) -> dict[str, Any]:
        part = self.data.get(name)
        return part if isinstance(part, dict) else {}


_decoder = msgspec.json.Decoder(Event)


def decode_event(body: bytes) -> Event:
    """The event of a message body; raises UnreadableEvent with the reason."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableEvent(str(error)) from error
