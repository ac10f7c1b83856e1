"""Pages for those who are not in yet: signing in and out, and taking up a link."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from services.config.access.cookies import drop_cookie, is_private, set_cookie
from services.config.access.errors import EmailTaken
from services.config.access.forms import FirstAdministratorSchema, NameSchema, filled_in
from services.config.access.guard import local_path
from services.config.access.parts import access
from services.config.access.people import SignedIn
from services.config.access.viewer import needs, public, signed_in, viewer
from shared.http import STATUSES, Unprocessable, status_of
from shared.problems import ServiceError

blueprint = Blueprint("access", __name__, template_folder="templates")

_NOBODY_YET = "nobody is signed in there yet"


@blueprint.get("/sign-in")
@public(_NOBODY_YET)
def sign_in() -> AnyResponse:
    """The form; who is in already goes on."""
    if signed_in() is not None:
        return redirect(local_path(request.args.get("next")))
    return _sign_in_form(request.args.get("next"))


@blueprint.post("/sign-in")
@public(_NOBODY_YET)
def enter() -> AnyResponse:
    """Sign in by e-mail address and password; the session that the browser had ends."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        entered = access().people.sign_in(email, password, request.remote_addr or "", browser_name())
    except ServiceError as error:
        return _refused(_sign_in_form(request.form.get("next"), email=email, fault=error.detail), error)
    return signed_in_at(local_path(request.form.get("next")), entered)


@blueprint.post("/sign-out")
@needs("viewer")
def sign_out() -> AnyResponse:
    """End the session."""
    access().people.sign_out(viewer())
    answer = redirect(url_for("access.sign_in"))
    drop_cookie(answer, "session")
    return answer


@blueprint.get("/welcome/<token>")
@public("the link itself is the proof")
def welcome(token: str) -> AnyResponse:
    """The form of a link; looking at it does not use it up."""
    return _welcome_form(token)


@blueprint.post("/welcome/<token>")
@public("the link itself is the proof")
def take_up(token: str) -> AnyResponse:
    """Set name and password, and come in."""
    link, invited = access().people.link(token)
    try:
        who = _who(link.purpose)
        password = request.form.get("password", "")
        entered = access().people.welcome(
            token,
            name=who.get("name") or (invited.name if invited is not None else ""),
            email=who.get("email", ""),
            password=password,
            browser=browser_name(),
        )
    except (Unprocessable, EmailTaken) as error:
        return _refused(_welcome_form(token, error), error)
    return signed_in_at(url_for("access.sign_in"), entered)


def _who(purpose: str) -> dict[str, Any]:
    if purpose == "reset":
        return {}
    return filled_in(FirstAdministratorSchema() if purpose == "first" else NameSchema())


def _sign_in_form(next_path: str | None, **values: str) -> Response:
    return make_response(
        render_template(
            "access/sign_in.html",
            next=local_path(next_path),
            is_private=is_private(),
            is_new=not access().people.have_an_administrator(),
            provider="" if (found := access().provider) is None else found.settings.button,
            **values,
        )
    )


def _welcome_form(token: str, error: ServiceError | None = None) -> Response:
    link, invited = access().people.link(token)
    faults = {} if error is None else {fault.pointer.removeprefix("/"): fault.reason for fault in error.faults}
    return make_response(
        render_template(
            "access/welcome.html",
            purpose=link.purpose,
            name=request.form.get("name", "" if invited is None else invited.name),
            email=request.form.get("email", "" if invited is None else invited.email),
            is_private=is_private(),
            faults=faults,
        )
    )


def _refused(form: Response, error: ServiceError) -> Response:
    """The form once more, with the status and the patience that the error asks for."""
    form.status_code = status_of(type(error), STATUSES)
    if error.retry_after is not None:
        form.headers["Retry-After"] = str(error.retry_after)
    return form


def signed_in_at(path: str, entered: SignedIn) -> AnyResponse:
    """Go to a page with the cookie of a new session."""
    answer = redirect(path, code=303)
    set_cookie(answer, "session", entered.token, access().session_lasts)
    return answer


def browser_name() -> str:
    """What a person knows the browser by: `Firefox on Linux`; from a header that it may make up."""
    agent = request.headers.get("User-Agent", "")
    names = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (
        *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
        *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
    )
    name = next((known for mark, known in names if mark in agent), "")
    system = next((known for mark, known in systems if mark in agent), "")
    return " on ".join(part for part in (name, system) if part)
