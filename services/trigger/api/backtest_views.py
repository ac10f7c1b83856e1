"""REST: back-tests as jobs."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app, url_for
from flask.views import MethodView

from services.trigger.api.backtest_schemas import (
    BacktestPageSchema,
    BacktestsQuerySchema,
    BacktestWithResultSchema,
    NewBacktestSchema,
)
from services.trigger.api.backtests import AlreadyEnded, Backtests, TooManyBacktests, UnknownBacktest
from shared.http import Blueprint, Unprocessable

EXTENSION = "moments-backtests"

blueprint = Blueprint(
    "backtests",
    __name__,
    url_prefix="/api/v1/backtests",
    description="What a moment would have done over the recorded signals of its audience configuration.",
)


def _backtests() -> Backtests:
    return cast(Backtests, current_app.extensions[EXTENSION])


@blueprint.route("")
class Collection(MethodView):
    """All back-tests."""

    @blueprint.arguments(BacktestsQuerySchema, location="query")
    @blueprint.response(200, BacktestPageSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List back-tests, the newest first."""
        return _backtests().page(**query)

    @blueprint.arguments(NewBacktestSchema)
    @blueprint.response(202, BacktestWithResultSchema)
    @blueprint.refuses(Unprocessable, TooManyBacktests)
    def post(self, fields: dict[str, Any]) -> Any:
        """Ask for a back-test; it runs as a job, one at a time."""
        job = _backtests().ask(fields)
        return job, {"Location": url_for("backtests.One", job_id=job["id"])}


@blueprint.route("/<job_id>")
class One(MethodView):
    """One back-test."""

    @blueprint.response(200, BacktestWithResultSchema)
    @blueprint.refuses(UnknownBacktest)
    def get(self, job_id: str) -> Any:
        """Read a back-test: its progress, and its result once it is done."""
        return _backtests().get(job_id)

    @blueprint.response(204)
    @blueprint.refuses(UnknownBacktest)
    def delete(self, job_id: str) -> None:
        """Delete a back-test; one that runs ends."""
        _backtests().remove(job_id)


@blueprint.route("/<job_id>/cancel", methods=["POST"])
@blueprint.response(200, BacktestWithResultSchema)
@blueprint.refuses(UnknownBacktest, AlreadyEnded)
def cancel(job_id: str) -> Any:
    """End a back-test that waits or runs."""
    return _backtests().cancel(job_id)
