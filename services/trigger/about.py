"""Whose an event is: the key of the profile that its data name."""

from __future__ import annotations

from typing import Any

import msgspec

from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key
from shared.structs import learn


class _Profile(msgspec.Struct, rename="camel"):
    id_type: str
    id: str


class _Configuration(msgspec.Struct):
    id: str


class _Data(msgspec.Struct, rename="camel"):
    profile: _Profile | None = None
    audience_configuration: _Configuration | None = None


class _Event(msgspec.Struct):
    data: Any = None


_event = msgspec.json.Decoder(_Event)
learn(_Data)


def profile_in(data: Any) -> ProfileId | None:
    """The profile in the `data` of an event; None where they name none."""
    try:
        read = msgspec.convert(data, _Data)
    except msgspec.ValidationError:
        return None
    if read.profile is None or read.audience_configuration is None:
        return None
    return ProfileId(read.audience_configuration.id, read.profile.id_type, read.profile.id)


def profile_of_event(body: bytes) -> ProfileId | None:
    """The profile that an event is about; None where it says none, or is no event."""
    try:
        return profile_in(_event.decode(body).data)
    except (msgspec.DecodeError, RecursionError):
        return None


def profile_about(body: bytes) -> bytes | None:
    """The key of the profile that an event is about; None where it says none, or is no event."""
    found = profile_of_event(body)
    return None if found is None else profile_key(found)
