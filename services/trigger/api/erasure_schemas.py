"""REST documents of erasures: whom, and the receipt."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS
from services.trigger.api.cursors import Cursor, Number, Word
from services.trigger.api.schemas import PageQuerySchema, next_page
from services.trigger.store.erasures import DONE, ERASED, ERASING, REQUESTED

_ID_TYPES = (*PROFILE_FIELDS, ANONYMOUS)
"""Of those who can be erased and exported: also a visitor of whom nothing but an anonymous id is known."""
_LONGEST = 255
_NO_NUL = ma.validate.Regexp(rf"\A[^\x00]{{1,{_LONGEST}}}\Z", error="A text without the character NUL is needed.")
_SUPPRESS = "Refuse the customer's signals from now on."


def meant(id_type: str, value: Any) -> str:
    """The value that stands for a customer, as ingestion reads it (DOMAIN §2.1); raises ValidationError."""
    if id_type not in _ID_TYPES:
        raise ma.ValidationError(f"There is no idType {id_type}.", "idType")
    try:
        found = normalise_profile(id_type, value)
    except InvalidProfile as error:
        raise ma.ValidationError(f"The {id_type} {error}.", "profile") from error
    if "\0" in found:
        raise ma.ValidationError("A text without the character NUL is needed.", "profile")
    return found


class SuppressQuerySchema(ma.Schema):
    """What else is to be done."""

    suppress = ma.fields.Boolean(load_default=False, metadata={"description": _SUPPRESS})


class WhomSchema(ma.Schema):
    """A customer, by the body: an address in a URL may end up in logs, and not every value fits into one."""

    configuration = ma.fields.String(
        required=True, validate=_NO_NUL, metadata={"description": "The id of the audience configuration."}
    )
    idType = ma.fields.String(  # noqa: N815 - as on the wire
        load_default="email",
        validate=ma.validate.OneOf(_ID_TYPES),
        metadata={"description": "What the profile's value is; `anonymous`: the anonymous id of a visitor."},
    )
    profile = ma.fields.String(
        required=True, metadata={"description": "The profile's value, as a sender writes it; it is normalised."}
    )

    @ma.post_load
    def _normalise(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        id_type = values.pop("idType")
        return {**values, "id_type": id_type, "profile": meant(id_type, values["profile"])}


class NewErasureSchema(WhomSchema):
    """Whom to erase."""

    suppress = ma.fields.Boolean(load_default=False, metadata={"description": _SUPPRESS})


class ErasureFailureSchema(ma.Schema):
    """Why an erasure does not go on. Nothing is raised for the customer all the same."""

    reason = ma.fields.String(required=True, metadata={"description": "What went wrong, and where in the program."})
    at = ma.fields.String(required=True, metadata={"format": "date-time"})
    attempts = ma.fields.Integer(required=True, metadata={"description": "How often it failed since it last went on."})
    againAt = ma.fields.String(  # noqa: N815
        required=True, metadata={"description": "When it is tried again.", "format": "date-time"}
    )


class ErasureSchema(ma.Schema):
    """A receipt. It names nobody: keep its id beside the request that it answers."""

    id = ma.fields.UUID(required=True)
    configuration = ma.fields.String(required=True, metadata={"description": "The id of the audience configuration."})
    idType = ma.fields.String(required=True, attribute="id_type")  # noqa: N815
    state = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf([REQUESTED, ERASING, ERASED, DONE]),
        metadata={
            "description": "requested: nothing is raised any more; erasing: what trigger knew is gone but for the last"
            " of very many signals; erased: these, too; done: every store was looked through again and every service"
            " has answered."
        },
    )
    requestedAt = ma.fields.String(  # noqa: N815
        required=True, metadata={"description": "All that was received by then is meant.", "format": "date-time"}
    )
    requestedBy = ma.fields.String(required=True, metadata={"description": "The name of the token."})  # noqa: N815
    erasedAt = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})  # noqa: N815
    doneAt = ma.fields.String(required=True, allow_none=True, metadata={"format": "date-time"})  # noqa: N815
    suppress = ma.fields.Boolean(required=True, metadata={"description": "Signals are refused from then on."})
    dropped = ma.fields.Integer(
        required=True,
        metadata={"description": "Signals that arrived afterwards, too late or once more, and were dropped."},
    )
    erased = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer()),
        required=True,
        metadata={"description": "Service → store → how many rows went."},
    )
    answered = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.String(metadata={"format": "date-time"}),
        required=True,
        metadata={"description": "Service → when it answered that it has erased what it kept."},
    )
    awaited = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "The services that have not answered yet."}
    )
    failure = ma.fields.Nested(
        ErasureFailureSchema, required=True, allow_none=True, metadata={"description": "Set when it failed last."}
    )


class ErasuresQuerySchema(PageQuerySchema):
    """Which part of the receipts is asked for."""

    cursor = Cursor(tuple[Number, Word], load_default=None)


class ErasurePageSchema(ma.Schema):
    """Receipts, the latest first."""

    items = ma.fields.List(ma.fields.Nested(ErasureSchema), required=True)
    next = next_page()
