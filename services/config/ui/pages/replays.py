"""Replaying refused signals: what would be replayed, the wish, and how far it is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from services.config.access import needs
from services.config.program import program
from services.config.triggering import TriggerConflict, TriggerRefused
from services.config.ui.actors import actor_name
from services.config.ui.frame import page

blueprint = Blueprint("replay_pages", __name__, template_folder="../templates")

_FILTERS = {"configurationId": "configurationId", "reason": "code", "kind": "kind"}
"""Filter of the list → what it is called in a wish. Others cut the list down only, and then nothing is meant by it."""
_MOST_IDS = 200
_LONGEST = 300


@blueprint.get("/signals/replay")
@needs("editor")
def confirm() -> tuple[str, int] | Response:
    """What would be replayed, before it is."""
    wanted = _wanted(request.args)
    if wanted is None:
        return redirect(url_for("signal_pages.live", outcome="refused", done="none_replayable"))
    try:
        found = program().replays.preview(wanted)
    except TriggerRefused:
        found = 0
    return page("pages/replay_confirm.html", found=found, asked=_given(request.args))


@blueprint.post("/signals/replay")
@needs("editor")
def ask() -> Response:
    """Ask for it, and show how far it is."""
    wanted = _wanted(request.form)
    try:
        asked = program().replays.ask(wanted or {"ids": []})
    except (TriggerConflict, TriggerRefused):
        return redirect(url_for("signal_pages.live", outcome="refused", done="none_replayable"), 303)
    return redirect(url_for("replay_pages.progress", replay_id=asked["id"]), 303)


@blueprint.get("/signals/replays")
@needs("viewer")
def latest() -> tuple[str, int]:
    """The latest wishes."""
    return page("pages/replays.html", replays=program().replays.latest(), actor_name=actor_name)


@blueprint.get("/signals/replays/<uuid:replay_id>")
@needs("viewer")
def progress(replay_id: UUID) -> tuple[str, int]:
    """How far one is; `part` is what is loaded again."""
    found = program().replays.get(str(replay_id))
    template = "parts/replay.html" if request.args.get("part") == "progress" else "pages/replay.html"
    return page(template, replay=found, actor_name=actor_name)


def _wanted(given: MultiDict[str, str]) -> dict[str, Any] | None:
    """The wish that an address or a form means; None when it means nothing."""
    ids = [each[:20] for each in given.getlist("id")][:_MOST_IDS]
    if "all" not in given:
        return {"ids": ids} if ids else None
    named = {name: given.get(of, "").strip()[:_LONGEST] for of, name in _FILTERS.items()}
    return {"where": {name: value for name, value in named.items() if value}}


def _given(given: MultiDict[str, str]) -> list[tuple[str, str]]:
    """The same as the fields of a form."""
    if "all" not in given:
        return [("id", each[:20]) for each in given.getlist("id")][:_MOST_IDS]
    named = [(name, given.get(name, "").strip()[:_LONGEST]) for name in _FILTERS]
    return [("all", "1"), *((name, value) for name, value in named if value)]
