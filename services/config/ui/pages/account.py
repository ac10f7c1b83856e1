"""Settings: the viewer's own account, in this browser and elsewhere."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from flask import Blueprint, make_response, redirect, request
from werkzeug.wrappers import Response

from services.config.access import needs, viewer
from services.config.access.cookies import is_private
from services.config.access.forms import ProfileSchema, filled_in
from services.config.access.pages import browser_name, signed_in_at
from services.config.access.parts import access
from services.config.ui.frame import SCHEME_COOKIE, SCHEMES, done_at, page
from services.config.ui.pages.forms import faults_of, http_status, refusal_of, typed
from services.config.ui.pages.settings import tabs_of
from services.config.ui.texts import t
from shared.http import Unprocessable
from shared.problems import Fault, ServiceError

blueprint = Blueprint("account_pages", __name__, url_prefix="/settings/account", template_folder="../templates")

_YEAR = 365 * 86_400
_AREAS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@blueprint.get("")
@needs("viewer")
def account() -> tuple[str, int]:
    """Who one is, how one looks at it, one's password and sessions."""
    return _page()


@blueprint.post("")
@needs("viewer")
def save() -> tuple[str, int] | Response:
    """Save name, time zone and colours."""
    try:
        access().people.change(viewer().id, _profile())
    except ServiceError as error:
        return _page(error)
    answer = redirect(done_at("account_pages.account", "account_saved"), 303)
    scheme = request.form.get("scheme", "auto")
    if scheme in SCHEMES:
        answer.set_cookie(SCHEME_COOKIE, scheme, max_age=_YEAR, secure=request.is_secure, samesite="Lax")
    else:
        answer.delete_cookie(SCHEME_COOKIE)
    return answer


@blueprint.post("/password")
@needs("viewer")
def change_password() -> tuple[str, int] | Response:
    """Set another password: every other session ends, this one goes on under a new token."""
    present, wanted = request.form.get("present", ""), request.form.get("password", "")
    try:
        entered = access().people.change_password(viewer(), present, wanted, request.remote_addr or "", browser_name())
    except ServiceError as error:
        shown = _page(error)
        answer = make_response(shown)
        if error.retry_after is not None:
            answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return signed_in_at(done_at("account_pages.account", "password_changed"), entered)


@blueprint.post("/sessions/<uuid:session_id>/end")
@needs("viewer")
def end(session_id: uuid.UUID) -> Response:
    """Sign out somewhere else."""
    access().sessions.end(viewer().id, str(session_id))
    return redirect(done_at("account_pages.account", "session_ended"), 303)


@blueprint.post("/sessions/end")
@needs("viewer")
def end_others() -> Response:
    """Sign out everywhere else."""
    access().sessions.end_others(viewer().id, viewer().session_id)
    return redirect(done_at("account_pages.account", "sessions_ended"), 303)


@cache
def zones() -> dict[str, list[str]]:
    """Area → the time zones in it, and UTC."""
    found: dict[str, list[str]] = {area: [] for area in _AREAS}
    for name in sorted(available_timezones()):
        area = name.partition("/")[0]
        if area in found and "/" in name:
            found[area].append(name)
    return found


def _profile() -> dict[str, Any]:
    wanted = filled_in(ProfileSchema())
    if wanted["zone"] and wanted["zone"] != "UTC" and not any(wanted["zone"] in each for each in zones().values()):
        reason = t("account.no_zone")
        raise Unprocessable(reason, faults=[Fault("/zone", reason)])
    return wanted


def _page(error: ServiceError | None = None) -> tuple[str, int]:
    person = viewer()
    user = access().people.get(person.id)
    found = page(
        "pages/account.html",
        tabs=tabs_of(person),
        user=user,
        sessions=access().sessions.of(person.id),
        here_now=person.session_id,
        zones=zones(),
        is_private=is_private(),
        values=typed(name=user.name, zone=user.zone),
        faults={} if error is None else faults_of(error),
        refusal="" if error is None else refusal_of(error),
    )
    return found if error is None else (found[0], http_status(error))
