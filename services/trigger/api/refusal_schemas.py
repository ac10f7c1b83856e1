"""REST documents of refused signals and their replays."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from services.trigger.api.cursors import Cursor, Number
from services.trigger.api.recent_schemas import RecentSignalSchema, WholeSignalSchema
from services.trigger.api.schemas import Instant, PageQuerySchema, counter, instant, next_page
from services.trigger.store.replays import STATES

MOST_IDS = 500


def _asked(about: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(
        load_default=None, validate=ma.validate.Length(1, 300), metadata={"description": about}, **options
    )


def _instant(about: str) -> Instant:
    return Instant(load_default=None, metadata={"description": about, "format": "date-time"})


class WantedRefusalsSchema(ma.Schema):
    """Which refused signals are meant; without anything: all."""

    configuration = _asked("Only those of this audience configuration.", data_key="configurationId")
    code = _asked("Only those refused for this reason: its code.")
    kind = _asked("Only this kind, as cart/add.")
    since = _instant("Only those received at this instant or later.")
    until = _instant("Only those received before this instant.")


class RefusalsQuerySchema(PageQuerySchema, WantedRefusalsSchema):
    """Which refused signals are asked for."""

    cursor = Cursor(tuple[Number], load_default=None)
    state = ma.fields.String(
        load_default=None,
        validate=ma.validate.OneOf(STATES),
        metadata={
            "description": "Only those that may be replayed now, wait for the outcome of a replay, were replayed, were"
            " refused once more, or are not kept or past mending."
        },
    )


class RefusalPageSchema(ma.Schema):
    """Refused signals, the latest first."""

    items = ma.fields.List(ma.fields.Nested(RecentSignalSchema), required=True)
    next = next_page()


class RefusedSignalSchema(WholeSignalSchema):
    """A refused signal, with its content."""


class WantedReplaySchema(ma.Schema):
    """Which refused signals are to be replayed: by their ids, or by what they have in common."""

    ids = ma.fields.List(
        ma.fields.String(validate=ma.validate.Regexp(r"r[0-9]{1,18}\Z", error="Is no id of a refused signal.")),
        load_default=None,
        validate=ma.validate.Length(1, MOST_IDS),
        metadata={"description": "Ids of refused signals.", "examples": [["r17", "r18"]]},
    )
    where = ma.fields.Nested(
        WantedRefusalsSchema, load_default=None, metadata={"description": "Or all that are meant by this."}
    )

    @ma.validates_schema
    def _one_of_both(self, values: dict[str, Any], **_options: Any) -> None:
        if (values.get("ids") is None) == (values.get("where") is None):
            raise ma.ValidationError("Name either ids or where.")


class NewReplaySchema(WantedReplaySchema):
    """A wish for replays."""

    by = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, 200),
        metadata={"description": "Who asks, where a service asks for somebody; only with the admin token."},
    )


class ReplayPreviewSchema(ma.Schema):
    """What a wish for replays would take."""

    found = counter("Refused signals that may be replayed now.")


class ReplaySchema(ma.Schema):
    """A request for replays, and how far it is."""

    id = ma.fields.String(required=True)
    asked_at = instant("When it was asked for.", data_key="askedAt")
    asked_by = ma.fields.String(
        required=True, data_key="askedBy", metadata={"description": "Who asked: a person, an API token, a service."}
    )
    wanted = ma.fields.Dict(
        keys=ma.fields.String(),
        required=True,
        metadata={"description": "What was asked for; of `ids` their number."},
    )
    found = counter("Refused signals that it took.")
    waiting = counter("Of those, the ones without an answer yet.")
    replayed = counter("Those that are stored now.")
    refused = counter("Those that were refused once more.")
    gone = counter("Those that were forgotten meanwhile, or taken by a later request.")


class ReplaysSchema(ma.Schema):
    """The latest requests for replays, the newest first."""

    items = ma.fields.List(ma.fields.Nested(ReplaySchema), required=True)
