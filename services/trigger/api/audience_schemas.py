"""REST documents of audiences: which there are, and their profiles."""

from __future__ import annotations

from typing import Any, Literal

import marshmallow as ma

from contracts.signals import PROFILE_FIELDS
from services.trigger.api.cursors import Cursor, Number, Word
from services.trigger.api.schemas import Instant, PageQuerySchema, ProfileSchema, next_page

_ORDERS = ["changed", "profile"]


def _text(about: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(required=True, metadata={"description": about}, **options)


def _time(about: str, data_key: str) -> ma.fields.String:
    """An instant that is text already."""
    metadata = {"description": about, "format": "date-time"}
    return ma.fields.String(required=True, data_key=data_key, attribute=data_key, metadata=metadata)


class NamedSchema(ma.Schema):
    """A thing by id, with its name for people."""

    id = ma.fields.String(required=True)
    name = ma.fields.String(required=True)


class AudienceSchema(ma.Schema):
    """An audience of the marketing platform."""

    id = _text("Its id in the marketing platform.")
    name = _text("Its name.")
    audience_configurations = ma.fields.List(
        ma.fields.Nested(NamedSchema),
        required=True,
        data_key="audienceConfigurations",
        metadata={"description": "The configurations that update it."},
    )
    profiles = ma.fields.Integer(required=True, metadata={"description": "Profiles, counted for each configuration."})


class AudienceListSchema(ma.Schema):
    """All audiences, by id."""

    items = ma.fields.List(ma.fields.Nested(AudienceSchema), required=True)


class ProfilesQuerySchema(PageQuerySchema):
    """Which profiles are asked for, in which order."""

    cursor = Cursor(tuple[Literal["changed", "profile"], Number, Word, Word, Word], load_default=None)
    order = ma.fields.String(
        load_default="changed",
        validate=ma.validate.OneOf(_ORDERS),
        metadata={"description": "The latest changed first, or by idType and id."},
    )
    id_type = ma.fields.String(
        load_default=None,
        data_key="idType",
        validate=ma.validate.OneOf(list(PROFILE_FIELDS)),
        metadata={"description": "Only profiles of this idType."},
    )
    profile = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, 255),
        metadata={"description": "Only the profile of this id; an e-mail address in any spelling."},
    )
    last_seen_since = Instant(
        load_default=None,
        data_key="lastSeenSince",
        metadata={
            "description": "Only profiles that were seen then or later. A page may then be short: go on with `next`.",
            "format": "date-time",
        },
    )

    @ma.validates_schema
    def _one_order(self, data: dict[str, Any], **_options: Any) -> None:
        cursor = data.get("cursor")
        if cursor is not None and cursor[0] != data["order"]:
            raise ma.ValidationError("This is a cursor of another order.", "cursor")
        if data.get("profile") is not None and "\0" in data["profile"]:
            raise ma.ValidationError("It holds a character that no profile has.", "profile")


class LastSignalSchema(ma.Schema):
    """The latest signal of a profile."""

    type = _text("Its kind.")
    source = _text("Its source.")
    id = _text("Its id.")
    time = _time("When it happened.", "time")
    site = _text("Its site.", allow_none=True)


class LastMomentSchema(ma.Schema):
    """The latest raise for a profile."""

    id = _text("The moment.")
    name = _text("Its name.")
    type = _text("Its type.")
    raise_id = ma.fields.String(required=True, data_key="raiseId", attribute="raiseId")
    raised_at = _time("When it was raised.", "raisedAt")


class ProfileCountsSchema(ma.Schema):
    """How much came of a profile."""

    signals = ma.fields.Integer(required=True)
    raises = ma.fields.Integer(required=True)


class AudienceProfileSchema(ma.Schema):
    """What is known of a customer now: as in `data` of the latest `audience.profile` event, with what came since."""

    audience = ma.fields.Nested(NamedSchema, required=True)
    audience_configuration = ma.fields.Nested(
        NamedSchema, required=True, data_key="audienceConfiguration", attribute="audienceConfiguration"
    )
    profile = ma.fields.Nested(ProfileSchema, required=True)
    version = ma.fields.Integer(required=True, metadata={"description": "That of the latest event."})
    changed_at = _time("Time of the latest event.", "changedAt")
    first_seen_at = _time("Time of its first signal.", "firstSeenAt")
    last_seen_at = _time("Time of its latest signal.", "lastSeenAt")
    last_signal = ma.fields.Nested(LastSignalSchema, required=True, data_key="lastSignal", attribute="lastSignal")
    attributes = ma.fields.Dict(keys=ma.fields.String(), required=True)
    last_moment = ma.fields.Nested(
        LastMomentSchema, required=True, allow_none=True, data_key="lastMoment", attribute="lastMoment"
    )
    counts = ma.fields.Nested(ProfileCountsSchema, required=True)


class AudienceProfilePageSchema(ma.Schema):
    """Profiles of an audience."""

    items = ma.fields.List(ma.fields.Nested(AudienceProfileSchema), required=True)
    next = next_page()
