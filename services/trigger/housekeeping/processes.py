"""Processes, signals and profiles: what the worker that owns their partition forgets."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.times import DAY
from services.trigger.engine.retention import needed_until
from services.trigger.engine.state import Process
from services.trigger.housekeeping.house import House
from services.trigger.store import forgetting_profiles as store


def forget_processes(house: House) -> Iterator[int]:
    """Forget processes that were left alone for the retention, after all that may follow (DOMAIN §6.13).

    A signal that is not too late to open a wait must find its process: none goes before the expiry.
    """
    settings = house.settings
    retention = max(settings.retention, settings.expiry)
    aftermath = settings.attribution + settings.expiry

    def is_needed(process: Process) -> bool:
        until = needed_until(process, retention, aftermath)
        return until is None or house.now <= until

    place: int | None = 0
    while place is not None:
        before = house.now - retention
        chunk = store.forget_processes(house.rows, house.cache, house.owned, place, before, is_needed)
        place = chunk.place
        yield chunk.gone


def forget_signals(house: House) -> Iterator[int]:
    """Forget signals that are old and that no process refers to; none while a late one of its time may still open."""
    before, partitions = house.now - signals_kept(house), house.settings.partitions
    place: int | None = 0
    while place is not None:
        chunk = store.forget_signals(house.rows, house.cache, house.owned, partitions, place, before)
        place = chunk.place
        yield chunk.gone


def forget_profiles(house: House) -> Iterator[int]:
    """Forget profiles that were not seen for long."""
    place: bytes | None = b""
    while place is not None:
        before = house.now - house.settings.profiles_retention
        gone, place = store.forget_profiles(house.rows, house.cache, house.owned, place, before)
        yield gone


def signals_kept(house: House) -> int:
    """For how long (µs) a signal is kept after its receipt, whoever refers to it."""
    return max(house.settings.signals_retention, house.settings.expiry + DAY)
