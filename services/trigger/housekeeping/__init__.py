"""Retention (DOMAIN §6.13): what the worker forgets, and how. To add a duty, write its file and name it here."""

from services.trigger.housekeeping.house import Duty, House
from services.trigger.housekeeping.keeper import Keeper
from services.trigger.housekeeping.outbox import forget_messages
from services.trigger.housekeeping.refusals import forget_refused
from services.trigger.housekeeping.rollups import forget_outcomes, forget_rollups
from services.trigger.housekeeping.webhooks import forget_deliveries
from services.trigger.housekeeping.workers import forget_workers

DUTIES = (
    Duty("messages", forget_messages),
    Duty("refusals", forget_refused),
    Duty("webhooks", forget_deliveries),
    Duty("rollups", forget_rollups),
    Duty("outcomes", forget_outcomes),
    Duty("workers", forget_workers),
)
"""In the order of a round."""

__all__ = ["DUTIES", "Duty", "House", "Keeper"]
