"""Settings: tokens for programs."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from contracts.times import DAY
from contracts.tokens import SCOPES
from services.config.access import needs, viewer
from services.config.access.forms import TokenFormSchema, filled_in
from services.config.access.parts import access
from services.config.access.resources import Token
from services.config.ui.frame import done_at, now, page
from services.config.ui.pages.forms import faults_of, http_status, refusal_of, typed
from services.config.ui.pages.settings import tabs_of
from shared.http import NotFound
from shared.problems import ServiceError

blueprint = Blueprint("token_pages", __name__, url_prefix="/settings/tokens", template_folder="../templates")


@blueprint.get("")
@needs("admin")
def tokens() -> tuple[str, int]:
    """The list."""
    return _page()


@blueprint.get("/new")
@needs("admin")
def form() -> tuple[str, int]:
    """The form of a new token."""
    return _page("new", values=typed(name="", scope="read", days="90"))


@blueprint.post("/new")
@needs("admin")
def create() -> tuple[str, int]:
    """Make a token; the answer shows it, this once."""
    try:
        wanted = filled_in(TokenFormSchema())
        days = int(wanted.pop("days"))
        expires_at = now() + days * DAY if days else None
        made, text = access().tokens.create(**wanted, expires_at=expires_at)
    except ServiceError as error:
        shown = _page(
            "new",
            values=typed(name="", scope="read", days="90"),
            faults=faults_of(error),
            refusal=refusal_of(error),
        )
        return shown[0], http_status(error)
    return _page("made", chosen=made, text=text)


@blueprint.get("/<uuid:token_id>")
@needs("admin")
def token(token_id: uuid.UUID) -> tuple[str, int]:
    """One token, and the button that revokes it."""
    return _page("token", chosen=_known(str(token_id)))


@blueprint.post("/<uuid:token_id>/revoke")
@needs("admin")
def revoke(token_id: uuid.UUID) -> Response:
    """Revoke it."""
    access().tokens.revoke(str(token_id))
    return redirect(done_at("token_pages.tokens", "token_revoked"), 303)


def _known(token_id: str) -> Token:
    found = next((each for each in access().tokens.all() if each.id == token_id), None)
    if found is None:
        raise NotFound("It may be from another installation.")
    return found


def _page(panel: str = "", **values: Any) -> tuple[str, int]:
    """The list, with a panel beside it: `new`, `made` or `token`. Revoked and expired ones are shown when asked for."""
    given: dict[str, Any] = {"faults": {}, "refusal": "", "values": {}, "text": "", "chosen": None, **values}
    found, moment = access().tokens.all(), now()
    in_force = [each for each in found if each.is_in_force(moment)]
    return page(
        "pages/tokens.html",
        tabs=tabs_of(viewer()),
        tokens=found if "all" in request.args else in_force,
        ended=len(found) - len(in_force),
        shows_all="all" in request.args,
        scopes=SCOPES,
        moment=moment,
        panel_name=panel,
        **given,
    )
