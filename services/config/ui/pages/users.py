"""Settings: who may sign in."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from services.config.access import needs, viewer
from services.config.access.forms import InvitationSchema, UserSchema, filled_in
from services.config.access.links import link_url
from services.config.access.parts import access
from services.config.access.resources import ROLES, User
from services.config.ui.frame import done_at, page
from services.config.ui.pages.forms import faults_of, http_status, refusal_of, typed
from services.config.ui.pages.settings import tabs_of
from shared.conditions import Expected
from shared.http import Conflict
from shared.problems import ServiceError

blueprint = Blueprint("user_pages", __name__, url_prefix="/settings/users", template_folder="../templates")


@blueprint.get("")
@needs("admin")
def users() -> tuple[str, int]:
    """The list."""
    return _page()


@blueprint.get("/new")
@needs("admin")
def invitation() -> tuple[str, int]:
    """The form of an invitation."""
    return _page("invite", values=typed(name="", email="", role="viewer"))


@blueprint.post("/new")
@needs("admin")
def invite() -> tuple[str, int]:
    """Invite; the answer shows the link, this once."""
    try:
        user, token = access().people.invite(**filled_in(InvitationSchema()))
    except ServiceError as error:
        return _refused("invite", error, values=typed(name="", email="", role="viewer"))
    return _page("link", user=user, link=link_url(token))


@blueprint.get("/<uuid:user_id>")
@needs("admin")
def user(user_id: uuid.UUID) -> tuple[str, int]:
    """One user."""
    found = access().people.get(str(user_id))
    return _page("user", user=found, values=typed(name=found.name, role=found.role))


@blueprint.post("/<uuid:user_id>")
@needs("admin")
def change(user_id: uuid.UUID) -> tuple[str, int] | Response:
    """Change name and role."""
    return _changed(user_id, "user_saved")


@blueprint.post("/<uuid:user_id>/disable")
@needs("admin")
def disable(user_id: uuid.UUID) -> tuple[str, int] | Response:
    """Keep somebody out."""
    return _changed(user_id, "user_disabled", disabled=True)


@blueprint.post("/<uuid:user_id>/enable")
@needs("admin")
def enable(user_id: uuid.UUID) -> tuple[str, int] | Response:
    """Let somebody in again."""
    return _changed(user_id, "user_enabled", disabled=False)


@blueprint.post("/<uuid:user_id>/link")
@needs("admin")
def make_link(user_id: uuid.UUID) -> tuple[str, int]:
    """A new link, shown this once."""
    found = access().people.get(str(user_id))
    try:
        token = access().people.link_for(found.id)
    except Conflict as error:
        return _refused("user", error, user=found, values=typed(name=found.name, role=found.role))
    return _page("link", user=found, link=link_url(token))


@blueprint.post("/<uuid:user_id>/delete")
@needs("admin")
def delete(user_id: uuid.UUID) -> tuple[str, int] | Response:
    """Take an invitation back."""
    found = access().people.get(str(user_id))
    try:
        access().people.remove(found.id)
    except Conflict as error:
        return _refused("user", error, user=found, values=typed(name=found.name, role=found.role))
    return redirect(done_at("user_pages.users", "user_deleted"), 303)


def _changed(user_id: uuid.UUID, done: str, **changes: Any) -> tuple[str, int] | Response:
    found = access().people.get(str(user_id))
    try:
        # A form names the version that it shows; a switch means what it says whatever the version.
        expected = Expected() if changes else Expected(frozenset((request.form.get("version", ""),)))
        access().people.change(found.id, changes or filled_in(UserSchema()), expected)
    except ServiceError as error:
        return _refused("user", error, user=found, values=typed(name=found.name, role=found.role))
    return redirect(done_at("user_pages.users", done), 303)


def _refused(panel: str, error: ServiceError, **values: Any) -> tuple[str, int]:
    found, status = _page(panel, faults=faults_of(error), refusal=refusal_of(error), **values), http_status(error)
    return found[0], status


def _page(panel: str = "", *, user: User | None = None, **values: Any) -> tuple[str, int]:
    """The list, with a panel beside it: `invite`, `user` or `link`."""
    given: dict[str, Any] = {"faults": {}, "refusal": "", "values": {}, "link": "", **values}
    return page(
        "pages/users.html",
        tabs=tabs_of(viewer()),
        users=access().people.all(),
        roles=ROLES,
        panel_name=panel,
        chosen=user,
        itself=viewer().id,
        **given,
    )
