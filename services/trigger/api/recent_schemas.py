"""REST documents of the latest signals."""

from __future__ import annotations

from typing import Any, get_args

import marshmallow as ma

from contracts.configurations import KeyType
from contracts.signals import PROFILE_FIELDS
from services.trigger.api.audience_schemas import NamedSchema
from services.trigger.api.cursors import Cursor, Number
from services.trigger.api.explanation_schemas import ExplainedMomentSchema, ExplanationEntrySchema
from services.trigger.api.schemas import Instant, PageQuerySchema, ProfileSchema, counter, instant
from services.trigger.store.recent import Place, Tail
from shared.problems import FaultSchema


def _text(about: str, *, null: bool = True, **metadata: Any) -> ma.fields.String:
    return ma.fields.String(required=True, allow_none=null, metadata={"description": about, **metadata})


_LENGTH = ma.validate.Length(1, 300)
_NO_NUL = ma.validate.Regexp(r"\A[^\x00]*\Z", error="A text without the character NUL is needed.")


def _asked(about: str, **options: Any) -> ma.fields.String:
    options.setdefault("validate", _LENGTH)
    return ma.fields.String(load_default=None, metadata={"description": about}, **options)


class RecentQuerySchema(PageQuerySchema):
    """Which signals are asked for."""

    cursor = Cursor(tuple[Number, Number], load_default=None)
    after = Cursor(tuple[Number, Number, Number, Number, Number], load_default=None)
    outcome = ma.fields.String(
        load_default=None,
        validate=ma.validate.OneOf(["accepted", "refused"]),
        metadata={"description": "Only accepted or only refused ones."},
    )
    kind = _asked("Only this kind, as cart/add.")
    configuration = _asked("Only those of this audience configuration.", data_key="configurationId")
    key = _asked("Only those that came with this key: its id, without a secret.")
    reason = _asked("Only those refused for this reason: its code.")
    profile = _asked("Only those of the profile of this value, in any spelling.")
    id_type = ma.fields.String(
        load_default=None,
        data_key="idType",
        validate=ma.validate.OneOf(list(PROFILE_FIELDS)),
        metadata={"description": "What the profile's value is; else anything."},
    )

    @ma.post_load
    def _places(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        cursor, after = values["cursor"], values["after"]
        return {
            **values,
            "cursor": None if cursor is None else Place(*cursor),
            "after": None if after is None else Tail(*after),
        }


class UsedKeySchema(ma.Schema):
    """The key that a signal came with."""

    id = _text("Its id; of an unknown key the first characters; null where it is not known.")
    type = ma.fields.String(
        required=True,
        allow_none=True,
        validate=ma.validate.OneOf(get_args(KeyType)),
        metadata={"description": "What it is for; null where it is not known."},
    )


class RefusalSchema(ma.Schema):
    """Why a signal was refused, as the sender was told."""

    status = counter("The HTTP status of the answer.")
    code = _text("The reason, for machines.", null=False, examples=["disabled_key"])
    reason = _text("The reason, in words.", null=False)
    errors = ma.fields.List(
        ma.fields.Nested(FaultSchema),
        required=True,
        metadata={"description": "The first five faults, with pointers into the signal."},
    )


class ReplayOutcomeSchema(ma.Schema):
    """The latest replay of a refused signal."""

    id = _text("The id of the request for replays.", null=False)
    state = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["waiting", "replayed", "refused"]),
        metadata={"description": "Not answered yet; stored now; refused once more."},
    )
    at = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "When it was read again; null while it waits.", "format": "date-time"},
    )
    refusal = ma.fields.Nested(
        RefusalSchema, required=True, allow_none=True, metadata={"description": "Why it is still refused; else null."}
    )


def _nested(schema: type[ma.Schema], about: str) -> ma.fields.Nested:
    return ma.fields.Nested(schema, required=True, allow_none=True, metadata={"description": about})


