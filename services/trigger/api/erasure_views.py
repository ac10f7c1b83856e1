"""REST: erasing customers."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import marshmallow as ma
from flask import Response, current_app, url_for
from flask.views import MethodView

from services.trigger.api.erasure_schemas import (
    ErasurePageSchema,
    ErasureSchema,
    ErasuresQuerySchema,
    NewErasureSchema,
    SuppressQuerySchema,
    WhomSchema,
    meant,
)
from services.trigger.api.erasures import Erasures, UnknownConfiguration, UnknownErasure
from services.trigger.api.exports import Exports
from services.trigger.engine.application import ProfileId
from shared.bearer import caller
from shared.http import Blueprint, Unprocessable
from shared.problems import Fault

EXTENSION = "moments-erasures"
EXPORTS = "moments-exports"

blueprint = Blueprint(
    "erasures",
    __name__,
    url_prefix="/api/v1/erasures",
    description="Erasing a customer, everywhere in this installation, and the receipts of it.",
)
profiles = Blueprint("profiles", __name__, url_prefix="/api/v1/profiles", description="All that is kept of a customer.")
exports = Blueprint("exports", __name__, url_prefix="/api/v1/exports", description="All that is kept of a customer.")
_DOCUMENT = {"type": "object"}


def _erasures() -> Erasures:
    return cast(Erasures, current_app.extensions[EXTENSION])


def _requested(profile: ProfileId, *, suppress: bool) -> Any:
    receipt = _erasures().request(profile, suppress=suppress, requested_by=caller())
    return receipt, {"Location": url_for("erasures.receipt", erasure_id=receipt["id"])}


def named(configuration: str, id_type: str, profile: str) -> ProfileId:
    """The customer that the parts of a path name; raises Unprocessable."""
    try:
        return ProfileId(configuration, id_type, meant(id_type, profile))
    except ma.ValidationError as error:
        parameter = str(error.field_name)
        faults = [Fault("", str(each), parameter=parameter) for each in error.messages]
        raise Unprocessable("This is no customer.", faults=faults) from error


@blueprint.route("")
class Collection(MethodView):
    """All receipts."""

    @blueprint.arguments(ErasuresQuerySchema, location="query")
    @blueprint.response(200, ErasurePageSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List receipts, the latest first."""
        return _erasures().page(**query)

    @blueprint.arguments(NewErasureSchema)
    @blueprint.response(202, ErasureSchema)
    @blueprint.refuses(UnknownConfiguration)
    def post(self, whom: dict[str, Any]) -> Any:
        """Erase a customer who is named in the body.

        From the answer on nothing is raised for them; the receipt tells how far the rest is.
        """
        return _requested(ProfileId(whom["configuration"], whom["id_type"], whom["profile"]), suppress=whom["suppress"])


@blueprint.route("/<uuid:erasure_id>")
@blueprint.response(200, ErasureSchema)
@blueprint.refuses(UnknownErasure)
def receipt(erasure_id: UUID) -> Any:
    """Read a receipt."""
    return _erasures().receipt(str(erasure_id))


@profiles.route("/<configuration>/<id_type>/<path:profile>", methods=["DELETE"])
@profiles.arguments(SuppressQuerySchema, location="query")
@profiles.response(202, ErasureSchema)
@profiles.refuses(UnknownConfiguration, Unprocessable)
def erase(query: dict[str, Any], configuration: str, id_type: str, profile: str) -> Any:
    """Erase a customer.

    From the answer on nothing is raised for them; the receipt tells how far the rest is. Where a value does not fit
    into a path, or paths are logged on the way, send it in the body to `/api/v1/erasures`.
    """
    return _requested(named(configuration, id_type, profile), suppress=query["suppress"])


@profiles.route("/<configuration>/<id_type>/<path:profile>/export")
@profiles.response(200, _DOCUMENT)
@profiles.refuses(UnknownConfiguration, Unprocessable)
def export(configuration: str, id_type: str, profile: str) -> Any:
    """Export all that is kept of a customer.

    One JSON document: `known` with the attributes, and lists of `signals`, `processes`, `outcomes`, `recoveries`,
    `refusedSignals`, `anonymousIds`, `heldSignals` and `deliveries` to webhooks, each as it is kept. It is written
    while it is read.
    """
    return _exported(named(configuration, id_type, profile))


@exports.route("", methods=["POST"])
@exports.arguments(WhomSchema)
@exports.response(200, _DOCUMENT)
@exports.refuses(UnknownConfiguration)
def export_by_body(whom: dict[str, Any]) -> Any:
    """Export all that is kept of a customer who is named in the body."""
    return _exported(ProfileId(whom["configuration"], whom["id_type"], whom["profile"]))


def _exported(profile: ProfileId) -> Response:
    parts = cast(Exports, current_app.extensions[EXPORTS]).export(profile)
    headers = {"Content-Disposition": 'attachment; filename="export.json"', "Cache-Control": "no-store"}
    return Response(parts, content_type="application/json", headers=headers)
