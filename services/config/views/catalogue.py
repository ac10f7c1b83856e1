"""REST: what the product knows, the templates and the kinds of signals."""

from __future__ import annotations

from typing import Any

from contracts.signals import KINDS
from contracts.templates import templates
from services.config.catalogue_schemas import SignalListSchema, TemplateListSchema
from shared.http import Blueprint

blueprint = Blueprint("catalogue", __name__, url_prefix="/api/v1", description="Templates and kinds of signals.")


@blueprint.route("/templates")
@blueprint.response(200, TemplateListSchema)
def all_templates() -> Any:
    """List the templates with their settings, bounds and texts."""
    return {"items": list(templates().values())}


@blueprint.route("/signals")
@blueprint.response(200, SignalListSchema)
def all_signals() -> Any:
    """List the kinds of signals with their fields."""
    return {"items": KINDS}
