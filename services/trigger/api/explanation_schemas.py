"""REST documents of explanations; the answer has the fields of `engine.account.Account`."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS

MOST_ENTRIES = 1_000
_NO_NUL = ma.validate.Regexp(r"\A[^\x00]*\Z", error="A text without the character NUL is needed.")


def _text(about: str, *, null: bool = False, **metadata: Any) -> ma.fields.String:
    return ma.fields.String(required=True, allow_none=null, metadata={"description": about, **metadata})


def _instant(about: str, *, null: bool = False) -> ma.fields.String:
    return _text(about, null=null, format="date-time")


def _span(about: str, *, null: bool = False) -> ma.fields.String:
    return _text(f"{about} ISO 8601.", null=null, format="duration")


def _number(about: str, *, null: bool = False) -> ma.fields.Integer:
    return ma.fields.Integer(required=True, allow_none=null, metadata={"description": about})


def _truth(about: str) -> ma.fields.Boolean:
    return ma.fields.Boolean(required=True, metadata={"description": about})


def _reasons(about: str) -> ma.fields.Dict:
    return ma.fields.Dict(
        keys=ma.fields.String(), values=ma.fields.Integer(), required=True, metadata={"description": about}
    )


def _values(about: str) -> ma.fields.Dict:
    return ma.fields.Dict(keys=ma.fields.String(), required=True, metadata={"description": about})


def _nested(schema: type[ma.Schema], about: str, *, null: bool = False) -> ma.fields.Nested:
    return ma.fields.Nested(schema, required=True, allow_none=null, metadata={"description": about})


def _list(schema: type[ma.Schema], about: str) -> Any:
    return ma.fields.List(ma.fields.Nested(schema), required=True, metadata={"description": about})


class ExplanationQuerySchema(ma.Schema):
    """Which moment and which profile."""

    moment = ma.fields.String(required=True, metadata={"description": "The moment's id."})
    profile = ma.fields.String(
        required=True, metadata={"description": "The profile's value, as a sender writes it; it is normalised."}
    )
    idType = ma.fields.String(  # noqa: N815 - as in the query
        load_default="email",
        validate=ma.validate.OneOf(list(PROFILE_FIELDS)),
        metadata={"description": "What the profile's value is."},
    )
    process = ma.fields.String(
        load_default=None,
        validate=_NO_NUL,
        metadata={"description": "Only the process of this id, a cart for example."},
    )
    before = ma.fields.Integer(
        load_default=None, metadata={"description": "Only entries of a smaller place: `earlier` of the page before."}
    )
    limit = ma.fields.Integer(
        load_default=200,
        validate=ma.validate.Range(1, MOST_ENTRIES),
        metadata={"description": "Entries of a page; the latest come first, in their order."},
    )

    @ma.post_load
    def _normalise(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """The profile as ingestion reads it (DOMAIN §2.1)."""
        id_type = values.pop("idType")
        try:
            value = normalise_profile(id_type, values["profile"])
        except InvalidProfile as error:
            raise ma.ValidationError(f"The {id_type} {error}.", "profile") from error
        if "\0" in value:
            raise ma.ValidationError("A text without the character NUL is needed.", "profile")
        return {**values, "profile": (id_type, value)}


class ExplainedMomentSchema(ma.Schema):
    """The moment."""

    id = _text("Its id.")
    name = _text("Its name.")
    type = _text("Its template.", examples=["cart_abandon"])
    status = _text("Its status now.", examples=["running"])


class ExplainedProfileSchema(ma.Schema):
    """The profile, normalised."""

    idType = _text("What its value is.", examples=["email"])  # noqa: N815
    id = _text("Its value.", examples=["ada@example.com"])


class AnswerSchema(ma.Schema):
    """The outcome."""

    code = _text("In one word; see the list of reasons.", examples=["suppressed"])
    text = _text("In words.")


class ExplainedRunSchema(ma.Schema):
    """A run of the moment."""

    since = _instant("Its start; signals received before it open nothing.")
    until = _instant("Its stop; null while it lasts or where that is not known.", null=True)


class SettingsLineSchema(ma.Schema):
    """A version of the settings."""

    version = _number("Its number.")
    since = _instant("In force from then on.")
    settings = _values("As the API shows them.")


class ExplanationCountsSchema(ma.Schema):
    """The account in numbers."""

    signals = _number("Stored signals of the profile that concern this moment.")
    other = _number("Stored signals of the profile that do not.")
    refused = _number("Signals that ingestion refused, as far as is known.")
    opened = _number("Waits that were opened.")
    raised = _number("Waits that were raised.")
    ended = _reasons("Waits that ended before they were due, by reason.")
    suppressed = _reasons("Waits that came due and were not raised, by reason.")
    pending = _number("Waits that are not decided.")


class ExplainedProcessSchema(ma.Schema):
    """A process of the profile."""

    kind = _text("Its kind.", examples=["cart"])
    id = _text("Its id.", examples=["c-42"])


class DueSchema(ma.Schema):
    """When a wait is due, and how that comes about."""

    at = _instant("The due.")
    countedFrom = ma.fields.String(  # noqa: N815
        required=True,
        validate=ma.validate.OneOf(["last_activity", "opening", "edit"]),
        metadata={"description": "From where; `edit`: an edit made it due at once, spread over a minute."},
    )
    length = _span("The duration or delay.")
    maximumWait = _span("The maximum wait, where it cut the wait short.", null=True)  # noqa: N815
    quietUntil = _instant("The end of the quiet hours, where they moved it.", null=True)  # noqa: N815
    readyAt = _instant("When it is decided; later than the due when signals came late.")  # noqa: N815


class ChangeSchema(ma.Schema):
    """What happened to one wait."""

    effect = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(
            [
                "opened",
                "slid",
                "retimed",
                "ended",
                "raised",
                "suppressed",
                "closed_after_due",
                "contradicted",
                "recovered",
            ]
        ),
        metadata={"description": "What happened."},
    )
    process = _nested(ExplainedProcessSchema, "The process of the wait.")
    wait = _number("The number of the wait in its process.")
    text = _text("In words.")
    reason = _text("Why it ended or was suppressed.", null=True)
    openedAt = _instant("First activity of the occurrence.", null=True)  # noqa: N815
    lastActivityAt = _instant("Last activity of the occurrence.", null=True)  # noqa: N815
    due = _nested(DueSchema, "When it is due.", null=True)
    dueAt = _instant("The due of a decision, as it was recorded.", null=True)  # noqa: N815
    splitFrom = _number("The wait that a late signal split it from.", null=True)  # noqa: N815
    mergedInto = _number("The wait that goes on with it.", null=True)  # noqa: N815
    revived = _truth("A late signal made an occurrence anew that had ended.")
    raiseId = _text("The id of the decision; of a raise that of the event.", null=True)  # noqa: N815
    raiseNumber = _number("The how-manieth raise of the process it is.", null=True)  # noqa: N815
    numbers = _values("What the decision was measured by.")


class ExplainedSignalSchema(ma.Schema):
    """A signal."""

    source = _text("Its source.")
    id = _text("Its id.")
    kind = _text("Its kind.", examples=["cart/add"])
    time = _instant("When it happened.", null=True)
    receivedAt = _instant("When it was received.")  # noqa: N815
    site = _text("Its site.", null=True)
    stitchedAt = _instant("When its anonymous sender was known to be the profile, if later.", null=True)  # noqa: N815


class ExplanationEntrySchema(ma.Schema):
    """One thing that happened."""

    place = _number("Its place in the account.")
    at = _instant("When it was received, was decided, or took effect.")
    event = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["signal", "decision", "settings", "refusal"]),
        metadata={"description": "What it is."},
    )
    code = _text("Of a signal, a decision or a refusal the reason; see the list of reasons.")
    text = _text("In words.")
    process = _nested(ExplainedProcessSchema, "The process, where it concerns one.", null=True)
    signal = _nested(ExplainedSignalSchema, "The signal.", null=True)
    settingsVersion = _number("The version of the settings it was judged by.", null=True)  # noqa: N815
    changes = _list(ChangeSchema, "What it did to waits.")
    numbers = _values("What the reason was measured by.")


class ExplainedWaitSchema(ma.Schema):
    """A wait as it stands."""

    process = _nested(ExplainedProcessSchema, "Its process.")
    wait = _number("Its number in its process.")
    state = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["pending", "raised", "suppressed", "ended"]),
        metadata={"description": "What became of it."},
    )
    reason = _text("Why it ended or was suppressed.", null=True)
    openedAt = _instant("First activity.", null=True)  # noqa: N815
    lastActivityAt = _instant("Last activity.", null=True)  # noqa: N815
    due = _nested(DueSchema, "When it is or was due.", null=True)
    raiseId = _text("The id of the decision.", null=True)  # noqa: N815


class ExplanationSchema(ma.Schema):
    """Why a moment was raised for a profile, and why it was not."""

    moment = _nested(ExplainedMomentSchema, "The moment.")
    profile = _nested(ExplainedProfileSchema, "The profile.")
    answer = _nested(AnswerSchema, "The outcome.")
    rule = _text("The rule in plain words, with the names of settings.")
    consistent = _truth("Whether the stored signals give what was recorded.")
    differences = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "Where they do not; the record stands."}
    )
    complete = _truth("Whether every signal of the profile was gone through.")
    missing = _text("What was not.", null=True)
    runs = _list(ExplainedRunSchema, "The runs of the moment that are known.")
    settings = _list(SettingsLineSchema, "The versions of the settings, the present one last.")
    counts = _nested(ExplanationCountsSchema, "The account in numbers.")
    waits = _list(ExplainedWaitSchema, "Every wait.")
    entries = _list(ExplanationEntrySchema, "The account, in the order in which it happened.")
    earlier = _number("Hand it back as `before` for the entries before these; null at the beginning.", null=True)
