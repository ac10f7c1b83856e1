"""REST documents of previews: a change that is thought of, and what it would do."""

from __future__ import annotations

import marshmallow as ma

from contracts.moments import STATUSES
from services.config.schemas import MomentChangeSchema


class MomentThoughtSchema(MomentChangeSchema):
    """A change of a moment that is thought of, of its settings or its status."""

    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))


class RaisesExpectedSchema(ma.Schema):
    """Raises expected within an hour if no signal comes, by what is known now."""

    before = ma.fields.Integer(metadata={"description": "Without the change."})
    after = ma.fields.Integer(metadata={"description": "With the change."})


def _foretold(name: str, about: str) -> ma.fields.Integer:
    return ma.fields.Integer(data_key=name, attribute=name, metadata={"description": about})


class MomentPreviewSchema(ma.Schema):
    """What a change would do to the pending waits, and the moment as it would be. Nothing is saved."""

    version = ma.fields.Integer(metadata={"description": "The present version, which the change would replace."})
    status = ma.fields.String(metadata={"description": "The status with the change."})
    settings = ma.fields.Dict(keys=ma.fields.String(), metadata={"description": "The settings with the change."})
    as_of = ma.fields.String(
        data_key="asOf", attribute="asOf", metadata={"format": "date-time", "description": "When trigger was asked."}
    )
    pending = _foretold("pending", "Waits that are pending.")
    moved = _foretold("moved", "Waits whose due changes.")
    earlier = _foretold("earlier", "Of the moved ones those that come due earlier.")
    later = _foretold("later", "Of the moved ones those that come due later.")
    due_at_once = _foretold("dueAtOnce", "Waits that the change makes due; their raises are spread over a minute.")
    spread_until = ma.fields.String(
        data_key="spreadUntil",
        attribute="spreadUntil",
        allow_none=True,
        metadata={"format": "date-time", "description": "The end of that minute."},
    )
    suppressed = _foretold("suppressed", "Waits that a stop suppresses.")
    raises_in_next_hour = ma.fields.Nested(
        RaisesExpectedSchema, data_key="raisesInNextHour", attribute="raisesInNextHour"
    )
    exact = ma.fields.Boolean(metadata={"description": "Whether every wait was looked at, or a sample of very many."})
