"""REST: audience configurations and their keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask.views import MethodView

from services.config.errors import MomentsRefer, SitesInUse
from services.config.program import program
from services.config.resources import Listing
from services.config.schemas import (
    ConfigurationChangeSchema,
    ConfigurationPageSchema,
    ConfigurationQuerySchema,
    ConfigurationSchema,
    KeyChangeSchema,
    KeyRegenerationSchema,
    NewConfigurationSchema,
)
from shared.conditions import VersionConflict, VersionRequired, expected_version, tagged
from shared.http import Blueprint, NotFound

blueprint = Blueprint(
    "audience-configurations",
    __name__,
    url_prefix="/api/v1/audience-configurations",
    description="Who may send signals, and which audience is meant.",
)
_KEY = {"in": "path", "name": "key", "description": "Type of the key (web, app, server), or its id."}


@blueprint.route("")
class Collection(MethodView):
    """All audience configurations."""

    @blueprint.arguments(ConfigurationQuerySchema, location="query")
    @blueprint.response(200, ConfigurationPageSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List audience configurations, the newest update first."""
        listing: Listing = query["listing"]
        return program().configurations.page(listing)

    @blueprint.arguments(NewConfigurationSchema)
    @blueprint.response(201, ConfigurationSchema)
    def post(self, fields: dict[str, Any]) -> Any:
        """Make an audience configuration with three disabled keys; the server key's secret is shown this once."""
        return tagged(program().configurations.create(**fields))


@blueprint.route("/<uuid:configuration_id>")
class One(MethodView):
    """One audience configuration."""

    @blueprint.response(200, ConfigurationSchema)
    @blueprint.refuses(NotFound)
    def get(self, configuration_id: UUID) -> Any:
        """Read an audience configuration."""
        return tagged(program().configurations.get(str(configuration_id)))

    @blueprint.conditional(required=True)
    @blueprint.arguments(ConfigurationChangeSchema)
    @blueprint.response(200, ConfigurationSchema)
    @blueprint.refuses(NotFound, SitesInUse, VersionConflict, VersionRequired)
    def patch(self, changes: dict[str, Any], configuration_id: UUID) -> Any:
        """Change an audience configuration; what is not named stays."""
        expected = expected_version(required=True)
        return tagged(program().configurations.change(str(configuration_id), changes, expected))

    @blueprint.conditional()
    @blueprint.response(204)
    @blueprint.refuses(NotFound, MomentsRefer, VersionConflict)
    def delete(self, configuration_id: UUID) -> None:
        """Delete an audience configuration; draft and archived moments lose their link to it."""
        program().configurations.delete(str(configuration_id), expected_version())


@blueprint.route("/<uuid:configuration_id>/keys/<key>", methods=["PATCH"], parameters=[_KEY])
@blueprint.conditional()
@blueprint.arguments(KeyChangeSchema)
@blueprint.response(200, ConfigurationSchema)
@blueprint.refuses(NotFound, VersionConflict)
def change_key(changes: dict[str, Any], configuration_id: UUID, key: str) -> Any:
    """Enable, disable or limit a key, named by its type (web, app, server) or its id; what is not named stays."""
    configurations = program().configurations
    return tagged(configurations.change_key(str(configuration_id), key, changes, expected_version()))


@blueprint.route("/<uuid:configuration_id>/keys/<key>/regenerate", methods=["POST"], parameters=[_KEY])
@blueprint.conditional()
@blueprint.arguments(KeyRegenerationSchema)
@blueprint.response(201, ConfigurationSchema)
@blueprint.refuses(NotFound, VersionConflict)
def regenerate_key(wanted: dict[str, Any], configuration_id: UUID, key: str) -> Any:
    """Replace a key by a new one; the old one may overlap. A server key's secret is shown this once."""
    configurations = program().configurations
    return tagged(configurations.regenerate_key(str(configuration_id), key, **wanted, expected=expected_version()))
