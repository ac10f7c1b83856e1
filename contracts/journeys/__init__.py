"""For journeys: which queue to declare, what to bind, and how to take events so that each is acted on once.

Needs msgspec alone; `examples/journey` puts it on pika.
"""

from contracts.journeys.channel import declare, settle
from contracts.journeys.events import (
    MOMENTS,
    PROFILES,
    RECOVERED,
    SIGNALS,
    Event,
    UnreadableEvent,
    decode_event,
    moment_key,
    signal_key,
)
from contracts.journeys.queues import dead_queue, journey_queue
from contracts.journeys.seen import Memory, Seen
from contracts.journeys.taking import Journey, Later, Outcome, Refused, Stopped

__all__ = [
    "MOMENTS",
    "PROFILES",
    "RECOVERED",
    "SIGNALS",
    "Event",
    "Journey",
    "Later",
    "Memory",
    "Outcome",
    "Refused",
    "Seen",
    "Stopped",
    "UnreadableEvent",
    "dead_queue",
    "declare",
    "decode_event",
    "journey_queue",
    "moment_key",
    "settle",
    "signal_key",
]
