"""The queues of a journey: one of its own that drops its head when it is full, and one for what it cannot handle."""

from __future__ import annotations

from contracts.topology import Queue

_MOST_WAITING = 1_000_000
_MOST_DEAD = 100_000


def dead_queue(name: str, *, most: int = _MOST_DEAD) -> Queue:
    """Where a journey's events go that its handler refused or that pushed each other out: `<name>.dead`."""
    return Queue(f"{name}.dead", max_length=most)


def journey_queue(name: str, *, most: int = _MOST_WAITING, single: bool = False, dead: bool = False) -> Queue:
    """A durable queue that gives up its oldest events when nobody reads it for long (DOMAIN §7).

    Never `reject-publish`: a confirm covers every bound queue, so that a full one would stop the publishers.
    `single`: one process reads at a time, the others stand by; what it remembers then covers all repetitions.
    `dead`: what is pushed out, or delivered a thousand times in vain, goes to `dead_queue(name)`.
    """
    return Queue(
        name,
        single_active=single,
        max_length=most,
        overflow="drop-head",
        dead_letter=dead_queue(name).name if dead else None,
    )
