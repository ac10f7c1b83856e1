"""Which events a journey has acted on: it gets each at least once (DOMAIN §7)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

_REMEMBERED = 100_000


class Memory(Protocol):
    """Remembers identities of events; a table with a unique key will do."""

    def __contains__(self, identity: str) -> bool:
        """Whether it was added."""
        ...

    def add(self, identity: str) -> None:
        """Remember it. When this returns it should survive a crash."""
        ...


class Seen:
    """The latest identities, in memory; one is forgotten after `limit` others.

    `known`: those of an earlier run, oldest first. `keep`: told of each new one, to write it down.
    """

    def __init__(
        self, limit: int = _REMEMBERED, known: Iterable[str] = (), keep: Callable[[str], None] | None = None
    ) -> None:
        self._limit = limit
        self._keep = keep
        self._identities: OrderedDict[str, None] = OrderedDict()
        for identity in known:
            self._note(identity)

    def __contains__(self, identity: str) -> bool:
        return identity in self._identities

    def __iter__(self) -> Iterator[str]:
        """The oldest first."""
        return iter(self._identities)

    def add(self, identity: str) -> None:
        """Remember it, written down first."""
        if identity in self._identities:
            return
        if self._keep is not None:
            self._keep(identity)
        self._note(identity)

    def is_new(self, identity: str) -> bool:
        """Whether it comes for the first time; it is remembered."""
        if identity in self._identities:
            return False
        self.add(identity)
        return True

    def _note(self, identity: str) -> None:
        self._identities[identity] = None
        if len(self._identities) > self._limit:
            self._identities.popitem(last=False)
