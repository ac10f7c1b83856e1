"""The overview of all moments, alone or with a panel beside it."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from contracts.moments import DELETABLE, TRANSITIONS, Status
from contracts.templates import templates
from services.config.access import needs
from services.config.program import program
from services.config.resources import Moment, Page
from services.config.ui.asked import PAGE_SIZE, Asked, asked_of
from services.config.ui.figures import Figures, read_figures
from services.config.ui.frame import page
from services.config.ui.texts import t

blueprint = Blueprint("moment_pages", __name__, template_folder="../templates")

_WAYS_BACK: dict[str, Status] = {"moment_running": "stopped", "moment_stopped": "running", "moment_archived": "draft"}
"""What was done → the status that takes it back, as far as it can be."""

_SYMBOLS = ("draft", "play", "pause", "archive", "chevron-down", "chart", "pencil", "eye", "clock", "more", "document")
"""The icons of rows, beside those of templates."""

_WITHIN = 0.4
"""Seconds that the page waits for the numbers; a script asks again for those that did not come."""


@blueprint.get("/")
@needs("viewer")
def home() -> Response:
    """The first page is the list of moments."""
    return redirect(url_for("moment_pages.overview"))


@blueprint.get("/moments")
@needs("viewer")
def overview() -> tuple[str, int]:
    """The list of moments."""
    return page("pages/overview.html", **list_context())


@blueprint.get("/moments/figures")
@needs("viewer")
def figures() -> tuple[str, int]:
    """The numbers of the part of the list that is asked for, to be put into their rows; and whether it is another."""
    numbers = read_figures(program().trigger)
    _, found = _found(asked_of(request.args), numbers)
    is_other = request.args.get("seen", "") != seen(found)
    return page("parts/figures.html", figures=numbers, moments=found.items, is_other=is_other)


def list_context(asked: Asked | None = None) -> dict[str, Any]:
    """What `pages/overview.html` shows, and any page that extends it by a `panel`: the list that the address asks for.

    The address of such a page carries the list's own query, as `asked.url(path)` makes it.
    """
    asked = asked or asked_of(request.args)
    numbers = read_figures(program().trigger, _WITHIN)
    asked, found = _found(asked, numbers)
    configurations = program().configurations.names()
    return {
        "asked": asked,
        "found": found,
        "seen": seen(found),
        "figures": numbers,
        "configurations": configurations,
        "templates": templates(),
        "chips": chips_of(asked, configurations),
        "without": [] if found.items else _without(asked),
        "transitions": TRANSITIONS,
        "deletable": DELETABLE,
        "symbols": _symbols(found),
        **_undoing(),
    }


def _symbols(found: Page[Moment]) -> list[str]:
    """The icons of the rows of a page."""
    icons = (templates()[moment.type].icon for moment in found.items if moment.type in templates())
    return sorted({*_SYMBOLS, *icons})


def _undoing() -> dict[str, Any]:
    """What was just done to a moment, in place of the plain notice, when there is a way back."""
    done, moment_id = request.args.get("done", ""), request.args.get("of", "")
    way = _WAYS_BACK.get(done)
    moments = program().moments.called([moment_id]) if way is not None else ()
    if way is None or not moments or way not in TRANSITIONS[moments[0].status]:
        return {}
    return {"done": "", "undo": {"text": t(f"done.{done}"), "moment": moments[0], "to": way}}


def seen(found: Page[Moment]) -> str:
    """A short text that differs when a part of the list holds other moments, or others in what they show."""
    parts = [str(found.total), *sorted(f"{moment.id}@{moment.version}" for moment in found.items)]
    return f"{crc32(' '.join(parts).encode()):x}"


def _found(asked: Asked, numbers: Figures) -> tuple[Asked, Page[Moment]]:
    """A page of the list, the last one when there are not so many."""
    found = _page(asked, numbers)
    last = max(1, -(-found.total // PAGE_SIZE))
    if asked.page <= last:
        return asked, found
    asked = asked.but(page=last)
    return asked, _page(asked, numbers)


def _page(asked: Asked, numbers: Figures) -> Page[Moment]:
    if not asked.by_number:
        return program().moments.page(asked.listing, asked.filters)
    kind = asked.sort.removeprefix("-")
    known = {moment: getattr(figure, kind) for moment, figure in (numbers.by_moment or {}).items()}
    return program().moments.page_by(known, asked.listing, asked.filters)


def chips_of(asked: Asked, configurations: dict[str, str]) -> list[tuple[str, str]]:
    """The filters that are on: what each is called, and the address without it."""
    named = {
        "search": asked.search,
        "status": t(f"frame.status.{asked.status}") if asked.status else "",
        "type": templates()[asked.type].title if asked.type in templates() else asked.type,
        "configuration": configurations.get(asked.configuration, asked.configuration),
    }
    return [(t(f"overview.chip.{name}", value=named[name]), asked.without(name).url()) for name in asked.filtered]


def _without(asked: Asked) -> list[tuple[str, str, int]]:
    """When nothing is found: for each filter what would be found without it, and the address."""
    tries = [(name, asked.without(name)) for name in asked.filtered]
    counted = [(name, each.url(), program().moments.page(each.listing, each.filters).total) for name, each in tries]
    return [(name, url, count) for name, url, count in counted if count]
