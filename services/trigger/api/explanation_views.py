"""REST: explanations."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app

from services.trigger.api.explanation_schemas import ExplanationQuerySchema, ExplanationSchema
from services.trigger.api.explanations import Explanations, NoConfiguration, UnknownTemplate
from services.trigger.api.readings import UnknownMoment
from shared.http import Blueprint

EXTENSION = "moments-explanations"

blueprint = Blueprint(
    "explanations",
    __name__,
    url_prefix="/api/v1/explanations",
    description="Why a moment was raised for a profile, and why it was not.",
)


@blueprint.route("")
@blueprint.arguments(ExplanationQuerySchema, location="query")
@blueprint.response(200, ExplanationSchema)
@blueprint.refuses(UnknownMoment, NoConfiguration, UnknownTemplate)
def explanation(query: dict[str, Any]) -> Any:
    """Explain what a moment did for a profile.

    What each stored signal did to each wait, why each wait was raised, suppressed or ended, and why none was opened,
    in the order in which it happened. A profile that is not known is explained, too.
    """
    return cast(Explanations, current_app.extensions[EXTENSION]).explain(**query)
