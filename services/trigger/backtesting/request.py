"""What a back-test is asked to run, as its job keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.moments import MomentState, SettingsVersion
from contracts.templates import Template
from services.trigger.engine.moment import Moment, compile_moment


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. `since`, `until`: the period, µs; signals received in it open waits.

    `moment_id` names the moment that is meant, empty when only a template was named. `compare_with`: the settings of
    the second column. `as_it_ran`: follow what the running moment did instead of running it anew.
    """

    type: str
    configuration_id: str
    settings: dict[str, Any]
    since: int
    until: int
    moment_id: str = ""
    name: str = ""
    compare_with: dict[str, Any] | None = None
    as_it_ran: bool = False


_request = msgspec.json.Decoder(Request)


def encode_request(request: Request) -> bytes:
    """The bytes of a job's row."""
    return msgspec.json.encode(request)


def decode_request(blob: bytes) -> Request:
    """The request of a job's row."""
    return _request.decode(blob)


def moment_in_question(request: Request, template: Template, settings: dict[str, Any]) -> Moment:
    """A moment that was started at the beginning of the period with these settings."""
    return compile_moment(
        MomentState(
            id=request.moment_id or "backtest",
            version=1,
            type=template.type,
            name=request.name or template.title,
            configuration_id=request.configuration_id,
            status="running",
            running_since=request.since,
            history=(SettingsVersion(version=1, since=0, settings=settings),),
        ),
        template,
    )
