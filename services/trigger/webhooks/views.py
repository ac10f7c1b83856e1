"""REST: webhooks, their secrets, the delivery log, dead letters."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import current_app
from flask.views import MethodView

from services.trigger.webhooks.program import (
    Subscriptions,
    TooManyWebhooks,
    UnknownDelivery,
    UnknownWebhook,
    UnusableUrl,
)
from services.trigger.webhooks.schemas import (
    DeliveriesQuerySchema,
    DeliveryPageSchema,
    NewWebhookSchema,
    RedeliveredSchema,
    RedeliverySchema,
    SecretRotationSchema,
    WebhookChangeSchema,
    WebhookPageSchema,
    WebhookSchema,
    WebhooksQuerySchema,
    WebhookTestSchema,
    WebhookWithSecretSchema,
    WholeDeliverySchema,
)
from shared.conditions import VersionConflict, VersionRequired, expected_version, tagged
from shared.http import Blueprint

EXTENSION = "moments-webhooks"
_ONE = "/<uuid:webhook_id>"
_DELIVERY = f"{_ONE}/deliveries/<int(max=9223372036854775807):delivery_id>"

blueprint = Blueprint(
    "webhooks", __name__, url_prefix="/api/v1/webhooks", description="Events by HTTP, for journeys without AMQP."
)


def _subscriptions() -> Subscriptions:
    return cast(Subscriptions, current_app.extensions[EXTENSION])


@blueprint.route("")
class Collection(MethodView):
    """All webhooks."""

    @blueprint.arguments(WebhooksQuerySchema, location="query")
    @blueprint.response(200, WebhookPageSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List webhooks, the newest first."""
        return _subscriptions().page(**query)

    @blueprint.arguments(NewWebhookSchema)
    @blueprint.response(201, WebhookWithSecretSchema)
    @blueprint.refuses(UnusableUrl, TooManyWebhooks)
    def post(self, fields: dict[str, Any]) -> Any:
        """Make a webhook; its secret is shown this once."""
        return tagged(_subscriptions().create(**fields))


@blueprint.route(_ONE)
class One(MethodView):
    """One webhook."""

    @blueprint.response(200, WebhookSchema)
    @blueprint.refuses(UnknownWebhook)
    def get(self, webhook_id: UUID) -> Any:
        """Read a webhook."""
        return tagged(_subscriptions().get(str(webhook_id)))

    @blueprint.conditional(required=True)
    @blueprint.arguments(WebhookChangeSchema)
    @blueprint.response(200, WebhookSchema)
    @blueprint.refuses(UnknownWebhook, UnusableUrl, VersionConflict, VersionRequired)
    def patch(self, changes: dict[str, Any], webhook_id: UUID) -> Any:
        """Change a webhook, or enable or disable it; what is not named stays."""
        return tagged(_subscriptions().change(str(webhook_id), changes, expected_version(required=True)))

    @blueprint.conditional()
    @blueprint.response(204)
    @blueprint.refuses(UnknownWebhook, VersionConflict)
    def delete(self, webhook_id: UUID) -> None:
        """Delete a webhook with its log; nothing more is sent."""
        _subscriptions().delete(str(webhook_id), expected_version())


@blueprint.route(f"{_ONE}/rotate-secret", methods=["POST"])
@blueprint.conditional()
@blueprint.arguments(SecretRotationSchema)
@blueprint.response(201, WebhookWithSecretSchema)
@blueprint.refuses(UnknownWebhook, VersionConflict)
def rotate_secret(wanted: dict[str, Any], webhook_id: UUID) -> Any:
    """Replace the secret, which is shown this once; the former one signs too for an overlap."""
    return tagged(_subscriptions().rotate(str(webhook_id), **wanted, expected=expected_version()))


@blueprint.route(f"{_ONE}/test", methods=["POST"])
@blueprint.response(200, WebhookTestSchema)
@blueprint.refuses(UnknownWebhook)
def test(webhook_id: UUID) -> Any:
    """Send a sample event of type `webhook.test` now, and tell what came back."""
    return _subscriptions().test(str(webhook_id))


@blueprint.route(f"{_ONE}/deliveries")
@blueprint.arguments(DeliveriesQuerySchema, location="query")
@blueprint.response(200, DeliveryPageSchema)
@blueprint.refuses(UnknownWebhook)
def deliveries(query: dict[str, Any], webhook_id: UUID) -> Any:
    """List deliveries with their attempts, the newest first; `state=dead` are the dead letters."""
    return _subscriptions().deliveries(str(webhook_id), **query)


@blueprint.route(_DELIVERY)
@blueprint.response(200, WholeDeliverySchema)
@blueprint.refuses(UnknownWebhook, UnknownDelivery)
def delivery(webhook_id: UUID, delivery_id: int) -> Any:
    """Read a delivery with its event."""
    return _subscriptions().delivery(str(webhook_id), delivery_id)


@blueprint.route(f"{_DELIVERY}/redeliver", methods=["POST"])
@blueprint.response(202, WholeDeliverySchema)
@blueprint.refuses(UnknownWebhook, UnknownDelivery)
def redeliver(webhook_id: UUID, delivery_id: int) -> Any:
    """Send a delivery again, whatever became of it."""
    return _subscriptions().redeliver(str(webhook_id), delivery_id)


@blueprint.route(f"{_ONE}/redeliver", methods=["POST"])
@blueprint.arguments(RedeliverySchema)
@blueprint.response(202, RedeliveredSchema)
@blueprint.refuses(UnknownWebhook)
def redeliver_dead(wanted: dict[str, Any], webhook_id: UUID) -> Any:
    """Send all dead letters of a webhook again, or those taken up since a time."""
    return _subscriptions().redeliver_dead(str(webhook_id), **wanted)
