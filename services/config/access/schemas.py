"""REST documents of users."""

from __future__ import annotations

import marshmallow as ma

from services.config.access.forms import InvitationSchema
from services.config.access.resources import ROLES
from services.config.schemas import Instant, Text

__all__ = ["InvitationSchema", "LinkRequestSchema", "LinkSchema", "UserChangeSchema", "UserListSchema", "UserSchema"]


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
