"""REST documents of trigger: what is asked and what is given, as marshmallow schemas."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.moments import STATUSES
from contracts.times import from_rfc3339, to_rfc3339
from services.trigger.api.cursors import Cursor, Number, Word

_MOST = 500


class Instant(ma.fields.String):
    """Microseconds inside, RFC 3339 outside."""

    def _serialize(self, value: Any, *_context: Any, **_options: Any) -> str | None:
        return None if value is None else to_rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        try:
            return from_rfc3339(super()._deserialize(value, attr, data, **options))
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError("Write a date-time with a zone, as 2026-11-23T10:15:30Z.") from error


def instant(about: str, data_key: str | None = None, **options: Any) -> Instant:
    """An instant that is always given."""
    metadata = {"description": about, "format": "date-time"}
    return Instant(required=True, data_key=data_key, metadata=metadata, **options)


def counter(about: str) -> ma.fields.Integer:
    """A whole number that is always there."""
    return ma.fields.Integer(required=True, metadata={"description": about})


def reasons(about: str) -> ma.fields.Dict:
    """Numbers by reason."""
    return ma.fields.Dict(
        keys=ma.fields.String(), values=ma.fields.Integer(), required=True, metadata={"description": about}
    )


def next_page() -> ma.fields.String:
    """The cursor of the next page."""
    about = "Hand it back as `cursor` for the next page; null at the end."
    return ma.fields.String(required=True, allow_none=True, metadata={"description": about})


class PageQuerySchema(ma.Schema):
    """Which part of a list is asked for."""

    limit = ma.fields.Integer(
        load_default=50,
        validate=ma.validate.Range(1, _MOST),
        metadata={"description": "Items of a page."},
    )


class SpanQuerySchema(PageQuerySchema):
    """From when to before when; a plus sign of a zone is escaped."""

    since = Instant(
        data_key="from", load_default=None, metadata={"description": "Not before this instant.", "format": "date-time"}
    )
    until = Instant(
        data_key="to", load_default=None, metadata={"description": "Before this instant.", "format": "date-time"}
    )


class EventsQuerySchema(SpanQuerySchema):
    """Which outcomes are asked for, by the instant of the decision."""

    reason = ma.fields.String(
        load_default=None,
        validate=ma.validate.Regexp(r"\A[^\x00]{1,200}\Z", error="This is no reason."),
        metadata={"description": "Only what was suppressed for this reason.", "examples": ["cool_down"]},
    )

    cursor = Cursor(tuple[Number, Word], load_default=None)
    outcome = ma.fields.String(
        load_default="raised",
        validate=ma.validate.OneOf(["raised", "suppressed", "all"]),
        metadata={"description": "Raised occurrences, suppressed ones, or both."},
    )


class WaitsQuerySchema(PageQuerySchema):
    """Which part of the pending waits is asked for."""

    cursor = Cursor(tuple[Number, bytes, Number], load_default=None)


class RecoveriesQuerySchema(SpanQuerySchema):
    """Which recoveries are asked for, by the instant at which they were counted."""

    cursor = Cursor(tuple[Number, Word], load_default=None)


class ContradictionsQuerySchema(PageQuerySchema):
    """Which part of the contradictions is asked for."""

    cursor = Cursor(tuple[Number, bytes, Word, Word], load_default=None)


class ProfileSchema(ma.Schema):
    """A customer."""

    id_type = ma.fields.String(required=True, data_key="idType", attribute="idType", metadata={"examples": ["email"]})
    id = ma.fields.String(required=True, metadata={"examples": ["ada@example.com"]})


class ProcessSchema(ma.Schema):
    """What the customer left unfinished."""

    kind = ma.fields.String(required=True, metadata={"examples": ["cart"]})
    id = ma.fields.String(required=True, metadata={"examples": ["c-42"]})


class SignalReferenceSchema(ma.Schema):
    """A signal by its source and id."""

    source = ma.fields.String(required=True)
    id = ma.fields.String(required=True)


class EventSchema(ma.Schema):
    """A decided occurrence."""

    id = ma.fields.String(required=True, metadata={"description": "The raise's id: that of the published event."})
    outcome = ma.fields.String(required=True, validate=ma.validate.OneOf(["raised", "suppressed"]))
    reason = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why it was suppressed.", "examples": ["empty"]}
    )
    due_at = instant("When the wait was due.", "dueAt")
    decided_at = instant("When it was decided.", "decidedAt")
    profile = ma.fields.Nested(
        ProfileSchema, required=True, allow_none=True, metadata={"description": "null when its process is not kept."}
    )
    process = ma.fields.Nested(
        ProcessSchema, required=True, allow_none=True, metadata={"description": "null when it is not kept."}
    )
    data = ma.fields.Raw(
        required=True,
        allow_none=True,
        metadata={
            "type": ["object", "null"],
            "description": "`data` of the event that journeys receive; null when it was suppressed.",
        },
    )


class EventPageSchema(ma.Schema):
    """Decided occurrences, the newest first."""

    items = ma.fields.List(ma.fields.Nested(EventSchema), required=True)
    next = next_page()


class LedgerSchema(ma.Schema):
    """The ledger of a moment: opened = raised + ended + suppressed + pending, at every instant."""

    opened = counter("Waits that were opened.")
    slid = counter("Times that a wait's last activity moved.")
    raised = counter("Waits that came due and were raised.")
    ended = reasons("Waits that ended before they were due, by reason.")
    suppressed = reasons("Waits that were not raised, by reason.")
    pending = counter("Waits that are not decided.")
    contradicted = counter("Signals that came too late to prevent a raise.")
    ignored = counter("Signals older than what is kept of their process.")
    balanced = ma.fields.Boolean(required=True, metadata={"description": "Whether the sum holds."})


class WaitSchema(ma.Schema):
    """A pending wait."""

    profile = ma.fields.Nested(ProfileSchema, required=True)
    process = ma.fields.Nested(ProcessSchema, required=True)
    opened_at = instant("First activity of the occurrence.", "openedAt", allow_none=True)
    last_activity_at = instant("Last activity so far.", "lastActivityAt", allow_none=True)
    due_at = instant("When it is due, if nothing more happens.", "dueAt")


class WaitPageSchema(ma.Schema):
    """Pending waits, about in the order of their dues. A wait that slides meanwhile may be shown again or left out."""

    items = ma.fields.List(ma.fields.Nested(WaitSchema), required=True)
    next = next_page()


class PreviewQuerySchema(ma.Schema):
    """A change of a moment that is thought of; null clears a setting."""

    settings = ma.fields.Dict(keys=ma.fields.String(), metadata={"description": "The settings that change."})
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))


class RaisesExpectedSchema(ma.Schema):
    """Raises expected within an hour if no signal comes, by what is known now."""

    before = counter("Without the change.")
    after = counter("With the change.")


class PreviewSchema(ma.Schema):
    """What a change would do to the pending waits. Nothing is saved."""

    as_of = instant("The instant at which the change is thought to be made.", "asOf")
    pending = counter("Waits that are pending.")
    moved = counter("Waits whose due changes.")
    earlier = counter("Of the moved ones those that come due earlier.")
    later = counter("Of the moved ones those that come due later.")
    due_at_once = ma.fields.Integer(
        required=True,
        data_key="dueAtOnce",
        metadata={"description": "Waits that the change makes due; their raises are spread evenly over a minute."},
    )
    spread_until = instant("The end of that minute.", "spreadUntil", allow_none=True)
    suppressed = counter("Waits that a stop suppresses.")
    raises_in_next_hour = ma.fields.Nested(RaisesExpectedSchema, required=True, data_key="raisesInNextHour")
    exact = ma.fields.Boolean(
        required=True,
        metadata={"description": "Whether every wait was looked at; of very many a sample is, and scaled up."},
    )


class AmountSchema(ma.Schema):
    """An amount of one currency."""

    amount = ma.fields.Float(required=True, metadata={"examples": [49.9]})
    currency = ma.fields.String(metadata={"examples": ["EUR"], "description": "Missing when none was named."})


class RecoverySchema(ma.Schema):
    """The completion of a process after its raise."""

    raise_id = ma.fields.String(required=True, data_key="raiseId")
    signal = ma.fields.Nested(SignalReferenceSchema, required=True)
    time = instant("When it happened.")
    received_at = instant("When it was received.", "receivedAt")
    recorded_at = instant("When it was counted.", "recordedAt")
    value = ma.fields.List(ma.fields.Nested(AmountSchema), required=True)
    profile = ma.fields.Nested(ProfileSchema, required=True, allow_none=True)
    process = ma.fields.Nested(ProcessSchema, required=True, allow_none=True)


class RecoveryPageSchema(ma.Schema):
    """Recoveries, the newest first."""

    items = ma.fields.List(ma.fields.Nested(RecoverySchema), required=True)
    next = next_page()


class ContradictionSchema(ma.Schema):
    """A signal that came after a raise it speaks against."""

    raise_id = ma.fields.String(required=True, data_key="raiseId")
    signal = ma.fields.Nested(SignalReferenceSchema, required=True)
    time = instant("When it happened.")
    received_at = instant("When it was received.", "receivedAt")
    profile = ma.fields.Nested(ProfileSchema, required=True, allow_none=True)
    process = ma.fields.Nested(ProcessSchema, required=True, allow_none=True)


class ContradictionPageSchema(ma.Schema):
    """Contradictions, the newest first."""

    items = ma.fields.List(ma.fields.Nested(ContradictionSchema), required=True)
    next = next_page()
