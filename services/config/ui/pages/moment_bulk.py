"""Stopping and archiving many moments at once, each told of for itself."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from contracts.moments import TRANSITIONS, Status
from services.config.access import needs
from services.config.errors import CannotRun, StatusRefused
from services.config.program import program
from services.config.resources import Moment
from services.config.ui.asked import PAGE_SIZE, asked_of
from services.config.ui.figures import read_figures
from services.config.ui.frame import page
from services.config.ui.pages.overview import list_context
from services.config.ui.refusals import not_from, refusal_of
from services.config.ui.texts import t
from shared.conditions import Expected, VersionConflict
from shared.http import NotFound

blueprint = Blueprint("moment_bulk_pages", __name__, template_folder="../templates")

WANTED: tuple[Status, ...] = ("stopped", "archived")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of the moments that were chosen; why it cannot become what is wanted.

    `waiting`: how many waits end by it; None: not known.
    """

    moment: Moment
    waiting: int | None
    why_not: str = ""


@blueprint.get("/moments/bulk")
@needs("editor")
def confirm() -> tuple[str, int] | Response:
    """What would be done to each of the chosen moments, before it is done."""
    wanted = _wanted(request.args.get("to", ""))
    moments = program().moments.called(request.args.getlist("id")[:PAGE_SIZE])
    if wanted is None or not moments:
        return redirect(asked_of(request.args).url(done="none_chosen"))
    figures = read_figures(program().trigger)
    chosen = []
    for moment in moments:
        figure = figures.of(moment) if moment.status == "running" else None
        waiting = 0 if moment.status != "running" else None if figure is None else figure.waiting
        chosen.append(Chosen(moment, waiting, "" if wanted in TRANSITIONS[moment.status] else not_from(moment)))
    return page("pages/moment_bulk.html", asked=asked_of(request.args), chosen=chosen, wanted=wanted)


@blueprint.post("/moments/bulk")
@needs("editor")
def carry_out() -> tuple[str, int] | Response:
    """Do it to each of them that it is possible with; the others are told with the reason."""
    wanted = _wanted(request.form.get("to", ""))
    if wanted is None:
        return redirect(asked_of(request.args).url())
    done, failed = [], []
    for item in request.form.getlist("item")[:PAGE_SIZE]:
        moment_id, _, version = item.partition("@")
        try:
            done.append(program().moments.set_status(moment_id, wanted, Expected(frozenset((version,)))))
        except NotFound:
            failed.append((t("overview.bulk.gone"), t("overview.bulk.deleted")))
        except (StatusRefused, CannotRun, VersionConflict) as error:
            moment = program().moments.get(moment_id)
            if moment.status == wanted:  # the button was pressed twice
                done.append(moment)
            else:
                failed.append((moment.name, " ".join(refusal_of(error, moment, wanted).reasons)))
    told = t(f"overview.bulk.done.{wanted}", n=len(done))
    return page("pages/overview.html", **list_context(), bulk=(told, done, failed))


def _wanted(text: str) -> Status | None:
    return next((status for status in WANTED if status == text), None)
