"""The suppression list of an audience configuration: who is on it is looked up, since it holds no names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS
from services.config.access import needs
from services.config.program import program
from services.config.resources import AudienceConfiguration, Listing, Suppression
from services.config.suppressions import BY_ERASURE
from services.config.ui.asked import page_number
from services.config.ui.frame import done_at, page
from services.config.ui.texts import t
from shared.http import NotFound, Unprocessable

blueprint = Blueprint("suppression_pages", __name__, template_folder="../templates")

ID_TYPES = (*PROFILE_FIELDS, ANONYMOUS)
"""By what customers are looked up: also visitors of whom nothing but an anonymous id is known."""
_PATH = "/configurations/<uuid:configuration_id>/suppressions"
_ENTRY = f"{_PATH}/<suppression_id>/removal"
_PAGE_SIZE = 25
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom somebody typed, and the value that it means; `fault`: why it means nobody."""

    id_type: str = ""
    typed: str = ""
    value: str = ""
    fault: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str], usual: str) -> Asked:
        """What an address or a form says. `usual`: the idType where none is said."""
        id_type, typed = given.get("idType", "") or usual, given.get("id", "")
        if id_type not in ID_TYPES or len(typed) > _LONGEST or "\0" in typed:
            return cls(usual, "", fault=t("suppressions.fault"))
        if not typed.strip():
            return cls(id_type, "")
        try:
            return cls(id_type, typed, normalise_profile(id_type, typed))
        except InvalidProfile as error:
            return cls(id_type, typed, fault=t("suppressions.wrong", reason=error))


@blueprint.get(_PATH)
@needs("admin")
def show(configuration_id: UUID) -> tuple[str, int]:
    """The list, and whether somebody who is looked up is on it."""
    configuration = program().configurations.get(str(configuration_id))
    asked = Asked.of(request.args, configuration.audience.id_types[0])
    standing = _standing(configuration, asked) if asked.value else None
    found = program().suppressions.page(Listing(page=page_number(request.args), page_size=_PAGE_SIZE), configuration.id)
    return page(
        "pages/suppressions.html",
        422 if asked.fault else 200,
        configuration=configuration,
        asked=asked,
        standing=standing,
        found=found,
        id_types=(*configuration.audience.id_types, ANONYMOUS),
        by_erasure=BY_ERASURE,
        addition_url=addition_url,
    )


@blueprint.get(f"{_PATH}/new")
@needs("admin")
def confirm(configuration_id: UUID) -> tuple[str, int]:
    """What refusing somebody's signals means; opened as a dialog, a page without a script."""
    configuration = program().configurations.get(str(configuration_id))
    return page("pages/suppression_addition.html", configuration=configuration, asked=_meant(request.args))


@blueprint.post(_PATH)
@needs("admin")
def add(configuration_id: UUID) -> Response:
    """Refuse their signals from now on."""
    asked = _meant(request.form)
    program().suppressions.add(str(configuration_id), asked.id_type, asked.value)
    return redirect(done_at("suppression_pages.show", "suppressed", configuration_id=configuration_id), 303)


@blueprint.get(_ENTRY)
@needs("admin")
def confirm_removal(configuration_id: UUID, suppression_id: str) -> tuple[str, int]:
    """What taking somebody off the list means."""
    configuration = program().configurations.get(str(configuration_id))
    found = _entry(configuration_id, suppression_id)
    return page("pages/suppression_removal.html", configuration=configuration, suppression=found, by_erasure=BY_ERASURE)


@blueprint.post(_ENTRY)
@needs("admin")
def remove(configuration_id: UUID, suppression_id: str) -> Response:
    """Take their signals again."""
    program().suppressions.remove(_entry(configuration_id, suppression_id).id)
    return redirect(done_at("suppression_pages.show", "unsuppressed", configuration_id=configuration_id), 303)


def addition_url(configuration_id: str, id_type: str, value: str) -> str:
    """The address of the page that asks before somebody's signals are refused."""
    where = url_for("suppression_pages.confirm", configuration_id=configuration_id)
    return f"{where}?{urlencode({'idType': id_type, 'id': value})}"


def _standing(configuration: AudienceConfiguration, asked: Asked) -> Suppression | None:
    return program().suppressions.standing(configuration.id, asked.id_type, asked.value)


def _meant(given: Mapping[str, str]) -> Asked:
    asked = Asked.of(given, "")
    if not asked.value:
        raise Unprocessable(asked.fault or t("suppressions.fault"))
    return asked


def _entry(configuration_id: UUID, suppression_id: str) -> Suppression:
    found = program().suppressions.get(suppression_id)
    if found.configuration_id != str(configuration_id):
        raise NotFound(f"It is not of the audience configuration {configuration_id}.")
    return found
