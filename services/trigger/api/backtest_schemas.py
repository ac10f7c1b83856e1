"""REST documents of back-tests."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from services.trigger.api.cursors import Cursor, Number, Word
from services.trigger.api.schemas import PageQuerySchema, instant, next_page

_NO_NUL = ma.validate.Regexp(r"\A[^\x00]*\Z", error="A text without the character NUL is needed.")
_STATES = ["queued", "running", "done", "failed", "cancelled"]


def _text(about: str, **options: Any) -> ma.fields.String:
    return ma.fields.String(validate=_NO_NUL, metadata={"description": about}, **options)


def _settings(about: str, **options: Any) -> ma.fields.Dict:
    return ma.fields.Dict(keys=ma.fields.String(), metadata={"description": about}, **options)


def _count(about: str) -> ma.fields.Integer:
    return ma.fields.Integer(required=True, metadata={"description": about})


class NewBacktestSchema(ma.Schema):
    """What to run: a moment, with changed settings where wanted, or a template with settings."""

    momentId = _text("A moment in any status, drafts too.", allow_none=True)  # noqa: N815 - as in the document
    type = _text("A template, where no moment is named.", allow_none=True)
    audienceConfigurationId = _text("Whose signals; that of the moment by default.", allow_none=True)  # noqa: N815
    settings = _settings("Merged over the moment's present ones; null clears one.", allow_none=True)
    compareWith = _settings(  # noqa: N815
        "Second settings, merged over the moment's present ones, for a result side by side.", allow_none=True
    )
    to = _text("End of the period; now by default.", allow_none=True)
    asItRan = ma.fields.Boolean(  # noqa: N815
        load_default=False,
        metadata={"description": "Follow what the moment did, with its settings and runs as they were."},
    )

    class Meta:
        """`from` is a word of Python."""

        include = {"from": _text("Start of the period; seven days before its end by default.", allow_none=True)}  # noqa: RUF012


class BacktestsQuerySchema(PageQuerySchema):
    """Which part of the list is asked for."""

    cursor = Cursor(tuple[Number, Word], load_default=None)


class BacktestProgressSchema(ma.Schema):
    """How far a back-test has come; it tells of itself twice a second."""

    total = _count("Signals of the log.")
    read = _count("Signals that were read.")
    replayed = _count("Signals that went through the engine, or were found to be of no concern.")
    rate = _count("Signals replayed per second of the whole time since the start.")


class BacktestRequestSchema(ma.Schema):
    """What is run."""

    moment_id = ma.fields.String(required=True, allow_none=True, data_key="momentId")
    type = ma.fields.String(required=True)
    configuration_id = ma.fields.String(required=True, data_key="audienceConfigurationId")
    settings = _settings("The settings of the first column.", required=True)
    compare_with = _settings("The settings of the second column.", required=True, allow_none=True)
    compare_with.data_key = "compareWith"
    since = instant("Start of the period.", "from")
    until = instant("End of the period.", "to")
    as_it_ran = ma.fields.Boolean(required=True, data_key="asItRan")


class BacktestSchema(ma.Schema):
    """A back-test."""

    id = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(_STATES))
    reason = ma.fields.String(required=True, allow_none=True, metadata={"description": "Why it failed."})
    created_at = instant("When it was asked for.", "createdAt")
    started_at = instant("When it was begun.", "startedAt", allow_none=True)
    ended_at = instant("When it ended.", "endedAt", allow_none=True)
    progress = ma.fields.Nested(BacktestProgressSchema, required=True)
    request = ma.fields.Nested(BacktestRequestSchema, required=True)


class BacktestPageSchema(ma.Schema):
    """Back-tests, the newest first, without their results."""

    items = ma.fields.List(ma.fields.Nested(BacktestSchema), required=True)
    next = next_page()


class BacktestDaySchema(ma.Schema):
    """One day in UTC, by the instant of the decision."""

    day = ma.fields.String(required=True, metadata={"format": "date"})
    raised = _count("Waits that were raised.")
    suppressed = _count("Waits that were not raised.")
    recovered = _count("Raises of the day whose process was completed within the attribution window.")


class BacktestSampleSchema(ma.Schema):
    """A profile as an example of an outcome."""

    outcome = ma.fields.String(
        required=True, metadata={"description": "`raised`, or the reason of a suppression that happened to it."}
    )
    profile = ma.fields.Dict(required=True, metadata={"description": "idType and id."})
    timeline = ma.fields.List(
        ma.fields.Dict(),
        required=True,
        metadata={"description": "Its signals with their effects and its outcomes, in order."},
    )
    explanation = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Where the full account of the real moment is."}
    )


class BacktestColumnSchema(ma.Schema):
    """What a moment with certain settings did; opened = raised + ended + suppressed + pending."""

    settings = _settings("The settings.", required=True)
    opened = _count("Waits that were opened.")
    slid = _count("Times that a wait's last activity moved.")
    pending = _count("Waits that were not decided at the end of the period.")
    contradicted = _count("Signals that came too late to prevent a raise.")
    ignored = _count("Signals older than what is kept of their process.")
    raised = _count("Waits that were raised.")
    ended = ma.fields.Dict(required=True, metadata={"description": "Reason → waits that ended before they were due."})
    suppressed = ma.fields.Dict(required=True, metadata={"description": "Reason → waits that were not raised."})
    recovered = _count("Raises whose process was completed within the attribution window.")
    recovered_share = ma.fields.Float(
        required=True, allow_none=True, data_key="recoveredShare", attribute="recoveredShare"
    )
    profiles = ma.fields.Dict(
        required=True, metadata={"description": "`decided`: profiles with an outcome; `raised`: with a raise."}
    )
    days = ma.fields.List(ma.fields.Nested(BacktestDaySchema), required=True)
    samples = ma.fields.List(ma.fields.Nested(BacktestSampleSchema), required=True)


class BacktestComparisonSchema(ma.Schema):
    """Both columns raise by raise; a raise is the same when profile, process and opening are."""

    in_both = ma.fields.Integer(required=True, data_key="inBoth", attribute="inBoth")
    in_both_at_another_time = ma.fields.Integer(
        required=True, data_key="inBothAtAnotherTime", attribute="inBothAtAnotherTime"
    )
    only_in_base = ma.fields.Integer(required=True, data_key="onlyInBase", attribute="onlyInBase")
    only_in_compared = ma.fields.Integer(required=True, data_key="onlyInCompared", attribute="onlyInCompared")
    raises = ma.fields.Dict(
        required=True,
        metadata={"description": "Up to 100 of `inBoth`, `onlyInBase` and `onlyInCompared`: profile, process, times."},
    )


class BacktestAgreementSchema(ma.Schema):
    """As it ran: whether the engine decides again what was recorded."""

    recorded = _count("Decisions on record.")
    equal = _count("Decisions that are the same again.")
    differing = _count("Decisions that are not.")
    differences = ma.fields.List(ma.fields.Dict(), required=True, metadata={"description": "Up to 50 of them."})


class BacktestResultSchema(ma.Schema):
    """What a back-test found."""

    period = ma.fields.Dict(required=True, metadata={"description": "`from` and `to`."})
    signals = _count("Signals of the log that were gone through.")
    base = ma.fields.Nested(BacktestColumnSchema, required=True)
    compared = ma.fields.Nested(BacktestColumnSchema, required=True, allow_none=True)
    comparison = ma.fields.Nested(BacktestComparisonSchema, required=True, allow_none=True)
    agreement = ma.fields.Nested(BacktestAgreementSchema, required=True, allow_none=True)


class BacktestWithResultSchema(BacktestSchema):
    """A back-test with its result, once it is done."""

    result = ma.fields.Nested(BacktestResultSchema, required=True, allow_none=True)
