"""REST documents of analytics, as marshmallow schemas."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.times import DAY, from_rfc3339, parse_duration
from services.trigger.api.periods import GRANULARITIES, MOST_POINTS, Period
from services.trigger.api.schemas import EventSchema, counter, instant, reasons

_LONGEST = 400 * DAY
_GRANULARITY = ma.validate.OneOf(list(GRANULARITIES))


class _AskedInstant(ma.fields.String):
    """RFC 3339 outside, microseconds inside."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = super()._deserialize(value, attr, data, **options)
        try:
            return from_rfc3339(text.replace(" ", "+"))  # a plus sign that was not escaped
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError("A time is a date-time with a zone, as 2026-11-23T10:15:30Z.") from error


class _AskedDuration(ma.fields.String):
    """ISO 8601 outside, microseconds inside."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = super()._deserialize(value, attr, data, **options)
        try:
            length = parse_duration(text)
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError("A duration is written as in ISO 8601: PT1H, P1D, P30D.") from error
        if not 0 < length <= _LONGEST:
            raise ma.ValidationError("Ask for 1 second to 400 days.")
        return length


class StreamQuerySchema(ma.Schema):
    """Of which latest period numbers are pushed."""

    period = _AskedDuration(
        load_default=None,
        metadata={
            "description": "Length of the period that ends now; P1D unless another is given.",
            "examples": ["P7D"],
        },
    )
    granularity = ma.fields.String(
        load_default=None,
        validate=_GRANULARITY,
        metadata={"description": f"Step of the series, of {MOST_POINTS} points at most; else chosen by the length."},
    )

    @ma.post_load
    def as_period(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """One argument for the view."""
        length = data["period"] or DAY
        return {"period": Period(data.get("start"), data.get("end"), length, data["granularity"])}


class AnalyticsQuerySchema(StreamQuerySchema):
    """Which period is asked for: `from` and `to`, or the latest `period`."""

    start = _AskedInstant(
        data_key="from", load_default=None, metadata={"description": "Start of the period.", "format": "date-time"}
    )
    end = _AskedInstant(
        data_key="to", load_default=None, metadata={"description": "Its end; now by default.", "format": "date-time"}
    )

    @ma.validates_schema
    def one_start(self, data: dict[str, Any], **_: Any) -> None:
        """`from` and `period` both tell the start."""
        if data.get("start") is not None and data.get("period") is not None:
            raise ma.ValidationError("Give `from` or `period`, not both.", "period")


class CountsSchema(ma.Schema):
    """What was counted in a span of time."""

    signals = counter("New signals of kinds that the template heeds, while the moment ran.")
    opened = counter("Waits that were opened.")
    slid = counter("Times that a wait's last activity moved.")
    raised = counter("Waits that came due and were raised.")
    contradicted = counter("Signals that came too late to prevent a raise.")
    recovered = counter("Raises after which the process was completed.")
    ignored = counter("Signals older than what is kept of their process.")
    ended = reasons("Waits that ended before they were due, by reason.")
    suppressed = reasons("Waits that were not raised, by reason.")
    recovered_value = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Float(),
        required=True,
        data_key="recoveredValue",
        metadata={"description": "Value of what was completed, by currency; XXX where none was named."},
    )


class PointSchema(CountsSchema):
    """What was counted in one bucket."""

    at = instant("Start of the bucket, in UTC.")


class NowSchema(ma.Schema):
    """The present."""

    pending = counter("Waits that are not decided.")
    next_due_at = instant(
        "Earliest due among the waits that stand first in the due index.", "nextDueAt", allow_none=True
    )


class FunnelSchema(ma.Schema):
    """Opened → raised → recovered, each as counted in the period: a raise may belong to a wait of an earlier one."""

    opened = counter("Waits that were opened.")
    raised = counter("Raises.")
    recovered = counter("Recoveries.")
    raised_rate = ma.fields.Float(
        required=True, allow_none=True, data_key="raisedRate", metadata={"description": "raised / opened"}
    )
    recovered_rate = ma.fields.Float(
        required=True, allow_none=True, data_key="recoveredRate", metadata={"description": "recovered / raised"}
    )


def _milliseconds(about: str) -> ma.fields.Float:
    return ma.fields.Float(required=True, allow_none=True, metadata={"description": f"{about}, in ms."})


class LatenessSchema(ma.Schema):
    """From the due of a raise to the broker's confirmation; each off by at most 19 %."""

    count = counter("Raises that were confirmed in the period.")
    p50 = _milliseconds("Half of them were not later")
    p95 = _milliseconds("95 % of them were not later")
    p99 = _milliseconds("99 % of them were not later")


class FiguresSchema(ma.Schema):
    """The analytics of a moment in a period, as of one instant."""

    moment_id = ma.fields.String(required=True, data_key="momentId")
    as_of = instant("When this was read; everything that was committed by then is in it.", "asOf")
    start = instant("Start of the first bucket.", "from")
    end = instant("End of the last bucket, which may lie ahead.", "to")
    granularity = ma.fields.String(required=True, validate=_GRANULARITY)
    totals = ma.fields.Nested(CountsSchema, required=True)
    now = ma.fields.Nested(NowSchema, required=True)
    funnel = ma.fields.Nested(FunnelSchema, required=True)
    lateness = ma.fields.Nested(LatenessSchema, required=True)
    distinct_profiles = ma.fields.Integer(
        required=True,
        data_key="distinctProfiles",
        metadata={"description": "Profiles of the raises of the period, as long as these are kept."},
    )
    series = ma.fields.List(ma.fields.Nested(PointSchema), required=True)


class AnalyticsSchema(FiguresSchema):
    """The analytics of a moment with its latest outcomes."""

    latest = ma.fields.List(ma.fields.Nested(EventSchema), required=True)


class OverviewItemSchema(ma.Schema):
    """One moment at a glance."""

    moment_id = ma.fields.String(required=True, data_key="momentId")
    type = ma.fields.String(required=True)
    status = ma.fields.String(required=True)
    pending = counter("Waits that are not decided.")
    raised = counter("Raises of the 24 hours.")
    raised_by_hour = ma.fields.List(
        ma.fields.Integer(),
        required=True,
        data_key="raisedByHour",
        metadata={"description": "24 numbers, the first for the hour that begins at `from`, the last for the present."},
    )


class OverviewSchema(ma.Schema):
    """All moments at a glance, as of one instant."""

    as_of = instant("When this was read.", "asOf")
    start = instant("Start of the first hour.", "from")
    items = ma.fields.List(ma.fields.Nested(OverviewItemSchema), required=True)
