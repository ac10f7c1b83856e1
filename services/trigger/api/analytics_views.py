"""REST: the analytics of moments."""

from __future__ import annotations

from typing import Any, cast

from flask import Response, current_app, request

from services.trigger.api.analytics import Analytics
from services.trigger.api.analytics_schemas import (
    AnalyticsQuerySchema,
    AnalyticsSchema,
    OverviewSchema,
    StreamQuerySchema,
)
from services.trigger.api.periods import Period, WrongPeriod
from services.trigger.api.readings import UnknownMoment
from services.trigger.api.streams import Streams
from shared.http import Blueprint
from shared.listeners import TooManyStreams

EXTENSION = "moments-analytics"
STREAMS = "moments-streams"
_EVENTS = "text/event-stream"

blueprint = Blueprint(
    "analytics", __name__, url_prefix="/api/v1/moments", description="What moments do, counted as it happens."
)


def _analytics() -> Analytics:
    return cast(Analytics, current_app.extensions[EXTENSION])


@blueprint.route("/analytics")
@blueprint.response(200, OverviewSchema)
def overview() -> Any:
    """Read what every moment raised in the latest 24 hours, and what is pending."""
    return _analytics().overview()


@blueprint.route("/<moment_id>/analytics")
@blueprint.arguments(AnalyticsQuerySchema, location="query")
@blueprint.response(200, AnalyticsSchema)
@blueprint.refuses(UnknownMoment, WrongPeriod)
def analytics(query: dict[str, Period], moment_id: str) -> Any:
    """Read the numbers of a moment in a period, by the minute, hour or day."""
    return _analytics().document(moment_id, **query)


@blueprint.route("/<moment_id>/stream")
@blueprint.arguments(StreamQuerySchema, location="query")
@blueprint.doc(
    parameters=[
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The `id` of the last event that was taken: outcomes go on from there.",
            "schema": {"type": "string"},
        }
    ]
)
@blueprint.response(200, {"type": "string"}, content_type=_EVENTS)
@blueprint.refuses(UnknownMoment, WrongPeriod, TooManyStreams)
def stream(query: dict[str, Period], moment_id: str) -> Any:
    """Listen: `analytics` when numbers change, with the points that did; `outcome` for each raise or suppression.

    The data of `analytics` is that of the analytics resource without `latest`. `reset` says that outcomes since
    `Last-Event-ID` are no longer kept. A stream ends after ten minutes; come back with `Last-Event-ID`.
    """
    streams = cast(Streams, current_app.extensions[STREAMS])
    last_event_id, connection = request.headers.get("Last-Event-ID", ""), request.environ.get("gunicorn.socket")
    events, release = streams.open(moment_id, query["period"], last_event_id, connection)
    response = Response(events, content_type=_EVENTS, headers={"X-Accel-Buffering": "no"})
    response.call_on_close(release)
    return response
