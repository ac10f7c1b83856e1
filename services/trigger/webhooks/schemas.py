"""REST documents of webhooks, as marshmallow schemas."""

from __future__ import annotations

import unicodedata
from typing import Any

import marshmallow as ma

from contracts.texts import composed
from contracts.times import from_rfc3339, to_rfc3339
from services.trigger.api.cursors import Cursor, Number, Word
from services.trigger.webhooks.patterns import pattern_fault
from services.trigger.webhooks.resources import DISABLED_REASONS, STATES
from services.trigger.webhooks.targets import LONGEST_URL

_MOST_PATTERNS = 50
_LONGEST_OVERLAP = 30 * 86_400
_MICROSECONDS = 1000


class _Text(ma.fields.String):
    """A text in NFC without spaces around it and without control characters; `lines` allows line breaks."""

    def __init__(self, longest: int, *, shortest: int = 1, lines: bool = False, **options: Any) -> None:
        super().__init__(validate=ma.validate.Length(shortest, longest), **options)
        self._longest, self._allowed = longest, "\n\r\t" if lines else ""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = composed(super()._deserialize(value, attr, data, **options).strip(), self._longest)
        if any(unicodedata.category(each) in ("Cc", "Cs") and each not in self._allowed for each in text):
            raise ma.ValidationError("Control characters are not allowed.")
        return text


class _Pattern(ma.fields.String):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **options)
        if fault := pattern_fault(text):
            raise ma.ValidationError(fault)
        return text


class _Instant(ma.fields.String):
    """Microseconds inside, RFC 3339 outside."""

    def _serialize(self, value: Any, *_context: Any, **_options: Any) -> str | None:
        return None if value is None else to_rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        try:
            return from_rfc3339(super()._deserialize(value, attr, data, **options))
        except ValueError as error:
            raise ma.ValidationError("Write a date-time with a zone, as 2026-11-23T10:15:30Z.") from error


class _Milliseconds(ma.fields.Float):
    """Microseconds inside, milliseconds outside."""

    def _serialize(self, value: Any, *_context: Any, **_options: Any) -> float:
        milliseconds: float = round(value / _MICROSECONDS, 1)
        return milliseconds


def _instant(about: str, data_key: str | None = None, **options: Any) -> _Instant:
    return _Instant(data_key=data_key, metadata={"description": about, "format": "date-time"}, **options)


def _name(**options: Any) -> _Text:
    return _Text(200, metadata={"description": "What people call it.", "examples": ["E-mail journey"]}, **options)


def _description(**options: Any) -> _Text:
    return _Text(2_000, shortest=0, lines=True, metadata={"description": "What it is for."}, **options)


def _url(**options: Any) -> ma.fields.String:
    about = "Where events are sent: https, without user, password and fragment, to a public address."
    return ma.fields.String(
        validate=ma.validate.Length(1, LONGEST_URL),
        metadata={"description": about, "examples": ["https://journeys.example.com/moments"]},
        **options,
    )


def _patterns(**options: Any) -> ma.fields.List[Any]:
    about = "Routing keys as AMQP topics: `*` is one word, `#` any number of words. One that matches is enough."
    return ma.fields.List(
        _Pattern(),
        validate=ma.validate.Length(1, _MOST_PATTERNS),
        metadata={"description": about, "examples": [["moment.*", "signal.survey.start"]]},
        **options,
    )


def _enabled(**options: Any) -> ma.fields.Boolean:
    about = "Whether events are taken up and sent. What waits when it is disabled goes on once it is enabled."
    return ma.fields.Boolean(truthy={True}, falsy={False}, metadata={"description": about}, **options)


class NewWebhookSchema(ma.Schema):
    """What a webhook is made of."""

    name = _name(required=True)
    description = _description(load_default="")
    url = _url(required=True)
    patterns = _patterns(required=True)
    enabled = _enabled(load_default=True)


class WebhookChangeSchema(ma.Schema):
    """What changes of a webhook; a field that is not there stays as it is."""

    name = _name()
    description = _description()
    url = _url()
    patterns = _patterns()
    enabled = _enabled()


class WebhookSchema(ma.Schema):
    """A webhook."""

    id = ma.fields.String(metadata={"format": "uuid"})
    name = _name()
    description = _description()
    url = ma.fields.String()
    patterns = ma.fields.List(ma.fields.String())
    enabled = ma.fields.Boolean()
    disabled_at = _instant("When it was disabled.", "disabledAt", allow_none=True)
    disabled_reason = ma.fields.String(
        data_key="disabledReason",
        allow_none=True,
        validate=ma.validate.OneOf([*DISABLED_REASONS, None]),
        metadata={"description": "By a caller, by the answer 410, or after days without a success."},
    )
    failing_since = _instant("The first failure since the last success.", "failingSince", allow_none=True)
    previous_until = _instant("Until when the former secret signs too.", "previousSecretUntil", allow_none=True)
    version = ma.fields.Integer(metadata={"description": "Rises with every change; also the ETag."})
    created_at = _instant("When it was made.", "createdAt")
    updated_at = _instant("When it was changed last.", "updatedAt")


