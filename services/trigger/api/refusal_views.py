"""REST: refused signals and their replays."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import current_app, g

from services.trigger.api.refusal_schemas import (
    NewReplaySchema,
    RefusalPageSchema,
    RefusalsQuerySchema,
    RefusedSignalSchema,
    ReplayPreviewSchema,
    ReplaySchema,
    ReplaysSchema,
    WantedReplaySchema,
)
from services.trigger.api.refusals import NothingToReplay, RefusedSignals, UnknownRefusal, UnknownReplay
from shared.bearer import ApiToken
from shared.http import Blueprint

EXTENSION = "moments-refusals"
NOBODY = "admin token"
"""Whose wish it is that comes with the token of the installation and names nobody."""

blueprint = Blueprint(
    "refusals", __name__, url_prefix="/api/v1/refusals", description="Signals that were refused, and their replays."
)


def _refusals() -> RefusedSignals:
    return cast(RefusedSignals, current_app.extensions[EXTENSION])


@blueprint.route("")
@blueprint.arguments(RefusalsQuerySchema, location="query")
@blueprint.response(200, RefusalPageSchema)
def refusals(query: dict[str, Any]) -> Any:
    """List refused signals, the newest first."""
    return _refusals().page(**query)


@blueprint.route("/<refusal_id>")
@blueprint.response(200, RefusedSignalSchema)
@blueprint.refuses(UnknownRefusal)
def refusal(refusal_id: str) -> Any:
    """Read a refused signal with what was sent."""
    return _refusals().one(refusal_id)


@blueprint.route("/replay", methods=["POST"])
@blueprint.arguments(NewReplaySchema)
@blueprint.response(202, ReplaySchema)
@blueprint.refuses(NothingToReplay)
def replay(wanted: dict[str, Any]) -> Any:
    """Replay refused signals: they are read again, by what holds now, as received now.

    What is stored already or underway is left out, so that the same can be asked twice. `replays` tells how far it is.
    """
    by = wanted.pop("by")
    token: ApiToken | None = g.get("bearer")
    return _refusals().replay(**wanted, by=(by or NOBODY) if token is None else token.name)


@blueprint.route("/replay/preview", methods=["POST"])
@blueprint.arguments(WantedReplaySchema)
@blueprint.response(200, ReplayPreviewSchema)
def preview(wanted: dict[str, Any]) -> Any:
    """Tell how many refused signals would be replayed."""
    return _refusals().preview(**wanted)


@blueprint.route("/replays")
@blueprint.response(200, ReplaysSchema)
def replays() -> Any:
    """List the latest requests for replays, the newest first."""
    return _refusals().replays()


@blueprint.route("/replays/<uuid:replay_id>")
@blueprint.response(200, ReplaySchema)
@blueprint.refuses(UnknownReplay)
def progress(replay_id: UUID) -> Any:
    """Tell how far a request for replays is."""
    return _refusals().progress(str(replay_id))
