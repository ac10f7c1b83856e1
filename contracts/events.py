"""What journeys receive of moments and of the audience: CloudEvents JSON (DOMAIN §7)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from contracts.configurations import ConfigurationState
from contracts.ids import named_id
from contracts.times import to_rfc3339

EVENT_SCHEMA = "evt:moment/v1"
RECOVERED_SCHEMA = "evt:moment.recovered/v1"
PROFILE_SCHEMA = "evt:audience.profile/v1"
EVENT_SOURCE = "moments/trigger"
AUDIENCE_PROFILE = "audience.profile"
"""Type and routing key of the message that tells the state of an audience's profile."""


class MomentEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A moment event as journeys read it; `type` is its routing key. See `MomentEventData` for `data`."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str = ""
    dataschema: str = ""
    data: MomentEventData


class MomentEventData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`data` of a moment event: who, where, what was left, and when."""

    moment: dict[str, str]
    audience_configuration: dict[str, str]
    audience: dict[str, str] | None
    profile: dict[str, str]
    site: str | None
    process: dict[str, str]
    content: dict[str, Any]
    attributes: dict[str, Any]
    opened_at: str
    last_activity_at: str
    due_at: str
    raised_at: str
    raise_number: int
    signal_ids: tuple[str, ...]


class RecoveredEventData(MomentEventData, frozen=True, rename="camel", kw_only=True):
    """`data` of a recovered event: that of the raise, and what completed it (DOMAIN §6.10).

    `recovered_by`: source, id and kind of the completing signal. `value`: what was bought or booked, an amount for
    each currency; empty when nothing had a price.
    """

    raise_id: str
    recovered_at: str
    recovered_by: dict[str, str]
    value: list[dict[str, Any]]


class RecoveredEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The process of a raise was completed after it; `type` is `moment.<type>.recovered`."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str = ""
    dataschema: str = ""
    data: RecoveredEventData


class AudienceProfileData(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`data` of an `audience.profile` event: what is known of a customer of an audience now.

    `version` rises with every change of the profile: a reader keeps the greatest. `last_signal`: type, source, id,
    time and site. `last_moment`: id, name and type of the moment, raise id and time of the latest raise; None before
    the first. `counts`: `signals`, `raises`.
    """

    audience: dict[str, str] | None
    audience_configuration: dict[str, str]
    profile: dict[str, str]
    version: int
    first_seen_at: str
    last_seen_at: str
    last_signal: dict[str, Any]
    attributes: dict[str, Any]
    last_moment: dict[str, str] | None
    counts: dict[str, int]


class AudienceProfileEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The audience's profile is to be updated: first seen, attributes changed, or a moment raised (DOMAIN §7)."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str = ""
    dataschema: str = ""
    data: AudienceProfileData


_encoder = msgspec.json.Encoder()
_moment_decoder = msgspec.json.Decoder(MomentEvent)


def recovered_routing_key(moment_type: str) -> str:
    """`moment.cart_abandon.recovered`."""
    return f"{moment_routing_key(moment_type)}.recovered"


def recovered_id_of(raise_id: str) -> str:
    """The id of a raise's recovered event: UUIDv5 of the raise id and "recovered" (DOMAIN §6.10)."""
    return named_id(UUID(raise_id), b"recovered")


def encode_recovered_event(
    raised: bytes, *, time: int, signal: tuple[str, str, str], value: list[dict[str, Any]]
) -> bytes:
    """The bytes of a recovered event from those of the raise's event.

    `time`: the completing signal's, µs. `signal`: its source, id and kind. `value`: amounts by currency.
    """
    event = _moment_decoder.decode(raised)
    of_raise = {name: getattr(event.data, name) for name in MomentEventData.__struct_fields__}
    recovered_at = to_rfc3339(time)
    return _encoder.encode(
        RecoveredEvent(
            specversion="1.0",
            id=recovered_id_of(event.id),
            source=EVENT_SOURCE,
            type=f"{event.type}.recovered",
            time=recovered_at,
            datacontenttype="application/json",
            dataschema=RECOVERED_SCHEMA,
            data=RecoveredEventData(
                **of_raise,
                raise_id=event.id,
                recovered_at=recovered_at,
                recovered_by=dict(zip(("source", "id", "signal"), signal, strict=True)),
                value=value,
            ),
        )
    )


PROFILE_NAMESPACE = UUID("1d2a6c64-6b1e-5c53-9d0f-6f2f0a6c8f11")
"""The constant namespace of the ids of `audience.profile` events."""


