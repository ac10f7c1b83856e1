"""Clearing the log of an erased customer who had very many signals, chunk by chunk between the worker's batches.

The transaction of the tombstone has taken processes, waits, raises and all else, and applied anew what came since. What
is left in the log belongs to nothing: a repeat of it is known by its row as long as that stands, and barred from the
transaction on that deletes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from services.trigger.engine.application import ProfileId
from services.trigger.erasing import SERVICE, bar, recent_keys
from services.trigger.faltering import put_off
from services.trigger.housekeeping.house import House
from services.trigger.store.erasing import erase_signals, signals_of_page
from services.trigger.store.erasures import ERASING, Erasure, add_erased_counts, due_erasures, note_log_gone
from services.trigger.store.keys import profile_key
from services.trigger.store.records import Fenced
from shared.store import STORE_FAULTS

CHUNK = 500
_FAULTS: tuple[type[Exception], ...] = (*STORE_FAULTS, Fenced)
_log = structlog.get_logger("trigger.erasing")


def clear_logs(house: House) -> Iterator[int]:
    """Delete what is left of erased customers in the log; one at which this fails is put off."""
    for erasure in due_erasures(house.rows, house.now, ERASING):
        identity = erasure.identity
        if erasure.partition not in house.owned or identity is None:
            continue
        try:
            yield from _clear(house, erasure, identity)
        except _FAULTS:
            raise
        except Exception as error:
            _log.exception("erasing.log_not_cleared", erasure=erasure.id)
            put_off(house.rows, erasure, error, house.now)
            yield 0


def _clear(house: House, erasure: Erasure, identity: ProfileId) -> Iterator[int]:
    """Each chunk in a transaction within the caller's: one that fails leaves nothing half done, and that one usable."""
    rows, profile = house.rows, profile_key(identity)
    place: bytes | None = b""
    while place is not None:
        with rows.database.atomic():
            found, place = signals_of_page(rows, profile, identity, place or None, CHUNK)
            old = [each for each in found if each.received_at <= erasure.at]
            bar(rows, house.settings.secret_pepper, recent_keys(old, house.now), house.now)
            gone = erase_signals(rows, old)
            add_erased_counts(rows, erasure.id, SERVICE, {"signals": gone})
            if place is None:
                note_log_gone(rows, erasure.id, house.now)
        yield gone
