"""REST: the latest signals, and the kinds that were received."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from services.trigger.api.recent import RecentSignals, UnknownSignal
from services.trigger.api.recent_schemas import (
    KindsQuerySchema,
    ReceivedKindsSchema,
    RecentPageSchema,
    RecentQuerySchema,
    RecentSignalDetailSchema,
)
from shared.http import Blueprint

EXTENSION = "moments-recent-signals"

blueprint = Blueprint(
    "recent-signals",
    __name__,
    url_prefix="/api/v1/signals",
    description="The latest signals, accepted and refused, and what they did.",
)


def _signals() -> RecentSignals:
    return cast(RecentSignals, current_app.extensions[EXTENSION])


@blueprint.route("/recent")
@blueprint.arguments(RecentQuerySchema, location="query")
@blueprint.response(200, RecentPageSchema)
def recent(query: dict[str, Any]) -> Any:
    """List the latest signals, accepted and refused, the newest first."""
    return _signals().page(**query)


@blueprint.route("/recent/<entry_id>")
@blueprint.response(200, RecentSignalDetailSchema)
@blueprint.refuses(UnknownSignal)
def one(entry_id: str) -> Any:
    """Read a signal and what it did."""
    return _signals().one(entry_id)


@blueprint.route("/kinds")
@blueprint.arguments(KindsQuerySchema, location="query")
@blueprint.response(200, ReceivedKindsSchema)
def kinds(query: dict[str, Any]) -> Any:
    """List the kinds of signals that were received, the latest first."""
    return _signals().kinds(**query)
