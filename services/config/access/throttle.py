"""Slowing down who guesses passwords: a growing pause for an account and for an address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from services.config.access.resources import Attempts, email_key
from services.config.store import ConfigStore
from shared.clock import Clock
from shared.http import TooOften

_SECOND = 1_000_000
FORGOTTEN_AFTER = 24 * 3600 * _SECOND


@dataclass(frozen=True, slots=True)
class Patience:
    """How many attempts are free, and how the pause after each further one grows: 1 s, 2 s, 4 s, … `longest`."""

    free: int
    longest: int

    def pause(self, failures: int) -> int:
        """The pause after so many attempts, in microseconds."""
        over = failures - self.free
        return 0 if over < 0 else int(min(2 ** min(over, 30) * _SECOND, self.longest))


ACCOUNT = Patience(free=5, longest=300 * _SECOND)
ADDRESS = Patience(free=20, longest=900 * _SECOND)


class Throttle:
    """Counts an attempt before it is judged, so that many at once get no more tries than one after another."""

    def __init__(self, store: ConfigStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def begin(self, email: str, address: str) -> None:
        """An attempt begins; raises TooOften when it must wait."""
        with self._store.transaction():
            now = self._clock.now()
            waits = [self._wait(key, patience, now) for key, patience in _keys(email, address)]
            if any(wait > 0 for wait in waits):
                raise _too_often(max(waits))
            for key, _ in _keys(email, address):
                found = self._counted(key, now)
                self._store.access.set_attempts(replace(found, failures=found.failures + 1, last_at=now))

    def succeeded(self, email: str, address: str) -> None:
        """The attempt was right: the account starts anew, the address has one failure fewer."""
        with self._store.transaction():
            (account, _), (place, _) = _keys(email, address)
            self._store.access.set_attempts(Attempts(key=account, failures=0, last_at=0))
            found = self._store.access.attempts(place)
            self._store.access.set_attempts(replace(found, failures=max(found.failures - 1, 0)))

    def forget(self) -> int:
        """Delete the counts that are a day old."""
        with self._store.transaction():
            return self._store.access.forget_attempts(self._clock.now() - FORGOTTEN_AFTER)

    def _wait(self, key: str, patience: Patience, now: int) -> int:
        found = self._counted(key, now)
        return found.last_at + patience.pause(found.failures) - now

    def _counted(self, key: str, now: int) -> Attempts:
        found = self._store.access.attempts(key)
        return replace(found, failures=0) if found.last_at <= now - FORGOTTEN_AFTER else found


def _keys(email: str, address: str) -> tuple[tuple[str, Patience], tuple[str, Patience]]:
    """What is counted, always in this order (two attempts at once lock alike). Nobody's address stands in the table."""
    return (
        (_hidden("account", email_key(email)), ACCOUNT),
        (_hidden("address", _network_of(address)), ADDRESS),
    )


def _hidden(kind: str, text: str) -> str:
    return f"{kind}:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def _network_of(address: str) -> str:
    """The address; of IPv6 its /64, which one household has whole."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{found}/64", strict=False)) if found.version == 6 else address


def _too_often(wait: int) -> TooOften:
    seconds = -(-wait // _SECOND)
    return TooOften(
        f"Too many attempts. Try again in {seconds} second{'s' if seconds > 1 else ''}.", retry_after=seconds
    )
