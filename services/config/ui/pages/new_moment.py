"""Making a moment: first its template, then its name and audience."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID, uuid4

from flask import Blueprint, abort, redirect, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from contracts.signals import CATALOGUE
from contracts.templates import templates
from contracts.templates.declaration import Purpose, Template
from contracts.texts import composed
from services.config.access import needs
from services.config.moments import LONGEST_NAME
from services.config.program import program
from services.config.schemas import NewMomentSchema
from services.config.ui.asked import PATH
from services.config.ui.frame import page
from services.config.ui.received import received_kinds
from services.config.ui.texts import t
from shared.http import Unprocessable

blueprint = Blueprint("new_moment_pages", __name__, template_folder="../templates")

_WITHIN = 0.4
_LONGEST = {"name": LONGEST_NAME, "description": 2000}


@dataclass(frozen=True, slots=True)
class Needed:
    """A signal that a template needs. `last`: when one was received (µs), None: none lately; `known`: or not known."""

    name: str
    title: str
    last: int | None
    known: bool


@dataclass(frozen=True, slots=True)
class Card:
    """A template to choose."""

    template: Template
    needed: tuple[Needed, ...]


@blueprint.get("/moments/new")
@needs("editor")
def choose() -> tuple[str, int] | Response:
    """Step 1: the templates. Without an audience configuration one is made first."""
    if not program().configurations.names():
        return redirect(_to_configuration(url_for("new_moment_pages.choose")))
    search = request.args.get("search", "").strip()[:200]
    cards = [card for card in _cards() if _meets(card.template, search)]
    grouped = [(purpose, [card for card in cards if card.template.purpose == purpose]) for purpose in get_args(Purpose)]
    return page("pages/new_moment.html", groups=[group for group in grouped if group[1]], search=search)


@blueprint.get("/moments/new/<type>")
@needs("editor")
def describe(type: str) -> tuple[str, int] | Response:
    """Step 2: name, description and audience configuration, filled in as far as they can be."""
    template, configurations = _template(type), program().configurations.names()
    if not configurations:
        return redirect(_to_configuration(url_for("new_moment_pages.describe", type=type)))
    given = {
        "token": str(uuid4()),
        "name": program().moments.free_name(template.title),
        "description": template.description,
        "configuration": _preselected(configurations),
    }
    return _form(template, configurations, given)


@blueprint.post("/moments/new/<type>")
@needs("editor")
def create(type: str) -> tuple[str, int] | Response:
    """Make it, once however often the button is pressed, and open its settings."""
    template, configurations = _template(type), program().configurations.names()
    given = {name: request.form.get(name, "") for name in ("token", "name", "description", "configuration")}
    document = {
        "type": type,
        "name": given["name"],
        "description": given["description"],
        "audienceConfigurationId": given["configuration"],
    }
    try:
        fields: dict[str, Any] = NewMomentSchema().load(document)
        made = program().moments.create(**fields, id=_id_of(given["token"]))
    except (ValidationError, Unprocessable):
        return _form(template, configurations, given, _faults(given, configurations), 422)
    return redirect(f"{PATH}/{made.id}?done=moment_created", 303)


def _form(
    template: Template,
    configurations: Mapping[str, str],
    given: Mapping[str, str],
    faults: Mapping[str, str] | None = None,
    status: int = 200,
) -> tuple[str, int]:
    return page(
        "pages/new_moment_form.html",
        status,
        kind=template,
        configurations=configurations,
        given=given,
        faults=faults or {},
    )


def _faults(given: Mapping[str, str], configurations: Mapping[str, str]) -> dict[str, str]:
    """Field → what is wrong with it, in words."""
    faults = {}
    for name, longest in _LONGEST.items():
        text = composed(given[name].strip(), longest)
        if name == "name" and not text:
            faults[name] = t("new_moment.fault.no_name")
        elif len(text) > longest:
            faults[name] = t("new_moment.fault.too_long", longest=longest, length=len(text))
        elif _has_control_characters(text, "\r\n\t" if name == "description" else ""):
            faults[name] = t("new_moment.fault.control_characters")
    if not given["configuration"]:
        faults["configuration"] = t("new_moment.fault.no_configuration")
    elif given["configuration"] not in configurations:
        faults["configuration"] = t("new_moment.fault.gone_configuration")
    return faults or {"name": t("new_moment.fault.unclear")}


def _has_control_characters(text: str, allowed: str) -> bool:
    return any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text)


def _template(type: str) -> Template:
    found = templates().get(type)
    if found is None:
        abort(404)
    return found


def _cards() -> list[Card]:
    received = received_kinds(program().trigger, _WITHIN)
    return [
        Card(template, tuple(_needed(name, received) for name in template.opens + template.completes))
        for template in templates().values()
    ]


def _needed(name: str, received: Mapping[str, int] | None) -> Needed:
    return Needed(name, CATALOGUE[name].title, (received or {}).get(name), received is not None)


def _meets(template: Template, search: str) -> bool:
    """Whether a template holds every word that is searched for."""
    held = f"{template.title} {template.goal} {template.description} {' '.join(template.signals)}".casefold()
    return all(word in held for word in search.casefold().split())


def _preselected(configurations: Mapping[str, str]) -> str:
    """The one that the address names, or the only one there is."""
    asked = request.args.get("configuration", "")
    if asked in configurations:
        return asked
    return next(iter(configurations)) if len(configurations) == 1 else ""


def _to_configuration(back: str) -> str:
    return f"/configurations/new?next={back}"


def _id_of(token: str) -> str | None:
    """The id that a form was given when it was shown."""
    try:
        return str(UUID(token))
    except ValueError:
        return None
