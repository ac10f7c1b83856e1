"""REST: the customers whose signals are refused."""

from __future__ import annotations

from typing import Any

from services.config.program import program
from services.config.suppression_schemas import (
    NewSuppressionSchema,
    SuppressionPageSchema,
    SuppressionQuerySchema,
    SuppressionSchema,
)
from shared.http import Blueprint, NotFound

blueprint = Blueprint(
    "suppressions",
    __name__,
    url_prefix="/api/v1/suppressions",
    description="Customers whose signals are refused and not kept.",
)


@blueprint.route("")
@blueprint.arguments(SuppressionQuerySchema, location="query")
@blueprint.response(200, SuppressionPageSchema)
def suppressions(query: dict[str, Any]) -> Any:
    """List them, the latest first."""
    return program().suppressions.page(query["listing"], query["filters"].get("configuration_id"))


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewSuppressionSchema)
@blueprint.response(200, SuppressionSchema)
@blueprint.refuses(NotFound)
def add(whom: dict[str, Any]) -> Any:
    """Refuse a customer's signals from now on, within two seconds; one who is on the list stays as it is."""
    return program().suppressions.add(**whom)


@blueprint.route("/<suppression_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.refuses(NotFound)
def remove(suppression_id: str) -> Any:
    """Take a customer's signals again."""
    program().suppressions.remove(suppression_id)
    return ""
