"""What can be done with a moment from the list: another status, a copy, deletion."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from contracts.moments import DELETABLE, TRANSITIONS, Status
from services.config.access import needs
from services.config.errors import CannotRun, NotDeletable, StatusRefused
from services.config.program import program
from services.config.resources import Moment
from services.config.triggering import TriggerAway
from services.config.ui.asked import PATH, asked_of
from services.config.ui.frame import page
from services.config.ui.pages.overview import list_context
from services.config.ui.refusals import BECAME, Refusal, known_status, not_from, refusal_of
from services.config.ui.texts import t
from shared.conditions import ANY_VERSION, Expected, VersionConflict
from shared.http import STATUSES, status_of

blueprint = Blueprint("moment_action_pages", __name__, template_folder="../templates")


_CONFIRMED: tuple[Status, ...] = ("stopped", "archived")
"""What ends waits; the others are just done."""


@blueprint.get("/moments/<uuid:moment_id>/status")
@needs("editor")
def confirm_status(moment_id: UUID) -> tuple[str, int] | Response:
    """What another status would do to those who wait, before it is done."""
    moment, wanted = program().moments.get(str(moment_id)), known_status(request.args.get("to", ""))
    if wanted not in _CONFIRMED or wanted not in TRANSITIONS[moment.status]:
        return redirect(asked_of(request.args).url())
    return page(
        "pages/moment_status.html",
        asked=asked_of(request.args),
        moment=moment,
        wanted=wanted,
        beside_panel="panel" in request.args,
        suppressed=_suppressed(moment, wanted),
    )


@blueprint.post("/moments/<uuid:moment_id>/status")
@needs("editor")
def set_status(moment_id: UUID) -> tuple[str, int] | Response:
    """Give it another status; `version` is the one that the person saw. `panel`: they come back to its panel."""
    former, wanted = program().moments.get(str(moment_id)), known_status(request.form.get("to", ""))
    if wanted is None:
        return redirect(asked_of(request.args).url())
    try:
        if former.status != wanted:  # a second click on the same button has nothing left to do
            program().moments.set_status(former.id, wanted, _expected())
    except (StatusRefused, CannotRun, VersionConflict) as error:
        refusal = refusal_of(error, program().moments.get(former.id), wanted)
        return refused(refusal, status_of(type(error), STATUSES))
    if "panel" in request.args:
        return redirect(asked_of(request.args).url(f"{PATH}/{former.id}", done=BECAME[wanted]), 303)
    return redirect(asked_of(request.args).url(done=BECAME[wanted], of=former.id), 303)


@blueprint.post("/moments/<uuid:moment_id>/duplicate")
@needs("editor")
def duplicate(moment_id: UUID) -> Response:
    """Make a draft that is like it, and open it."""
    former = program().moments.get(str(moment_id))
    name = t("overview.copy_of", name=former.name)
    made = program().moments.duplicate(former.id, program().moments.free_name(name))
    return redirect(asked_of(request.args).but().url(f"{PATH}/{made.id}", done="moment_duplicated"), 303)


@blueprint.get("/moments/<uuid:moment_id>/delete")
@needs("editor")
def confirm_deletion(moment_id: UUID) -> tuple[str, int]:
    """What goes with it, before it is deleted."""
    moment = program().moments.get(str(moment_id))
    return page(
        "pages/moment_deletion.html", asked=asked_of(request.args), moment=moment, allowed=moment.status in DELETABLE
    )


@blueprint.post("/moments/<uuid:moment_id>/delete")
@needs("editor")
def delete(moment_id: UUID) -> tuple[str, int] | Response:
    """Delete a draft or an archived one."""
    moment = program().moments.get(str(moment_id))
    try:
        program().moments.delete(moment.id, _expected())
    except (NotDeletable, VersionConflict) as error:
        present = program().moments.get(moment.id)
        reason = refusal_of(error, present, present.status).reasons if isinstance(error, VersionConflict) else ()
        refusal = Refusal(t("overview.refused.delete", name=present.name), present, reason or (not_from(present),))
        return refused(refusal, status_of(type(error), STATUSES))
    return redirect(asked_of(request.args).url(done="moment_deleted"), 303)


def refused(refusal: Refusal, status: int) -> tuple[str, int]:
    """The list once more, with what was refused and why above it."""
    return page("pages/overview.html", status, **list_context(), refused=refusal)


def _suppressed(moment: Moment, wanted: Status) -> dict[str, Any] | None:
    """How many waits end by another status, and whether they were all counted; None where trigger does not tell."""
    try:
        found = program().previews.of(moment.id, {"status": wanted}, ANY_VERSION)
    except TriggerAway:
        return None
    return {"count": found["suppressed"], "exact": found["exact"]}


def _expected() -> Expected:
    version = request.form.get("version") or request.args.get("version", "")
    return Expected(frozenset((version,))) if version else ANY_VERSION
