"""REST: the audiences and what is known of their profiles (DOMAIN §7)."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from services.trigger.api.audience_readings import AudienceReadings, UnknownAudience
from services.trigger.api.audience_schemas import AudienceListSchema, AudienceProfilePageSchema, ProfilesQuerySchema
from shared.http import Blueprint

AUDIENCES = "moments-trigger-audiences"

audiences = Blueprint(
    "audiences", __name__, url_prefix="/api/v1/audiences", description="Audiences and what is known of their profiles."
)


def _readings() -> AudienceReadings:
    return cast(AudienceReadings, current_app.extensions[AUDIENCES])


@audiences.route("")
@audiences.response(200, AudienceListSchema)
def list_audiences() -> Any:
    """List the audiences."""
    return _readings().audiences()


@audiences.route("/<path:audience_id>/profiles")
@audiences.arguments(ProfilesQuerySchema, location="query")
@audiences.response(200, AudienceProfilePageSchema)
@audiences.refuses(UnknownAudience)
def profiles(query: dict[str, Any], audience_id: str) -> Any:
    """List the profiles of an audience."""
    return _readings().profiles(audience_id, **query)
