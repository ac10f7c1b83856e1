"""Outcomes of moments: raised and suppressed occurrences, recoveries, contradictions. The ledger counts them on."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.times import parse_duration
from services.trigger.housekeeping.house import House
from services.trigger.store import forgetting as store


def forget_raises(house: House) -> Iterator[int]:
    """Forget what was decided long ago; not while a cool-down may ask for it, or a recovery."""
    for moment in store.counted_moments(house.rows):
        before = house.now - _kept(house, moment)
        while gone := store.forget_raises(house.rows, moment, before):
            yield gone
        yield 0


def forget_recoveries(house: House) -> Iterator[int]:
    """Forget the recoveries of what was decided long ago."""
    for moment in store.counted_moments(house.rows):
        before = house.now - _kept(house, moment)
        while gone := store.forget_recoveries(house.rows, moment, before):
            yield gone
        yield 0


def forget_contradictions(house: House) -> Iterator[int]:
    """Forget signals that contradicted long ago."""
    place: store.Contradicted | None = ("", b"", "", "")
    while place is not None:
        gone, place = store.forget_contradictions(house.rows, place, house.now - _least(house))
        yield gone


def _kept(house: House, moment_id: str) -> int:
    """How long the outcomes of a moment are kept after the decision: as long as processes, and its cool-down."""
    moment = house.registry.moment(moment_id)
    cool_down = moment.settings.get("coolDown") if moment is not None else None
    return max(_least(house), parse_duration(cool_down) + house.settings.expiry if cool_down else 0)


def _least(house: House) -> int:
    settings = house.settings
    return max(settings.retention, settings.expiry, settings.attribution + settings.expiry)
