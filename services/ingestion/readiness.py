"""What /readyz of ingestion asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.topology import LOST
from services.ingestion.keys import Keys
from services.ingestion.spool.store import Spool, Standing
from shared.broker import Broker, BrokerUnavailable, Publisher
from shared.clock import Clock
from shared.http import Check, NotReady

_SECOND = 1_000_000
_MEGABYTE = 1024 * 1024
_AWAY = "the broker is away or blocked, or refuses the declarations"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The conditions under which signals are taken; with a spool they are taken without a broker, too."""

    broker: Broker
    publisher: Publisher
    keys: Keys
    spool: Spool | None
    clock: Clock

    def checks(self) -> Mapping[str, Check]:
        """The conditions by name."""
        checks: dict[str, Check] = {"broker": self._broker, "lost": self._lost, "configuration": self._configuration}
        return checks if self.spool is None else {**checks, "spool": self._spool}

    def _broker(self) -> str | None:
        if self.publisher.ready:
            return None
        if self.spool is None or not self.spool.takes:
            raise NotReady(_AWAY)
        if not self.spool.standing().known:
            raise NotReady(f"{_AWAY}, and trigger was never told of this machine's spool")
        return f"{_AWAY}; signals go to the spool"

    def _lost(self) -> None:
        try:
            lost = self.broker.depth(LOST)
        except BrokerUnavailable:
            if self.spool is None or not self.spool.takes:
                raise
            return
        if lost:
            raise NotReady(f"{LOST} is not empty; it is being replayed")

    def _configuration(self) -> None:
        if not self.keys.known:
            raise NotReady("no configuration state was ever received")

    def _spool(self) -> str | None:
        assert self.spool is not None
        standing = self.spool.standing()
        if not standing.signals:
            return None
        told = describe(standing, self.clock.now())
        if self.spool.takes and standing.used >= 0.98 * standing.bound:
            raise NotReady(f"full: {told}")
        return told


def describe(standing: Standing, now: int) -> str:
    """How a spool stands, in words."""
    bound = f" of {standing.bound // _MEGABYTE}" if standing.bound else ""
    waiting = f"{standing.signals} signals wait, {standing.used / _MEGABYTE:.1f}{bound} MB"
    if standing.oldest is None:
        return waiting
    return f"{waiting}, the first for {max(0, now - standing.oldest) // _SECOND} s"
