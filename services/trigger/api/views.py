"""REST: the outcomes, the ledger, the waits, the recoveries and the contradictions of a moment."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from services.trigger.api.readings import Readings, UnknownMoment
from services.trigger.api.schemas import (
    ContradictionPageSchema,
    ContradictionsQuerySchema,
    EventPageSchema,
    EventsQuerySchema,
    LedgerSchema,
    PreviewQuerySchema,
    PreviewSchema,
    RecoveriesQuerySchema,
    RecoveryPageSchema,
    WaitPageSchema,
    WaitsQuerySchema,
)
from shared.http import Blueprint, Unprocessable

EXTENSION = "moments-trigger"

blueprint = Blueprint(
    "moments", __name__, url_prefix="/api/v1/moments", description="What became of the waits of a moment."
)


def _readings() -> Readings:
    return cast(Readings, current_app.extensions[EXTENSION])


@blueprint.route("/<moment_id>/events")
@blueprint.arguments(EventsQuerySchema, location="query")
@blueprint.response(200, EventPageSchema)
@blueprint.refuses(UnknownMoment)
def events(query: dict[str, Any], moment_id: str) -> Any:
    """List what was raised or suppressed, the newest first."""
    return _readings().events(moment_id, **query)


@blueprint.route("/<moment_id>/ledger")
@blueprint.response(200, LedgerSchema)
@blueprint.refuses(UnknownMoment)
def ledger(moment_id: str) -> Any:
    """Read the counters of a moment."""
    return _readings().ledger(moment_id)


@blueprint.route("/<moment_id>/waits")
@blueprint.arguments(WaitsQuerySchema, location="query")
@blueprint.response(200, WaitPageSchema)
@blueprint.refuses(UnknownMoment)
def waits(query: dict[str, Any], moment_id: str) -> Any:
    """List the pending waits."""
    return _readings().waits(moment_id, **query)


@blueprint.route("/<moment_id>/recoveries")
@blueprint.arguments(RecoveriesQuerySchema, location="query")
@blueprint.response(200, RecoveryPageSchema)
@blueprint.refuses(UnknownMoment)
def recoveries(query: dict[str, Any], moment_id: str) -> Any:
    """List the completions after a raise, the newest first."""
    return _readings().recoveries(moment_id, **query)


@blueprint.route("/<moment_id>/contradictions")
@blueprint.arguments(ContradictionsQuerySchema, location="query")
@blueprint.response(200, ContradictionPageSchema)
@blueprint.refuses(UnknownMoment)
def contradictions(query: dict[str, Any], moment_id: str) -> Any:
    """List the signals that came too late to prevent a raise."""
    return _readings().contradictions(moment_id, **query)


@blueprint.route("/<moment_id>/preview", methods=["POST"])
@blueprint.arguments(PreviewQuerySchema)
@blueprint.response(200, PreviewSchema)
@blueprint.refuses(UnknownMoment, Unprocessable)
def preview(change: dict[str, Any], moment_id: str) -> Any:
    """Tell what a change would do to the pending waits; nothing is saved."""
    return _readings().preview(moment_id, **change)
