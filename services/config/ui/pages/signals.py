"""The live list of signals, accepted and refused, and one signal with what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, request

from contracts.signals import KINDS
from services.config.access import needs
from services.config.program import program
from services.config.resources import AudienceConfiguration, Listing
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.frame import page
from services.config.ui.snippets import curl_of_web_key, current_key, pretty
from services.config.ui.texts import catalogue, known, t

blueprint = Blueprint("signal_pages", __name__, template_folder="../templates")

RECENT = "/api/v1/signals/recent"
_FILTERS = ("outcome", "kind", "configurationId", "key", "reason", "profile")
_PAGE = 50
_NEWS = 50
_LONGEST = 300
_MOST_CONFIGURATIONS = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list is cut down to, as it stands in the URL."""

    filters: Mapping[str, str]
    cursor: str = ""

    @classmethod
    def of_request(cls) -> Asked:
        """What of the query means anything; the rest is passed over."""
        given = {name: request.args.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
        if given["outcome"] not in ("accepted", "refused"):
            given["outcome"] = ""
        return cls({name: value for name, value in given.items() if value}, request.args.get("cursor", "")[:_LONGEST])

    def url(self, path: str = "/signals", **changes: str | None) -> str:
        """The list with other filters; None and empty take one off. A change goes back to the newest."""
        wanted = {**self.filters, **changes}
        query = urlencode({name: value for name, value in wanted.items() if value})
        return f"{path}?{query}" if query else path


@blueprint.app_template_global("refusal_words")
def refusal_words(code: str) -> str:
    """Why a signal was refused, in plain words; a reason without words is told as it is."""
    key = f"signals.reasons.{code}"
    return t(key) if known(key) else code


@blueprint.app_template_global("refusal_advice")
def refusal_advice(code: str) -> str:
    """What to do about it, or nothing."""
    key = f"signals.advice.{code}"
    return t(key) if known(key) else ""


@blueprint.get("/signals")
@needs("viewer")
def live() -> tuple[str, int]:
    """The list."""
    return page("pages/signals.html", **_list(Asked.of_request()))


@blueprint.get("/signals/news")
@needs("viewer")
def news() -> tuple[str, int]:
    """The rows of what has come since; TriggerAway leaves an open page what it shows."""
    asked = Asked.of_request()
    after = request.args.get("after", "")[:_LONGEST]
    query = {**asked.filters, "after": after or None, "limit": _NEWS}
    try:
        found = program().trigger.get(RECENT, query)
    except TriggerRefused:
        found = {"items": [], "latest": "", "next": None}
    return page("parts/signals_news.html", found=found, asked=asked)


@blueprint.get("/signals/<entry_id>")
@needs("viewer")
def one(entry_id: str) -> tuple[str, int]:
    """One signal beside the list: its message, and what it did."""
    asked = Asked.of_request()
    try:
        found = program().trigger.get(f"{RECENT}/{entry_id}")
        away = False
    except TriggerAway:
        found, away = None, True
    envelope = pretty(found["envelope"]) if found is not None else ""
    return page("pages/signal.html", one=found, one_away=away, entry_id=entry_id, envelope=envelope, **_list(asked))


def _list(asked: Asked) -> dict[str, Any]:
    """What the list shows; while trigger is away, that it is."""
    configurations = program().configurations.page(Listing(page_size=_MOST_CONFIGURATIONS, sort="name")).items
    chosen = next((each for each in configurations if each.id == asked.filters.get("configurationId")), None)
    shown: dict[str, Any] = {
        "asked": asked,
        "found": {"items": [], "next": None, "latest": "", "searchedSince": None},
        "away": False,
        "kinds": KINDS,
        "configurations": configurations,
        "chosen": chosen,
        "reasons": [key.rpartition(".")[2] for key in catalogue() if key.startswith("signals.reasons.")],
        "example": _example(chosen, configurations),
    }
    try:
        query = {**asked.filters, "cursor": asked.cursor or None, "limit": _PAGE}
        return shown | {"found": program().trigger.get(RECENT, query)}
    except TriggerRefused:
        return shown
    except TriggerAway:
        return shown | {"away": True}


def _example(
    chosen: AudienceConfiguration | None, configurations: tuple[AudienceConfiguration, ...]
) -> dict[str, Any] | None:
    """How to send the first signal by hand: with a web key that is on, if there is one."""
    candidates = [chosen] if chosen is not None else [each for each in configurations if each.domains]
    found = sorted(candidates, key=lambda each: not _is_on(each))
    if not found:
        return None
    return {"line": curl_of_web_key(found[0], program().ingestion.public_url), "on": _is_on(found[0])}


def _is_on(configuration: AudienceConfiguration) -> bool:
    key = current_key(configuration, "web")
    return key is not None and key.enabled
