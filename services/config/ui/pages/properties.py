"""The properties panel of a moment, beside the list: reading, editing, checking, saving, its status."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from contracts.moments import STATUSES, Status
from services.config.access import needs
from services.config.errors import ArchivedFixed, CannotRun, LinkFixed, StatusRefused
from services.config.program import program
from services.config.ui.asked import asked_of
from services.config.ui.editing import Edit, edit_of
from services.config.ui.effects import effect_of
from services.config.ui.frame import page
from services.config.ui.meanwhile import with_theirs
from services.config.ui.moment_form import Faults, with_faults, with_setting
from services.config.ui.pages.forms import http_status
from services.config.ui.pages.overview import list_context
from services.config.ui.panel import panel_context, spoken_effect, trial_context
from services.config.ui.refusals import BECAME
from services.config.ui.trials import Trial, ask_trial, cancel_trial, read_trial
from shared.conditions import Expected, VersionConflict
from shared.http import Unprocessable
from shared.pages import wants_fragment

blueprint = Blueprint("property_pages", __name__, template_folder="../templates")

_REFUSALS = (ArchivedFixed, CannotRun, LinkFixed, StatusRefused, Unprocessable)


@blueprint.get("/moments/<uuid:moment_id>")
@needs("viewer")
def show(moment_id: UUID) -> AnyResponse | tuple[str, int]:
    """The panel of a moment."""
    return _shown(panel_context(program().moments.get(str(moment_id))))


@blueprint.post("/moments/<uuid:moment_id>")
@needs("editor")
def save(moment_id: UUID) -> AnyResponse | tuple[str, int]:
    """Save what is filled in, and change the status where a button for that was pressed."""
    edit = _edit(moment_id)
    if edit.is_stale:
        return _conflict(edit)
    status = _status(request.form.get("status"))
    wanted = edit.wanted()
    if wanted.faults:
        return _refused(edit, wanted.faults)
    try:
        done = _write(edit, wanted.changes, status)
    except VersionConflict:
        return _conflict(_edit(moment_id))
    except _REFUSALS as error:
        found = with_faults(wanted.faults, edit.template, error.faults)
        return _refused(edit, found, error.detail, http_status(error))
    return _back(moment_id, done)


def _write(edit: Edit, changes: dict[str, Any], status: Status | None) -> str:
    """Change the moment, then its status; what has to be reopened is reopened first. Returns what was done."""
    moments, expected = program().moments, edit.expected
    moment = edit.moment
    if moment.status == "archived" and status == "draft":
        moment = moments.set_status(moment.id, status, expected)
        expected, status = Expected(frozenset((str(moment.version),))), None
        if not changes:
            return BECAME["draft"]
    elif status is not None:
        edit.foreseen(changes, status)
    if changes:
        moment = moments.change(moment.id, changes, expected)
        expected = Expected(frozenset((str(moment.version),)))
    if status is not None:
        moments.set_status(moment.id, status, expected)
        return BECAME[status]
    return "moment_saved" if moment.version != edit.version else "moment_unchanged"


@blueprint.post("/moments/<uuid:moment_id>/check")
@needs("editor")
def check(moment_id: UUID) -> AnyResponse | tuple[str, int]:
    """The panel as it is filled in, with what is wrong with it; one setting as it is by default, or one of theirs."""
    edit = _edit(moment_id)
    filled = edit.filled
    setting = edit.template.setting(request.form.get("reset", "")) if edit.template is not None else None
    if setting is not None and edit.template is not None:
        filled = with_setting(filled, edit.template, setting.name, setting.default)
    if "take" in request.form:
        filled = with_theirs(filled, edit.moment, edit.template, request.form["take"])
    edit = Edit(moment=edit.moment, template=edit.template, filled=filled, version=edit.version, base=edit.base)
    return _shown(panel_context(edit.moment, edit, edit.wanted().faults))


@blueprint.post("/moments/<uuid:moment_id>/impact")
@needs("editor")
def impact(moment_id: UUID) -> AnyResponse | tuple[str, int]:
    """What saving what is filled in would do to the customers who wait."""
    edit = _edit(moment_id)
    effect = effect_of(edit)
    if wants_fragment():
        return page("properties/effect.html", effect=effect, moment=edit.moment, effect_words=spoken_effect)
    return _shown(panel_context(edit.moment, edit, edit.wanted().faults, effect=effect))


@blueprint.post("/moments/<uuid:moment_id>/backtests")
@needs("editor")
def try_it(moment_id: UUID) -> AnyResponse | tuple[str, int]:
    """Ask what the moment as it is filled in would have done; or look at such a question again, or cancel it."""
    edit = _edit(moment_id)
    if "cancel" in request.form:
        trial = cancel_trial(edit.moment, request.form["cancel"])
    elif "look" in request.form:
        trial = read_trial(edit.moment, request.form["look"])
    else:
        trial = ask_trial(edit)
    if wants_fragment():
        return page("properties/trial.html", moment=edit.moment, **trial_context(trial))
    return _shown(panel_context(edit.moment, edit, edit.wanted().faults, trial=trial))


@blueprint.get("/moments/<uuid:moment_id>/backtests/<job_id>")
@needs("editor")
def trial(moment_id: UUID, job_id: str) -> AnyResponse | tuple[str, int]:
    """How far a back-test of the moment has come, or what it found."""
    moment = program().moments.get(str(moment_id))
    found: Trial = read_trial(moment, job_id)
    if wants_fragment():
        return page("properties/trial_state.html", moment=moment, **trial_context(found))
    return _shown(panel_context(moment, trial=found))


def _status(text: str | None) -> Status | None:
    return next((status for status in STATUSES if status == text), None)


def _back(moment_id: UUID, done: str) -> AnyResponse:
    """To the panel, which tells what was done; the list beside it stays as it was."""
    path = url_for("property_pages.show", moment_id=moment_id)
    return redirect(asked_of(request.args).url(path, done=done), 303)


def _edit(moment_id: UUID) -> Edit:
    return edit_of(program().moments.get(str(moment_id)), request.form)


def _conflict(edit: Edit) -> AnyResponse | tuple[str, int]:
    """Both edits in one form, which replaces the version that is there now."""
    both = edit.merged()
    merged = Edit(
        moment=edit.moment,
        template=edit.template,
        filled=both.filled,
        version=edit.moment.version,
        base=edit.version,
    )
    return _shown(panel_context(edit.moment, merged, merged.wanted().faults, is_conflict=True), 412)


def _refused(edit: Edit, faults: Faults, refusal: str = "", status: int = 422) -> AnyResponse | tuple[str, int]:
    return _shown(panel_context(edit.moment, edit, faults, refusal=refusal, is_refused=True), status)


def _shown(context: dict[str, Any], status: int = 200) -> tuple[str, int]:
    """The panel beside the list; for a script the panel alone."""
    if wants_fragment():
        return page("properties/panel.html", status, **context)
    return page("pages/properties.html", status, **{**list_context(), **context, "beside": True})
