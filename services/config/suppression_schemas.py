"""REST documents of the suppression list."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.stitching import ANONYMOUS
from services.config.fields import Instant, Text
from services.config.schemas import PageQuerySchema


class SuppressionSchema(ma.Schema):
    """A customer whose signals are refused; who it is cannot be told from it."""

    id = ma.fields.String(dump_only=True, metadata={"description": "A keyed hash of the customer."})
    configuration_id = ma.fields.String(dump_only=True, data_key="configurationId")
    created_at = Instant(dump_only=True, data_key="createdAt", metadata={"format": "date-time"})
    created_by = ma.fields.String(dump_only=True, data_key="createdBy")


class SuppressionPageSchema(ma.Schema):
    """A part of the list, the latest first."""

    items = ma.fields.List(ma.fields.Nested(SuppressionSchema))
    page = ma.fields.Integer()
    page_size = ma.fields.Integer(data_key="pageSize")
    total = ma.fields.Integer()


class SuppressionQuerySchema(PageQuerySchema):
    """Which part of the list, of which configuration."""

    configuration_id = ma.fields.UUID(
        data_key="configurationId", metadata={"description": "Only those of this audience configuration."}
    )


class NewSuppressionSchema(ma.Schema):
    """Whose signals are to be refused."""

    configuration = Text(200, metadata={"description": "The id of the audience configuration."}, required=True)
    id_type = ma.fields.String(
        data_key="idType", load_default="email", validate=ma.validate.OneOf([*PROFILE_FIELDS, ANONYMOUS])
    )
    profile = ma.fields.String(
        required=True, metadata={"description": "The profile's value, as a sender writes it; it is normalised."}
    )

    @ma.post_load
    def _normalise(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        try:
            value = normalise_profile(values["id_type"], values["profile"])
        except InvalidProfile as error:
            raise ma.ValidationError(f"The {values['id_type']} {error}.", "profile") from error
        return {"configuration_id": values["configuration"], "id_type": values["id_type"], "profile": value}
