"""A customer over all moments: what is known of them, and the way to the explanation of each moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, request

from services.config.access import needs
from services.config.program import program
from services.config.resources import Listing, Moment
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.frame import page
from services.config.ui.pages.erasures import erasure_url
from shared.http import NotFound

_MOST_AUDIENCES = 50
_MOST_MOMENTS = 50
_LONGEST = 255

blueprint = Blueprint("profile_pages", __name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a customer in one audience configuration, and its moments that have run."""

    profile: dict[str, Any]
    moments: Sequence[Moment]


@blueprint.get("/profiles")
@needs("viewer")
def profiles() -> tuple[str, int]:
    """Look a customer up by e-mail address, phone number or id."""
    asked = request.args.get("id", "").strip()[:_LONGEST]
    known: list[Known] | None = []
    if asked and "\0" not in asked:
        try:
            known = [Known(each, _moments(each["audienceConfiguration"]["id"])) for each in _found(asked)]
        except TriggerAway:
            known = None
    return page("pages/profiles.html", asked=asked, known=known, erasure_url=erasure_url)


def _found(asked: str) -> list[dict[str, Any]]:
    """What trigger knows, in every audience; an id may stand for several kinds of id."""
    found: list[dict[str, Any]] = []
    for audience in program().trigger.get("/api/v1/audiences")["items"][:_MOST_AUDIENCES]:
        try:
            path = f"/api/v1/audiences/{audience['id']}/profiles"
            found += program().trigger.get(path, {"profile": asked})["items"]
        except (TriggerRefused, NotFound):  # its id fits into no address, or it was deleted just now
            continue
    return sorted(found, key=lambda each: str(each["lastSeenAt"]), reverse=True)


def _moments(configuration_id: str) -> list[Moment]:
    listing = Listing(page_size=_MOST_MOMENTS)
    found = program().moments.page(listing, {"configuration_id": configuration_id})
    return [moment for moment in found.items if moment.has_run]
