"""REST: moments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask.views import MethodView

from services.config.errors import ArchivedFixed, CannotRun, LinkFixed, NotDeletable, StatusRefused
from services.config.preview_schemas import MomentPreviewSchema, MomentThoughtSchema
from services.config.program import program
from services.config.schemas import (
    MomentChangeSchema,
    MomentPageSchema,
    MomentQuerySchema,
    MomentSchema,
    NewMomentSchema,
    StatusChangeSchema,
)
from services.config.triggering import TriggerAway
from shared.conditions import VersionConflict, VersionRequired, expected_version, tagged
from shared.http import Blueprint, NotFound, Unprocessable

blueprint = Blueprint(
    "moments", __name__, url_prefix="/api/v1/moments", description="Templates put to use for an audience."
)


@blueprint.route("")
class Collection(MethodView):
    """All moments."""

    @blueprint.arguments(MomentQuerySchema, location="query")
    @blueprint.response(200, MomentPageSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List moments, the newest update first."""
        return program().moments.page(**query)

    @blueprint.arguments(NewMomentSchema)
    @blueprint.response(201, MomentSchema)
    def post(self, fields: dict[str, Any]) -> Any:
        """Make a moment; it is a draft."""
        return tagged(program().moments.create(**fields))


@blueprint.route("/<uuid:moment_id>")
class One(MethodView):
    """One moment."""

    @blueprint.response(200, MomentSchema)
    @blueprint.refuses(NotFound)
    def get(self, moment_id: UUID) -> Any:
        """Read a moment."""
        return tagged(program().moments.get(str(moment_id)))

    @blueprint.conditional(required=True)
    @blueprint.arguments(MomentChangeSchema)
    @blueprint.response(200, MomentSchema)
    @blueprint.refuses(NotFound, ArchivedFixed, LinkFixed, VersionConflict, VersionRequired)
    def patch(self, changes: dict[str, Any], moment_id: UUID) -> Any:
        """Change a moment; a field or setting that is not named stays, null clears a setting."""
        return tagged(program().moments.change(str(moment_id), changes, expected_version(required=True)))

    @blueprint.conditional()
    @blueprint.response(204)
    @blueprint.refuses(NotFound, NotDeletable, VersionConflict)
    def delete(self, moment_id: UUID) -> None:
        """Delete a draft or archived moment."""
        program().moments.delete(str(moment_id), expected_version())


@blueprint.route("/<uuid:moment_id>/status", methods=["POST"])
@blueprint.conditional()
@blueprint.arguments(StatusChangeSchema)
@blueprint.response(200, MomentSchema)
@blueprint.refuses(NotFound, StatusRefused, CannotRun, VersionConflict)
def set_status(wanted: dict[str, Any], moment_id: UUID) -> Any:
    """Start, stop, archive or reopen a moment."""
    return tagged(program().moments.set_status(str(moment_id), wanted["status"], expected_version()))


@blueprint.route("/<uuid:moment_id>/preview", methods=["POST"])
@blueprint.conditional()
@blueprint.arguments(MomentThoughtSchema)
@blueprint.response(200, MomentPreviewSchema)
@blueprint.refuses(NotFound, ArchivedFixed, LinkFixed, StatusRefused, CannotRun, Unprocessable)
@blueprint.refuses(VersionConflict, TriggerAway)
def preview(change: dict[str, Any], moment_id: UUID) -> Any:
    """Tell what a change would do to the pending waits; nothing is saved."""
    return program().previews.of(str(moment_id), change, expected_version())
