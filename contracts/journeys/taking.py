"""Taking an event: find its handler, act once, try again for a while, and give up in a way that stops nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from contracts.journeys.events import Event, UnreadableEvent, decode_event
from contracts.journeys.seen import Memory, Seen
from contracts.topology import topic_matches

_LONGEST_PAUSE = 30.0

Handler = Callable[[Event], object]


class Later(Exception):
    """Raised by a handler when not the event is at fault: it is tried again after so many seconds, without end."""

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"again in {seconds:g} s")
        self.seconds = seconds


class Refused(Exception):
    """Raised by a handler that will never take this event: no further attempt is made."""


class Stopped(Exception):
    """Raised by `pause` when the journey is to end: the event is not acknowledged, and comes again to the next run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a delivery. `dead`: it belongs into the dead-letter queue, for `reason`; else it is done with."""

    what: Literal["handled", "repeated", "ignored", "dead"]
    event: Event | None = None
    reason: str = ""

    @property
    def dead(self) -> bool:
        """Whether it could not be handled."""
        return self.what == "dead"


@dataclass(frozen=True, slots=True)
class Journey:
    """What a journey does with its events.

    `handlers`: routing-key pattern → function of the event; the first that matches is called, up to `attempts` times.
    An event counts as seen once its handler has returned; a crash before that has it delivered again.
    """

    handlers: Mapping[str, Handler]
    seen: Memory = field(default_factory=Seen)
    attempts: int = 5

    def take(self, body: bytes, pause: Callable[[float], object]) -> Outcome:
        """Act on a message. Acknowledge it after this has returned, and a dead one after it lies elsewhere.

        `pause` waits some seconds between attempts: 1, 2, 4 … 30. What it or the memory raises, and KeyboardInterrupt,
        goes through: then do not acknowledge.
        """
        try:
            event = decode_event(body)
        except UnreadableEvent as error:
            return Outcome("dead", None, f"unreadable: {error}")
        if event.identity in self.seen:
            return Outcome("repeated", event)
        handler = self._handler(event.type)
        if handler is None:
            return Outcome("ignored", event)
        reason = self._act(handler, event, pause)
        if reason is not None:
            return Outcome("dead", event, reason)
        self.seen.add(event.identity)
        return Outcome("handled", event)

    def _handler(self, type: str) -> Handler | None:
        return next((handler for pattern, handler in self.handlers.items() if topic_matches(pattern, type)), None)

    def _act(self, handler: Handler, event: Event, pause: Callable[[float], object]) -> str | None:
        """None once the handler has returned, else why it did not."""
        attempt = 1
        while True:
            try:
                handler(event)
            except Later as later:
                pause(later.seconds)
            except Exception as error:
                if attempt >= self.attempts or isinstance(error, Refused):
                    return f"{type(error).__name__}: {error}"
                pause(min(2.0 ** (attempt - 1), _LONGEST_PAUSE))
                attempt += 1
            else:
                return None
