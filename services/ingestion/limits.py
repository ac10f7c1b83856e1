"""How many signals are taken, by key, by address and by profile (docs/operations.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.signals import ProfileReference
from services.ingestion.admission import Admitted
from services.ingestion.buckets import Advances, Buckets, Rate
from services.ingestion.refusals import Refusal
from shared.clock import Clock
from shared.settings import Settings

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates; keys of servers are limited by key alone, as all their customers come from one address."""

    buckets: Buckets
    advances: Advances
    clock: Clock
    key: Rate
    address: Rate
    profile: Rate

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Limits:
        """The limits of an installation; all processes of this machine share them."""
        burst = settings.limit_burst
        rates = (settings.limit_key, settings.limit_address, settings.limit_profile)
        key, address, profile = (Rate(float(rate), float(rate * burst)) for rate in rates)
        buckets = Buckets(settings.data / "ingestion-limits", key=settings.secret_pepper)
        return cls(buckets, Advances(buckets), clock, key, address, profile)

    def close(self) -> None:
        """Give the buckets' file back; no request may come any more."""
        self.buckets.close()

    def request(self, admitted: Admitted, address: str, signals: int) -> Refusal | None:
        """429 when for public keys an address, or a key, sends more signals than it may.

        The address first: one that sends too much must not use up what others may send with the same key.
        """
        now, cost, wait = self._now(), float(max(1, signals)), 0.0
        if admitted.touchpoint != "server":
            wait = self.advances.take(f"address\0{address}", self.address, now, cost)
        wait = wait or self.advances.take(f"key\0{admitted.key_id}", self.key, now, cost)
        return _refusal(wait, "this key or address sends more than it may") if wait else None

    def stranger(self, address: str) -> Refusal | None:
        """429 when an address has come too often with keys that admit nothing."""
        wait = self.buckets.take(f"address\0{address}", self.address, self._now())
        return _refusal(wait, "this address sends more than it may") if wait else None

    def signals(self, admitted: Admitted, profiles: Sequence[ProfileReference]) -> list[Refusal | None]:
        """429 when more is told of one profile than a person can do; for each signal of a request in turn."""
        if self.profile.per_second <= 0 or admitted.touchpoint == "server":
            return [None] * len(profiles)
        own = f"profile\0{admitted.listener.id}\0"
        names = [f"{own}{profile.id_type}\0{profile.id}" for profile in profiles]
        waits = self.buckets.take_each(names, self.profile, self._now())
        reason = "more signals of this profile came than are taken"
        return [_refusal(wait, reason) if wait else None for wait in waits]

    def _now(self) -> float:
        return self.clock.now() / _SECOND


def _refusal(wait: float, reason: str) -> Refusal:
    seconds = max(1, math.ceil(wait))
    return Refusal(429, "rate_limited", f"{reason}; send it again in {seconds} s", retry_after=seconds)
