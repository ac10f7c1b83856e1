"""Workers and spools that are no more."""

from __future__ import annotations

from collections.abc import Iterator

from services.trigger.housekeeping.house import House
from services.trigger.store.forgetting import forget_workers_unseen
from services.trigger.store.spools import forget_spools


def forget_workers(house: House) -> Iterator[int]:
    """Forget the names of workers that were not seen for as long as processes are kept."""
    yield forget_workers_unseen(house.rows, house.now - house.settings.retention)


def forget_machines(house: House) -> Iterator[int]:
    """Forget machines with a spool that nobody waits for and that were not heard for as long."""
    yield forget_spools(house.rows, house.now - house.settings.retention)
