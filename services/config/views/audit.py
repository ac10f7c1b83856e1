"""REST: the audit log."""

from __future__ import annotations

from typing import Any

from services.config.program import program
from services.config.schemas import AuditPageSchema, AuditQuerySchema
from shared.http import Blueprint

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit", description="Who changed what and when.")


@blueprint.route("")
@blueprint.arguments(AuditQuerySchema, location="query")
@blueprint.response(200, AuditPageSchema)
def entries(query: dict[str, Any]) -> Any:
    """List changes, the newest first."""
    return program().audit.page(**query)
