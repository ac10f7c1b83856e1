"""REST documents of users and tokens."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.times import from_rfc3339
from contracts.tokens import SCOPES
from services.config.access.resources import ROLES
from services.config.fields import Instant, Text


class GivenInstant(Instant):
    """RFC 3339 outside, microseconds inside, both ways."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        try:
            return from_rfc3339(super()._deserialize(value, attr, data, **options))
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError("Write it as 2026-11-23T10:15:30Z.") from error


class UserSchema(ma.Schema):
    """A person who may sign in."""

    id = ma.fields.UUID(dump_only=True)
    name = ma.fields.String()
    email = ma.fields.String()
    role = ma.fields.String(validate=ma.validate.OneOf(ROLES))
    status = ma.fields.String(
        validate=ma.validate.OneOf(("active", "invited", "disabled")),
        metadata={"description": "`invited`: the link of the invitation has not been taken up."},
    )
    version = ma.fields.Integer(metadata={"description": "Rises with every change; also the ETag."})
    created_at = Instant(data_key="createdAt", metadata={"format": "date-time"})
    updated_at = Instant(data_key="updatedAt", metadata={"format": "date-time"})
    signed_in_at = Instant(
        data_key="signedInAt", allow_none=True, metadata={"format": "date-time", "description": "The latest sign-in."}
    )


class UserListSchema(ma.Schema):
    """All users, by name."""

    items = ma.fields.List(ma.fields.Nested(UserSchema))


class UserChangeSchema(ma.Schema):
    """What of a user changes; the rest stays as it is."""

    name = Text(200)
    role = ma.fields.String(validate=ma.validate.OneOf(ROLES))
    disabled = ma.fields.Boolean(truthy={True}, falsy={False}, metadata={"description": "Ends every session."})


class LinkRequestSchema(ma.Schema):
    """A new link; there is nothing to choose."""


class LinkSchema(ma.Schema):
    """A link that works once."""

    url = ma.fields.String(metadata={"description": "Only in this answer. Whoever opens it first, has it."})
    user = ma.fields.Nested(UserSchema, allow_none=True, metadata={"description": "Whom it is for."})


class NewTokenSchema(ma.Schema):
    """A token to be made."""

    name = Text(80, required=True, metadata={"description": "The audit log calls it so."})
    scope = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(SCOPES),
        metadata={"description": "read: look · edit: change, too · admin: users, tokens and the audit log, too."},
    )
    expires_at = GivenInstant(
        data_key="expiresAt",
        load_default=None,
        allow_none=True,
        metadata={"format": "date-time", "description": "From then on it is refused."},
    )


class TokenSchema(ma.Schema):
    """A token for programs."""

    id = ma.fields.UUID(dump_only=True)
    name = ma.fields.String()
    beginning = ma.fields.String(metadata={"description": "Its first letters.", "examples": ["mat_3kQ9"]})
    scope = ma.fields.String(validate=ma.validate.OneOf(SCOPES))
    version = ma.fields.Integer()
    created_at = Instant(data_key="createdAt", metadata={"format": "date-time"})
    created_by = ma.fields.String(data_key="createdBy", metadata={"description": "An actor of the audit log."})
    expires_at = Instant(data_key="expiresAt", allow_none=True, metadata={"format": "date-time"})
    last_used_at = Instant(
        data_key="lastUsedAt",
        allow_none=True,
        metadata={"format": "date-time", "description": "At config's API, to the minute; trigger does not tell."},
    )
    revoked_at = Instant(data_key="revokedAt", allow_none=True, metadata={"format": "date-time"})


class TokenListSchema(ma.Schema):
    """All tokens, the newest first."""

    items = ma.fields.List(ma.fields.Nested(TokenSchema))


class TokenMadeSchema(ma.Schema):
    """A token that has just been made."""

    token = ma.fields.String(metadata={"description": "The token itself, only in this answer."})
    made = ma.fields.Nested(TokenSchema)
