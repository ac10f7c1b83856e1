"""What was sent to a webhook: the delivery log with every attempt, dead letters, sending again."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from services.config.access import needs
from services.config.program import program
from services.config.triggering import TriggerRefused
from services.config.ui.frame import page

STATES = ("all", "pending", "delivered", "dead")
_PATH = "/journeys/webhooks/<uuid:webhook_id>"
_DELIVERY = f"{_PATH}/deliveries/<int(max=9223372036854775807):delivery_id>"
_TONES = {"pending": ("draft", "clock"), "delivered": ("running", "check"), "dead": ("bad", "x")}
_LONGEST_CURSOR = 500

blueprint = Blueprint("webhook_log_pages", __name__)


@blueprint.get(f"{_PATH}/deliveries")
@needs("viewer")
def log(webhook_id: UUID) -> tuple[str, int] | Response:
    """The log of a webhook; `part` is what is loaded again."""
    hook, state = program().webhooks.get(str(webhook_id)), _state()
    cursor = request.args.get("cursor", "")[:_LONGEST_CURSOR] or None
    try:
        found = program().webhooks.deliveries(hook["id"], state, cursor)
    except TriggerRefused:  # a cursor that trigger never gave
        return redirect(_log_of(webhook_id, state))
    part = request.args.get("part") == "log"
    template = "parts/webhook_log.html" if part else "pages/webhook_log.html"
    return page(template, webhook=hook, found=found, state=state, cursor=cursor, states=STATES, tones=_TONES)


@blueprint.get(_DELIVERY)
@needs("viewer")
def delivery(webhook_id: UUID, delivery_id: int) -> tuple[str, int]:
    """One delivery, with its event and every attempt."""
    hook = program().webhooks.get(str(webhook_id))
    found = program().webhooks.delivery(hook["id"], delivery_id)
    return page(
        "pages/webhook_delivery.html", webhook=hook, delivery=found, body=_written(found["event"]), tones=_TONES
    )


@blueprint.post(f"{_DELIVERY}/redeliver")
@needs("editor")
def redeliver(webhook_id: UUID, delivery_id: int) -> Response:
    """Send it again, whatever became of it."""
    program().webhooks.redeliver(str(webhook_id), delivery_id)
    return redirect(_log_of(webhook_id, _state(), done="webhook_redelivered"), 303)


@blueprint.get(f"{_PATH}/redeliver")
@needs("editor")
def confirm_redelivery(webhook_id: UUID) -> tuple[str, int]:
    """Before all dead letters are sent again."""
    return page("pages/webhook_redelivery.html", webhook=program().webhooks.get(str(webhook_id)))


@blueprint.post(f"{_PATH}/redeliver")
@needs("editor")
def redeliver_dead(webhook_id: UUID) -> Response:
    """Send all dead letters again."""
    program().webhooks.redeliver_dead(str(webhook_id))
    return redirect(_log_of(webhook_id, "all", done="webhook_redelivered"), 303)


def _state() -> str:
    given = request.values.get("state", "all")
    return given if given in STATES else "all"


def _log_of(webhook_id: UUID, state: str, **more: Any) -> str:
    return url_for("webhook_log_pages.log", webhook_id=webhook_id, state=state, **more)


def _written(event: Any) -> str:
    return json.dumps(event, ensure_ascii=False, indent=2)
