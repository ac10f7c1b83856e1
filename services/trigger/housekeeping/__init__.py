"""Retention (DOMAIN §6.13): what the worker forgets, and how. To add a duty, write its file and name it here."""

from services.trigger.housekeeping.anonymous import forget_anonymous_customers
from services.trigger.housekeeping.course import forget_course_of_moments
from services.trigger.housekeeping.erasures import forget_receipts
from services.trigger.housekeeping.house import Duty, House
from services.trigger.housekeeping.keeper import Keeper
from services.trigger.housekeeping.outbox import forget_messages
from services.trigger.housekeeping.outcomes import forget_contradictions, forget_raises, forget_recoveries
from services.trigger.housekeeping.processes import forget_processes, forget_profiles, forget_signals
from services.trigger.housekeeping.received import forget_received_kinds
from services.trigger.housekeeping.refusals import forget_refused
from services.trigger.housekeeping.rollups import forget_outcomes, forget_rollups
from services.trigger.housekeeping.webhooks import forget_deliveries
from services.trigger.housekeeping.workers import forget_machines, forget_workers

DUTIES = (
    Duty("processes", forget_processes, everywhere=True),
    Duty("signals", forget_signals, everywhere=True),
    Duty("profiles", forget_profiles, everywhere=True),
    Duty("recoveries", forget_recoveries),
    Duty("contradictions", forget_contradictions),
    Duty("raises", forget_raises),
    Duty("course", forget_course_of_moments),
    Duty("messages", forget_messages),
    Duty("refusals", forget_refused),
    Duty("anonymous", forget_anonymous_customers),
    Duty("received", forget_received_kinds),
    Duty("webhooks", forget_deliveries),
    Duty("rollups", forget_rollups),
    Duty("outcomes", forget_outcomes),
    Duty("workers", forget_workers),
    Duty("receipts", forget_receipts),
    Duty("spools", forget_machines),
)
"""In the order of a round."""

__all__ = ["DUTIES", "Duty", "House", "Keeper"]
