"""Journeys: what listens to moments. Webhooks are made, tried and changed here; queues are told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from contracts.templates import templates
from contracts.topology import topic_matches
from services.config.access import needs
from services.config.journeys import JourneyQueue, Listening
from services.config.program import program
from services.config.triggering import TriggerAway, TriggerConflict, TriggerRefused
from services.config.ui.frame import done_at, page
from services.config.ui.routing_keys import choices, raised_key, split, typed
from services.config.ui.texts import t

MOST_SHOWN = 200
"""As many webhooks as there may be."""
OVERLAPS = (0, 3_600, 86_400, 7 * 86_400)
"""How long a former secret may go on signing, seconds."""
_FIELDS = ("name", "description", "url", "patterns")

blueprint = Blueprint("journey_pages", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A form of a webhook as it was filled in. `faults`: field → reason; `conflict`: what others have changed."""

    name: str = ""
    description: str = ""
    url: str = ""
    patterns: Sequence[str] = ("moment.*",)
    version: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    conflict: Sequence[str] = ()

    @classmethod
    def of_request(cls, **more: Any) -> Filled:
        """What was sent."""
        form = request.form
        return cls(
            name=form.get("name", "").strip(),
            description=form.get("description", "").strip(),
            url=form.get("url", "").strip(),
            patterns=typed(form.getlist("patterns"), form.get("more", "")),
            version=form.get("version", 0, type=int),
            **more,
        )

    @property
    def missing(self) -> dict[str, str]:
        """What must be said before trigger is asked: field → reason."""
        needed = ("name", "url", "patterns")
        return {name: t(f"journeys.form.missing.{name}") for name in needed if not getattr(self, name)}

    @property
    def document(self) -> dict[str, Any]:
        """As trigger takes it."""
        return {name: list(value) if name == "patterns" else value for name, value in self.values().items()}

    def values(self) -> dict[str, Any]:
        """Field → value."""
        return {name: getattr(self, name) for name in _FIELDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A type of moment, and who listens to it."""

    type: str
    title: str
    icon: str
    moments: int
    webhooks: Sequence[dict[str, Any]]
    queues: Sequence[JourneyQueue]


@blueprint.get("/journeys")
@needs("viewer")
def overview() -> tuple[str, int]:
    """Webhooks, queues, and the types of moments that nobody listens to; `part` is what is loaded again."""
    part = request.args.get("part")
    template = "parts/journeys_listening.html" if part == "listening" else "pages/journeys.html"
    return page(template, **_background())


@blueprint.get("/journeys/webhooks/new")
@needs("admin")
def new() -> tuple[str, int]:
    """The form of a new webhook."""
    asked = request.args.getlist("pattern")
    return _form(Filled(patterns=tuple(asked)) if asked else Filled(), None)


@blueprint.post("/journeys/webhooks/new")
@needs("admin")
def create() -> tuple[str, int]:
    """Make it, and show its secret, this once."""
    filled = Filled.of_request()
    if filled.missing:
        return _form(replace(filled, faults=filled.missing), None, 422)
    try:
        made = program().webhooks.create({**filled.document, "enabled": True})
    except TriggerRefused as refused:
        return _form(_with_faults(refused), None, 422)
    return _panel(made, secret=made["secret"], status=201)


@blueprint.get("/journeys/webhooks/<uuid:webhook_id>")
@needs("viewer")
def webhook(webhook_id: UUID) -> tuple[str, int]:
    """One webhook."""
    return _panel(program().webhooks.get(str(webhook_id)))


@blueprint.get("/journeys/webhooks/<uuid:webhook_id>/edit")
@needs("admin")
def edit(webhook_id: UUID) -> tuple[str, int]:
    """The form of a webhook."""
    known = program().webhooks.get(str(webhook_id))
    return _form(Filled(**{name: known[name] for name in (*_FIELDS, "version")}), known)


@blueprint.post("/journeys/webhooks/<uuid:webhook_id>/edit")
@needs("admin")
def change(webhook_id: UUID) -> tuple[str, int] | Response:
    """Save it; what somebody else has saved meanwhile is shown first."""
    filled = Filled.of_request()
    if filled.missing:
        return _form(replace(filled, faults=filled.missing), program().webhooks.get(str(webhook_id)), 422)
    try:
        program().webhooks.change(str(webhook_id), filled.document, filled.version)
    except TriggerConflict:
        known = program().webhooks.get(str(webhook_id))
        others = [name for name, value in filled.values().items() if known[name] != value]
        return _form(replace(filled, conflict=others, version=known["version"]), known, 409)
    except TriggerRefused as refused:
        return _form(_with_faults(refused), program().webhooks.get(str(webhook_id)), 422)
    return _to(webhook_id, "webhook_saved")


@blueprint.post("/journeys/webhooks/<uuid:webhook_id>/switch")
@needs("admin")
def switch(webhook_id: UUID) -> Response:
    """Enable or disable it, whatever else was changed meanwhile."""
    enabled = request.form.get("enabled") == "on"
    for _ in range(3):
        known = program().webhooks.get(str(webhook_id))
        try:
            program().webhooks.change(known["id"], {"enabled": enabled}, known["version"])
            break
        except TriggerConflict:
            continue
    return _to(webhook_id, "webhook_enabled" if enabled else "webhook_disabled")


@blueprint.post("/journeys/webhooks/<uuid:webhook_id>/test")
@needs("editor")
def test(webhook_id: UUID) -> tuple[str, int]:
    """Send a sample, and show what came back."""
    known = program().webhooks.get(str(webhook_id))
    try:
        return _panel(known, tested=program().webhooks.test(known["id"]))
    except TriggerAway as away:
        return _panel(known, tested={"delivered": False, "status": None, "error": away.detail, "answer": ""})


@blueprint.get("/journeys/webhooks/<uuid:webhook_id>/secret")
@needs("admin")
def confirm_rotation(webhook_id: UUID) -> tuple[str, int]:
    """How long the former secret goes on signing."""
    return page("pages/webhook_secret.html", webhook=program().webhooks.get(str(webhook_id)), overlaps=OVERLAPS)


@blueprint.post("/journeys/webhooks/<uuid:webhook_id>/secret")
@needs("admin")
def rotate(webhook_id: UUID) -> tuple[str, int]:
    """Another secret, shown this once."""
    overlap = request.form.get("overlap", 86_400, type=int)
    made = program().webhooks.rotate(str(webhook_id), overlap if overlap in OVERLAPS else 86_400)
    return _panel(made, secret=made["secret"], rotated=True)


@blueprint.get("/journeys/webhooks/<uuid:webhook_id>/delete")
@needs("admin")
def confirm_deletion(webhook_id: UUID) -> tuple[str, int]:
    """What is lost, before it is deleted."""
    return page("pages/webhook_deletion.html", webhook=program().webhooks.get(str(webhook_id)))


@blueprint.post("/journeys/webhooks/<uuid:webhook_id>/delete")
@needs("admin")
def delete(webhook_id: UUID) -> Response:
    """Delete it with its log."""
    program().webhooks.delete(str(webhook_id))
    return redirect(done_at("journey_pages.overview", "webhook_deleted"), 303)


def _background() -> dict[str, Any]:
    """What stands behind every panel: the list, and who listens to what. Trigger or the broker may be away."""
    try:
        hooks: list[dict[str, Any]] | None = program().webhooks.page(limit=MOST_SHOWN)["items"]
    except TriggerAway:
        hooks = None
    listening = program().journeys.listening()
    return {
        "webhooks": hooks,
        "listening": listening,
        "listeners": _listeners(hooks or [], listening),
        "choices": choices(),
        "state_of": state_of,
    }


def _listeners(hooks: Sequence[dict[str, Any]], listening: Listening) -> list[Listener]:
    """The types of which there are moments, those that run first."""
    found = [
        Listener(
            type=type,
            title=templates()[type].title,
            icon=templates()[type].icon,
            moments=count,
            webhooks=[each for each in hooks if each["enabled"] and _takes(each["patterns"], raised_key(type))],
            queues=[each for each in listening.queues or () if each.takes(raised_key(type))],
        )
        for type, count in program().moments.running_by_type().items()
        if type in templates()
    ]
    return sorted(found, key=lambda each: (-each.moments, each.title))


def _takes(patterns: Sequence[str], key: str) -> bool:
    return any(topic_matches(pattern, key) for pattern in patterns)


def state_of(hook: dict[str, Any]) -> tuple[str, str, str]:
    """How a webhook is: class of its badge, icon, words."""
    if not hook["enabled"]:
        reason = hook["disabledReason"] or "requested"
        return "stopped", "pause", t(f"journeys.state.{reason}")
    if hook["failingSince"]:
        return "bad", "warning", t("journeys.state.retrying")
    return "running", "check", t("journeys.state.enabled")


def _panel(hook: dict[str, Any], status: int = 200, **values: Any) -> tuple[str, int]:
    return page("pages/webhook.html", status, webhook=hook, **{**_background(), **values})


def _form(filled: Filled, known: dict[str, Any] | None, status: int = 200) -> tuple[str, int]:
    ticked, more = split(filled.patterns)
    return page(
        "pages/webhook_form.html",
        status,
        filled=filled,
        webhook=known,
        ticked=ticked,
        more=" ".join(more),
        **_background(),
    )


def _with_faults(refused: TriggerRefused) -> Filled:
    """The form as it was filled in, with what trigger found wrong beside each field."""
    faults: dict[str, str] = {}
    for fault in refused.faults:
        name = fault.pointer.strip("/").partition("/")[0] or fault.parameter or "name"
        faults.setdefault(name, fault.reason)
    return Filled.of_request(faults=faults, detail="" if faults else refused.detail)


def _to(webhook_id: UUID, done: str) -> Response:
    return redirect(url_for("journey_pages.webhook", webhook_id=webhook_id, done=done), 303)
