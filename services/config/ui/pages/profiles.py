"""Customers: the latest, and one over all moments with the way to the explanation of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, request

from contracts.stitching import ANONYMOUS
from services.config.access import needs
from services.config.program import program
from services.config.resources import AudienceConfiguration, Listing, Moment, Suppression
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.frame import page
from services.config.ui.pages.erasures import erasure_url
from services.config.ui.pages.suppressions import ID_TYPES, addition_url
from shared.http import NotFound

_MOST_AUDIENCES = 50
_LATEST_OF = 10
"""Audiences whose latest customers are shown: each is a question to trigger."""
_MOST_LATEST = 20
_MOST_MOMENTS = 50
_MOST_CONFIGURATIONS = 50
_LONGEST = 255

blueprint = Blueprint("profile_pages", __name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a customer in one audience configuration, its moments that have run, and whether signals of
    theirs are refused."""

    profile: dict[str, Any]
    moments: Sequence[Moment]
    suppression: Suppression | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """An audience configuration in which something may be held of somebody who is not known by name."""

    configuration: AudienceConfiguration
    suppression: Suppression | None


@blueprint.get("/profiles")
@needs("viewer")
def profiles() -> tuple[str, int]:
    """Look a customer up by e-mail address, phone number or id; without any, the latest."""
    asked = request.args.get("id", "").strip()[:_LONGEST]
    id_type = request.args.get("idType", "")
    id_type = id_type if id_type in ID_TYPES else ""
    known: list[Known] | None = []
    latest: list[dict[str, Any]] = []
    visitor: list[Visitor] = []
    try:
        if not asked:
            latest = _latest()
        elif id_type == ANONYMOUS:
            visitor = _visitor(asked)
        elif "\0" not in asked:
            known = [_known(each) for each in _found(asked, id_type)]
    except TriggerAway:
        known = None
    return page(
        "pages/profiles.html",
        asked=asked,
        id_type=id_type,
        id_types=ID_TYPES,
        known=known,
        visitor=visitor,
        latest=latest,
        erasure_url=erasure_url,
        addition_url=addition_url,
    )


def _known(profile: dict[str, Any]) -> Known:
    configuration_id, named = profile["audienceConfiguration"]["id"], profile["profile"]
    suppression = program().suppressions.standing(configuration_id, named["idType"], named["id"])
    return Known(profile, _moments(configuration_id), suppression)


def _visitor(asked: str) -> list[Visitor]:
    listing = Listing(page_size=_MOST_CONFIGURATIONS, sort="name")
    return [
        Visitor(each, program().suppressions.standing(each.id, ANONYMOUS, asked))
        for each in program().configurations.page(listing).items
    ]


def _found(asked: str, id_type: str) -> list[dict[str, Any]]:
    """What trigger knows, in every audience; an id may stand for several kinds of id."""
    query: dict[str, str | int | None] = {"profile": asked, "idType": id_type or None}
    found = [each for audience in _audiences()[:_MOST_AUDIENCES] for each in _of_audience(audience, query)]
    return sorted(found, key=lambda each: str(each["lastSeenAt"]), reverse=True)


def _latest() -> list[dict[str, Any]]:
    """Customers who are new, were changed, or had a moment raised lately."""
    query: dict[str, str | int | None] = {"limit": _MOST_LATEST}
    populous = [each for each in _audiences() if each["profiles"]][:_LATEST_OF]
    found = [each for audience in populous for each in _of_audience(audience, query)]
    return sorted(found, key=lambda each: str(each["lastSeenAt"]), reverse=True)[:_MOST_LATEST]


def _audiences() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program().trigger.get("/api/v1/audiences")["items"]
    return found


def _of_audience(audience: dict[str, Any], query: dict[str, str | int | None]) -> Iterator[dict[str, Any]]:
    try:
        yield from program().trigger.get(f"/api/v1/audiences/{audience['id']}/profiles", query)["items"]
    except (TriggerRefused, NotFound):  # its id fits into no address, or it was deleted just now
        return


def _moments(configuration_id: str) -> list[Moment]:
    listing = Listing(page_size=_MOST_MOMENTS)
    found = program().moments.page(listing, {"configuration_id": configuration_id})
    return [moment for moment in found.items if moment.has_run]
