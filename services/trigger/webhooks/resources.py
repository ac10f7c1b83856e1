"""What webhooks are made of, as values. Times are microseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "delivered", "dead"]
STATES: tuple[State, ...] = ("pending", "delivered", "dead")
DisabledReason = Literal["requested", "gone", "failing"]
DISABLED_REASONS: tuple[DisabledReason, ...] = ("requested", "gone", "failing")
"""By a caller; by the endpoint's answer 410; after a span of nothing but failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A webhook: where events whose routing key matches one of the patterns are sent.

    `previous_secret` signs too until `previous_until`. `failing_since`: the first failure since the last success.
    `secret` is no part of its text, so that no log line shows one.
    """

    id: str
    name: str
    description: str
    url: str
    patterns: tuple[str, ...]
    enabled: bool
    version: int
    created_at: int
    updated_at: int
    secret: str
    disabled_at: int | None = None
    disabled_reason: DisabledReason | None = None
    previous_secret: str | None = None
    previous_until: int | None = None
    failing_since: int | None = None
    paused_until: int = 0

    def __repr__(self) -> str:
        return f"Subscription({self.id!r}, version={self.version})"

    def secrets(self, now: int) -> tuple[str, ...]:
        """The secrets that sign at an instant, the present one first."""
        if self.previous_secret is not None and now < (self.previous_until or 0):
            return self.secret, self.previous_secret
        return (self.secret,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one webhook. `attempts` counts from its taking up, or its latest redelivery."""

    id: int
    subscription_id: str
    event_id: str
    type: str
    state: State
    taken_at: int
    attempts: int
    next_at: int | None
    finished_at: int | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request and what became of it. `duration` in µs; `status` None when no answer came."""

    at: int
    duration: int
    status: int | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may send until its lease ends. `claim` proves it."""

    id: int
    subscription: Subscription
    event_id: str
    type: str
    body: bytes
    attempts: int
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back of a request. `error` is empty for a 2xx; `seconds` it took."""

    status: int | None
    error: str
    seconds: float
    retry_after: str | None = None
    body: bytes = b""

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took the event."""
        return not self.error