class WebhookWithSecretSchema(WebhookSchema):
    """A webhook with its secret, in the answer that made it only."""

    secret = ma.fields.String(
        metadata={"description": "Verifies signatures; shown this once.", "examples": ["whsec_…"]}
    )


class SecretRotationSchema(ma.Schema):
    """Making the secret anew."""

    overlap_seconds = ma.fields.Integer(
        strict=True,
        data_key="overlapSeconds",
        load_default=86_400,
        validate=ma.validate.Range(0, _LONGEST_OVERLAP),
        metadata={"description": "How long the former secret signs too."},
    )


class RedeliverySchema(ma.Schema):
    """Which dead letters to send again."""

    since = _instant("Those taken up since; without it all.", load_default=None)


class RedeliveredSchema(ma.Schema):
    """How many dead letters are sent again."""

    redelivered = ma.fields.Integer(required=True)


class WebhookTestSchema(ma.Schema):
    """What came back of a sample event."""

    event_id = ma.fields.String(data_key="eventId", metadata={"description": "The header webhook-id that was sent."})
    delivered = ma.fields.Boolean(metadata={"description": "Whether the answer was a 2xx."})
    status = ma.fields.Integer(allow_none=True, metadata={"description": "Null when no answer came."})
    error = ma.fields.String(allow_none=True, metadata={"description": "What went wrong, in words."})
    duration = _Milliseconds(data_key="milliseconds")
    answer = ma.fields.String(metadata={"description": "The beginning of the answer's body."})


class AttemptSchema(ma.Schema):
    """One request for a delivery."""

    at = _instant("When.")
    status = ma.fields.Integer(allow_none=True, metadata={"description": "Null when no answer came."})
    duration = _Milliseconds(data_key="milliseconds")
    error = ma.fields.String(metadata={"description": "What went wrong, in words; empty for a 2xx."})


class DeliverySchema(ma.Schema):
    """An event on its way to a webhook."""

    id = ma.fields.String(required=True)
    webhook_id = ma.fields.String(data_key="webhookId", metadata={"description": "The header webhook-id."})
    event_id = ma.fields.String(data_key="eventId")
    type = ma.fields.String(metadata={"examples": ["moment.cart_abandon"]})
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))
    taken_at = _instant("When it was taken up.", "takenAt")
    attempts = ma.fields.Integer(metadata={"description": "Since it was taken up or redelivered last."})
    next_attempt_at = _instant("When it is tried next.", "nextAttemptAt", allow_none=True)
    finished_at = _instant("When it was delivered or given up.", "finishedAt", allow_none=True)
    log = ma.fields.List(ma.fields.Nested(AttemptSchema), metadata={"description": "All attempts, the oldest first."})


class WholeDeliverySchema(DeliverySchema):
    """An event on its way to a webhook, with the event."""

    event = ma.fields.Raw(metadata={"type": "object", "description": "The event as it is sent."})


class WebhooksQuerySchema(ma.Schema):
    """Which part of the webhooks is asked for."""

    limit = ma.fields.Integer(
        load_default=50, validate=ma.validate.Range(1, 500), metadata={"description": "At most so many."}
    )
    cursor = Cursor(tuple[Number, Word], load_default=None)


class DeliveriesQuerySchema(ma.Schema):
    """Which deliveries are asked for."""

    limit = ma.fields.Integer(
        load_default=50, validate=ma.validate.Range(1, 500), metadata={"description": "At most so many."}
    )
    cursor = Cursor(tuple[Number], load_default=None)
    state = ma.fields.String(
        load_default="all",
        validate=ma.validate.OneOf([*STATES, "all"]),
        metadata={"description": "Only deliveries of this state."},
    )

    @ma.post_load
    def _place(self, found: dict[str, Any], **_options: Any) -> dict[str, Any]:
        return {**found, "cursor": found["cursor"][0] if found["cursor"] else None}


class WebhookPageSchema(ma.Schema):
    """Webhooks, the newest first."""

    items = ma.fields.List(ma.fields.Nested(WebhookSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True, metadata={"description": "`cursor` of the next page."})


class DeliveryPageSchema(ma.Schema):
    """Deliveries, the newest first."""

    items = ma.fields.List(ma.fields.Nested(DeliverySchema), required=True)
    next = ma.fields.String(required=True, allow_none=True, metadata={"description": "`cursor` of the next page."})