class RecentSignalSchema(ma.Schema):
    """A signal that was taken or refused."""

    id = _text("Its place in this list; stays the same.", null=False, examples=["s1042"])
    outcome = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["accepted", "refused"]),
        metadata={"description": "Whether it was stored."},
    )
    received_at = instant("When it was received.", data_key="receivedAt")
    time = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "When it happened; null where that could not be read.", "format": "date-time"},
    )
    kind = _text("Its kind; null where none was named.", examples=["cart/add"])
    source = _text("Its source.")
    signal_id = ma.fields.String(
        required=True, allow_none=True, data_key="signalId", metadata={"description": "Its id."}
    )
    site = _text("Its site.")
    configuration = _nested(NamedSchema, "The audience configuration; null where the key is unknown.")
    key = _nested(UsedKeySchema, "The key that it came with; null where there was none.")
    profile = _nested(ProfileSchema, "The customer, normalised; null where it could not be read.")
    refusal = _nested(RefusalSchema, "Why it was refused; null where it was not.")
    replayable = ma.fields.Boolean(
        required=True, metadata={"description": "Whether it was refused, is kept, and a replay may be asked for now."}
    )
    replay = _nested(ReplayOutcomeSchema, "Its latest replay; null where none was asked for.")


class RecentPageSchema(ma.Schema):
    """The latest signals, the newest first."""

    items = ma.fields.List(ma.fields.Nested(RecentSignalSchema), required=True)
    next = _text("Hand it back as `cursor` for older ones; null where there are none.")
    latest = _text(
        "Hand it back as `after` for what will have come since. With several workers a signal may then be given once"
        " more; its id tells.",
        null=False,
    )
    searched_since = Instant(
        required=True,
        allow_none=True,
        data_key="searchedSince",
        metadata={
            "description": "What was asked for was looked for among the signals since then; go on with `next`. Null:"
            " among all.",
            "format": "date-time",
        },
    )


class EffectSchema(ma.Schema):
    """What a signal did for a moment."""

    moment = ma.fields.Nested(ExplainedMomentSchema, required=True)
    entries = ma.fields.List(
        ma.fields.Nested(ExplanationEntrySchema),
        required=True,
        metadata={"description": "As in the explanation; empty where it is no longer known."},
    )


class WholeSignalSchema(RecentSignalSchema):
    """A signal that was taken or refused, with its content."""

    envelope = ma.fields.Dict(
        keys=ma.fields.String(), required=True, metadata={"description": "What is kept of it; it holds no secret."}
    )
    whole = ma.fields.Boolean(
        required=True, metadata={"description": "Whether that is what was sent; of a refused one it may be a sketch."}
    )
    unkept = _text(
        "Why the content of a refused signal is not kept: `never` (its sender did not show who they are, or must not be"
        " listened to), `secret` (it held one), `unreadable`, `too_large`, `flood` (too much was refused at the time),"
        " `forgotten`. Null where it is."
    )


class RecentSignalDetailSchema(WholeSignalSchema):
    """A signal and what it did."""

    effects = ma.fields.List(
        ma.fields.Nested(EffectSchema),
        required=True,
        metadata={"description": "For every moment of the configuration that has run and heeds this kind."},
    )
    more = ma.fields.Boolean(required=True, metadata={"description": "Whether moments are left out."})


class KindsQuerySchema(ma.Schema):
    """Which kinds are asked for."""

    configuration = _asked(
        "Only those of this audience configuration.", data_key="configurationId", validate=[_LENGTH, _NO_NUL]
    )


class ReceivedKindSchema(ma.Schema):
    """A kind of signals that a configuration has received."""

    kind = _text("The kind.", null=False, examples=["cart/add"])
    configuration = ma.fields.String(
        required=True, data_key="configurationId", metadata={"description": "The audience configuration's id."}
    )
    last_at = instant("When the last one was received.", data_key="lastReceivedAt")
    count = ma.fields.Integer(
        required=True,
        data_key="last24Hours",
        metadata={"description": "How many in the latest 24 hours and the rest of the hour before."},
    )


class ReceivedKindsSchema(ma.Schema):
    """The kinds of signals that came, the latest first."""

    items = ma.fields.List(ma.fields.Nested(ReceivedKindSchema), required=True)
