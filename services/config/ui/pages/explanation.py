"""Why a moment was raised for a customer, and why it was not: the explanation timeline (DOMAIN §6.12).

What is asked for and what is shown concern a person: neither is logged, and no browser keeps the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, request, url_for

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from services.config.access import needs
from services.config.program import program
from services.config.resources import Moment, Page
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.frame import now, page, zone
from services.config.ui.stories.shown import Shown, shown
from services.config.ui.stories.story import Step, Story, read_story
from services.config.ui.stories.wording import TONES, Teller
from shared.http import NotFound

MOST_ENTRIES = 1_000
_PER_PAGE = 100
_LONGEST = 300
_PATIENCE = 10.0
"""Seconds for what the page is about: a thousand signals go through the engine once more."""

blueprint = Blueprint("explanation_pages", __name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked about. `id_type`: as given, empty when it is to be recognised."""

    id: str
    id_type: str
    process: str
    opened: str
    before: int | None

    @classmethod
    def of_request(cls) -> Asked:
        """What the address of the page asks for."""
        given = request.args
        id_type = given.get("idType", "")
        return cls(
            id=given.get("id", "")[:_LONGEST],
            id_type=id_type if id_type in PROFILE_FIELDS else "",
            process=given.get("process", "")[:_LONGEST],
            opened=given.get("open", "")[:_LONGEST],
            before=given.get("before", type=int),
        )

    @property
    def meant(self) -> str:
        """The idType: what was given, else what the value looks like."""
        return self.id_type or recognised(self.id)

    @property
    def others(self) -> list[str]:
        """The other idTypes that the value can be of."""
        return [id_type for id_type in PROFILE_FIELDS if id_type != self.meant and _can_be(self.id, id_type)]

    @property
    def query(self) -> dict[str, str]:
        """The part of an address that names the customer and the process."""
        named = {"id": self.id, "idType": self.id_type, "process": self.process}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What trigger said: its document, or why there is none (`problem`: a group of texts; `fault`: of the form)."""

    document: dict[str, Any] | None = None
    problem: str = ""
    fault: str = ""


def recognised(value: str) -> str:
    """The idType that a value looks like: an e-mail address, a phone number that begins with +, else an own id."""
    return next((id_type for id_type in ("email", "phone") if _can_be(value, id_type)), "external")


def _can_be(value: str, id_type: str) -> bool:
    try:
        normalise_profile(id_type, value)
    except InvalidProfile:
        return False
    return True


@blueprint.get("/moments/<uuid:moment_id>/explanations")
@needs("viewer")
def explanation(moment_id: UUID) -> tuple[str, int]:
    """Look a customer up, and see what the moment did for them; `part=story` is what is loaded again."""
    moment, asked = program().moments.get(str(moment_id)), Asked.of_request()
    found = _ask(moment, asked) if asked.id else Outcome()
    told = _told(found, asked)
    whole = request.args.get("part") != "story"
    return page(
        "pages/explanation.html" if whole else "parts/explanation_story.html",
        422 if found.fault else 200,
        **_values(moment, asked),
        outcome=found,
        shown=told,
        teller=Teller(now(), zone()),
    )


@blueprint.get("/moments/<uuid:moment_id>/explanations/signals")
@needs("viewer")
def signals(moment_id: UUID) -> tuple[str, int]:
    """Every signal of a part of the story, one by one."""
    moment, asked = program().moments.get(str(moment_id)), Asked.of_request()
    found = _ask(moment, asked) if asked.id else Outcome()
    steps = _between(read_story(found.document)) if found.document else []
    number = max(1, request.args.get("page", 1, type=int))
    part = tuple(steps[(number - 1) * _PER_PAGE : number * _PER_PAGE])
    return page(
        "pages/explanation_signals.html",
        **_values(moment, asked),
        outcome=found,
        steps=Page(items=part, page=number, page_size=_PER_PAGE, total=len(steps)),
        part={name: request.args[name] for name in ("from", "to") if name in request.args},
        teller=Teller(now(), zone()),
    )


def _values(moment: Moment, asked: Asked) -> dict[str, Any]:
    def link(**more: Any) -> str:
        query = {**asked.query, **more}
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return url_for("explanation_pages.explanation", moment_id=moment.id, **given)

    def all_of(steps: tuple[Step, ...], **more: Any) -> str:
        places = [step.place for step in steps]
        span = {"from": min(places), "to": max(places)}
        return url_for("explanation_pages.signals", moment_id=moment.id, **{**asked.query, **span, **more})

    return {"moment": moment, "asked": asked, "tones": TONES} | {
        "link": link,
        "all_of": all_of,
    }


def _told(found: Outcome, asked: Asked) -> Shown | None:
    if found.document is None:
        return None
    teller = Teller(now(), zone())
    return shown(read_story(found.document), teller, opened=asked.opened, alone=bool(asked.process))


def _ask(moment: Moment, asked: Asked) -> Outcome:
    """Ask trigger; what keeps it from answering is told in the page."""
    query = {
        "moment": moment.id,
        "profile": asked.id,
        "idType": asked.meant,
        "process": asked.process or None,
        "before": asked.before,
        "limit": MOST_ENTRIES,
    }
    try:
        return Outcome(program().trigger.get("/api/v1/explanations", query, within=_PATIENCE))
    except TriggerAway:
        return Outcome(problem="away")
    except NotFound:
        return Outcome(problem="unknown_to_trigger")
    except TriggerRefused as refused:
        if refused.faults:
            return Outcome(fault=refused.faults[0].reason)
        return Outcome(problem="no_configuration")


def _between(story: Story) -> list[Step]:
    """The signals whose places lie in the span that the address names, each once, by time."""
    first = request.args.get("from", 0, type=int)
    last = request.args.get("to", 2**53, type=int)
    steps = [step for each in story.occurrences for step in each.steps]
    steps += [step for strand in story.strands for step in strand.idle] + list(story.homeless)
    found = {step.place: step for step in steps if step.event == "signal" and first <= step.place <= last}
    return sorted(found.values(), key=lambda step: (step.at, step.place))
