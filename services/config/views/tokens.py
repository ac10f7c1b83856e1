"""REST: API tokens."""

from __future__ import annotations

import uuid
from typing import Any

from services.config.access.parts import access
from services.config.access.schemas import NewTokenSchema, TokenListSchema, TokenMadeSchema
from shared.http import Blueprint, Conflict, NotFound

blueprint = Blueprint("tokens", __name__, url_prefix="/api/v1/tokens", description="Tokens for programs.")


@blueprint.route("")
@blueprint.response(200, TokenListSchema)
def tokens() -> Any:
    """List all tokens, the newest first."""
    return {"items": access().tokens.all()}


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewTokenSchema)
@blueprint.response(201, TokenMadeSchema)
@blueprint.refuses(Conflict)
def create_token(wanted: dict[str, Any]) -> Any:
    """Make a token; the answer is the only place where it is shown."""
    made, text = access().tokens.create(**wanted)
    return {"token": text, "made": made}


@blueprint.route("/<uuid:token_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.refuses(NotFound)
def revoke_token(token_id: uuid.UUID) -> Any:
    """Revoke a token; config refuses it at once, trigger within two seconds."""
    access().tokens.revoke(str(token_id))
    return ""
