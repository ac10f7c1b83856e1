"""REST: users, and the links by which they come in."""

from __future__ import annotations

import uuid
from typing import Any

from services.config.access.errors import EmailTaken, LastAdministrator
from services.config.access.forms import InvitationSchema
from services.config.access.links import link_url
from services.config.access.parts import access
from services.config.access.schemas import (
    LinkRequestSchema,
    LinkSchema,
    UserChangeSchema,
    UserListSchema,
    UserSchema,
)
from shared.conditions import VersionConflict, VersionRequired, expected_version, tagged
from shared.http import Blueprint, Conflict, NotFound

blueprint = Blueprint("users", __name__, url_prefix="/api/v1/users", description="Who may sign in.")


@blueprint.route("")
@blueprint.response(200, UserListSchema)
def users() -> Any:
    """List all users."""
    return {"items": access().people.all()}


@blueprint.route("", methods=["POST"])
@blueprint.arguments(InvitationSchema)
@blueprint.response(201, LinkSchema)
@blueprint.refuses(EmailTaken)
def invite(invitation: dict[str, Any]) -> Any:
    """Invite somebody; the answer holds the link for them."""
    user, token = access().people.invite(**invitation)
    return {"url": link_url(token), "user": user}


@blueprint.route("/first-link", methods=["POST"])
@blueprint.arguments(LinkRequestSchema)
@blueprint.response(201, LinkSchema)
@blueprint.refuses(Conflict)
def first_link(_: dict[str, Any]) -> Any:
    """Make the link by which the first administrator comes in; refused once there is one."""
    token = access().people.first_link()
    if token is None:
        raise Conflict("There is an administrator already.")
    return {"url": link_url(token), "user": None}


@blueprint.route("/<uuid:user_id>")
@blueprint.response(200, UserSchema)
@blueprint.refuses(NotFound)
def user(user_id: uuid.UUID) -> Any:
    """Show one user."""
    return tagged(access().people.get(str(user_id)))


@blueprint.route("/<uuid:user_id>", methods=["PATCH"])
@blueprint.conditional(required=True)
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, UserSchema)
@blueprint.refuses(NotFound, VersionConflict, VersionRequired, LastAdministrator)
def change_user(changes: dict[str, Any], user_id: uuid.UUID) -> Any:
    """Change a name or a role, disable or enable."""
    return tagged(access().people.change(str(user_id), changes, expected_version(required=True)))


@blueprint.route("/<uuid:user_id>/link", methods=["POST"])
@blueprint.arguments(LinkRequestSchema)
@blueprint.response(201, LinkSchema)
@blueprint.refuses(NotFound, Conflict)
def make_link(_: dict[str, Any], user_id: uuid.UUID) -> Any:
    """Make a link for a new password, or the invitation once more; former links stop working."""
    token = access().people.link_for(str(user_id))
    return {"url": link_url(token), "user": access().people.get(str(user_id))}


@blueprint.route("/<uuid:user_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.refuses(NotFound, Conflict)
def remove_user(user_id: uuid.UUID) -> Any:
    """Delete a user who has never come in."""
    access().people.remove(str(user_id))
    return ""
