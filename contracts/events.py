"""What journeys receive of a moment: CloudEvents JSON (DOMAIN §7)."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.configurations import ConfigurationState
from contracts.times import to_rfc3339

EVENT_SCHEMA = "evt:moment/v1"
EVENT_SOURCE = "moments/trigger"


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


_encoder = msgspec.json.Encoder()


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