def profile_event_id_of(configuration: str, id_type: str, profile: str, version: int) -> str:
    """UUIDv5 of the namespace and the compact JSON array of configuration, idType, profile and version."""
    return named_id(PROFILE_NAMESPACE, msgspec.json.encode((configuration, id_type, profile, version)))


def audience_profile_data(
    *,
    configuration: tuple[str, ConfigurationState | None],
    profile: tuple[str, str],
    version: int,
    times: tuple[int, int],
    last_signal: tuple[str, str, str, str | None],
    attributes: dict[str, Any],
    last_moment: tuple[str, str, str, str, int] | None,
    counts: tuple[int, int],
) -> AudienceProfileData:
    """What is told of an audience's profile.

    `configuration`: its id and its state when known. `profile`: idType, id. `times`: first and last seen, µs.
    `last_signal`: type, source, id, site of the latest one. `last_moment`: id, name, type, raise id and raised at (µs)
    of the latest raise. `counts`: signals, raises.
    """
    identity, state = configuration
    audience = state.audience if state is not None else None
    type_, source, signal_id, site = last_signal
    last_seen = to_rfc3339(times[1])
    return AudienceProfileData(
        audience={"id": audience.id, "name": audience.name} if audience is not None else None,
        audience_configuration={"id": identity, "name": state.name if state is not None else ""},
        profile={"idType": profile[0], "id": profile[1]},
        version=version,
        first_seen_at=to_rfc3339(times[0]),
        last_seen_at=last_seen,
        last_signal={"type": type_, "source": source, "id": signal_id, "time": last_seen, "site": site},
        attributes=attributes,
        last_moment=None if last_moment is None else _last_moment(*last_moment),
        counts={"signals": counts[0], "raises": counts[1]},
    )


def _last_moment(moment_id: str, name: str, moment_type: str, raise_id: str, raised_at: int) -> dict[str, str]:
    return {
        "id": moment_id,
        "name": name,
        "type": moment_type,
        "raiseId": raise_id,
        "raisedAt": to_rfc3339(raised_at),
    }


def encode_profile_event(data: AudienceProfileData, time: int) -> tuple[str, bytes]:
    """The id and the bytes of an `audience.profile` event. `time`: of the change, µs."""
    profile = data.profile
    event_id = profile_event_id_of(data.audience_configuration["id"], profile["idType"], profile["id"], data.version)
    event = AudienceProfileEvent(
        specversion="1.0",
        id=event_id,
        source=EVENT_SOURCE,
        type=AUDIENCE_PROFILE,
        time=to_rfc3339(time),
        datacontenttype="application/json",
        dataschema=PROFILE_SCHEMA,
        data=data,
    )
    return event_id, _encoder.encode(event)


def moment_routing_key(moment_type: str) -> str:
    """`moment.cart_abandon`."""
    return f"moment.{moment_type}"


def encode_moment_event(  # noqa: PLR0913 - one argument for each part of the event
    *,
    raise_id: str,
    moment: tuple[str, str, str],
    configuration: tuple[str, ConfigurationState | None],
    profile: tuple[str, str],
    process: tuple[str, str],
    site: str | None,
    content: dict[str, Any],
    attributes: dict[str, Any],
    times: tuple[int, int, int, int],
    number: int,
    signal_ids: tuple[str, ...],
) -> bytes:
    """The bytes of a moment event.

    `moment`: id, name, type. `configuration`: its id and its state when known. `profile`: idType, id. `process`:
    kind, id. `times`: opened, last activity, due, raised, in microseconds.
    """
    identity, state = configuration
    opened, last, due, raised = (to_rfc3339(instant) for instant in times)
    audience = state.audience if state is not None else None
    return _encoder.encode(
        MomentEvent(
            specversion="1.0",
            id=raise_id,
            source=EVENT_SOURCE,
            type=moment_routing_key(moment[2]),
            time=raised,
            datacontenttype="application/json",
            dataschema=EVENT_SCHEMA,
            data=MomentEventData(
                moment={"id": moment[0], "name": moment[1], "type": moment[2]},
                audience_configuration={"id": identity, "name": state.name if state is not None else ""},
                audience={"id": audience.id, "name": audience.name} if audience is not None else None,
                profile={"idType": profile[0], "id": profile[1]},
                site=site,
                process={"kind": process[0], "id": process[1]},
                content=content,
                attributes=attributes,
                opened_at=opened,
                last_activity_at=last,
                due_at=due,
                raised_at=raised,
                raise_number=number,
                signal_ids=signal_ids,
            ),
        )
    )
