"""Which due waits may be decided, and up to when: by markers, and by what joins profiles (DOMAIN §6.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.trigger.joining import Joins
from services.trigger.store.rows import Rows
from services.trigger.store.waits import DueWait, due_waits


class Reach:
    """One look at due waits, inside the caller's transaction.

    `credits`: partition → the instant of its marker. `joins`: what waits of profiles with anonymous ids are held by.
    `full`: there may be more waits than were taken.
    """

    def __init__(self, rows: Rows, credits: Mapping[int, int], now: int, joins: Joins | None) -> None:
        self._rows = rows
        self._until = {partition: min(until, now) for partition, until in credits.items()}
        self._joins = joins
        self._sources: dict[bytes, set[int]] = {}
        self.full = False

    def take(self, limit: int) -> list[DueWait]:
        """The next waits that may be decided, of up to `limit` due ones."""
        found: list[DueWait] = []
        for partition, until in self._until.items():
            if len(found) < limit:
                after = None if self._joins is None else self._joins.place(partition)
                found += due_waits(self._rows, partition, until, limit - len(found), after)
        self.full = len(found) >= limit
        ready = self.only(found)
        if self._joins is not None and len(ready) < len(found):
            for row in {row.partition: row for row in found}.values():
                self._joins.leave(row)
        return ready

    def only(self, found: Sequence[DueWait]) -> list[DueWait]:
        """Those of some waits that may be decided; the others are held."""
        if self._joins is not None:
            self._sources |= self._joins.sources(self._rows, found)
        ready = [row for row in found if row.due_at <= self.of(row)]
        if len(ready) < len(found):
            for row in found:
                self.hold(row, row.due_at)
        return ready

    def of(self, row: DueWait) -> int:
        """Up to when a wait may be decided."""
        until = self._until.get(row.partition, 0)
        sources = self._sources.get(row.key[0])
        return (
            until if sources is None or self._joins is None else min(until, self._joins.until(row.partition, sources))
        )

    def hold(self, row: DueWait, due: int) -> None:
        """A wait that is due then: hold it, where its marker would let it be decided."""
        sources = self._sources.get(row.key[0])
        if sources and self._joins is not None and self.of(row) < due <= self._until.get(row.partition, 0):
            self._joins.hold(row.partition, sources, due)
