"""What the views of erasures do: ask for one, and show how far it is."""

from __future__ import annotations

import uuid
from typing import Any

from contracts.erasures import subject_of
from contracts.times import to_rfc3339
from contracts.topology import ERASURE_READERS, partition_of
from services.trigger.api.cursors import cursor_text
from services.trigger.engine.application import ProfileId
from services.trigger.erasing import tombstone_message
from services.trigger.store.erasures import (
    REQUESTED,
    Erasure,
    add_erasure,
    answers,
    erased_counts,
    erasures_page,
    find_erasure,
)
from services.trigger.store.keys import profile_key
from services.trigger.store.reading import snapshot
from services.trigger.store.records import load_configurations
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.http import NotFound
from shared.outbox import Outbox
from shared.store import connected


class UnknownConfiguration(NotFound):
    """There is no such audience configuration."""


class UnknownErasure(NotFound):
    """There is no receipt of this id, or it is kept no longer."""


class Erasures:
    """Asks for erasures and reads receipts, for one request at a time per thread."""

    def __init__(self, rows: Rows, clock: Clock, pepper: bytes, partitions: int) -> None:
        self._rows = rows
        self._clock = clock
        self._pepper = pepper
        self._partitions = partitions
        self._outbox = Outbox(rows.database, clock)

    def request(self, profile: ProfileId, *, suppress: bool, requested_by: str) -> dict[str, Any]:
        """Have a customer erased; the receipt. From the commit on nothing is raised for them.

        The tombstone is written with the row, and published by whichever worker relays next.
        """
        now, key = self._clock.now(), profile_key(profile)
        erasure = Erasure(
            id=str(uuid.uuid4()),
            subject=subject_of(self._pepper, *profile),
            at=now,
            state=REQUESTED,
            partition=partition_of(*profile, self._partitions),
            configuration=profile.configuration,
            id_type=profile.id_type,
            profile=profile.profile,
            profile_key=key,
            requested_by=requested_by,
            suppress=suppress,
        )
        with connected(self._rows.database), self._rows.database.atomic():
            if profile.configuration not in load_configurations(self._rows):
                raise UnknownConfiguration
            add_erasure(self._rows, erasure)
            self._outbox.add([tombstone_message(erasure)])
        return _receipt(erasure, {}, {})

    def receipt(self, erasure_id: str) -> dict[str, Any]:
        """How far an erasure is; raises UnknownErasure."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            found = find_erasure(rows, erasure_id)
            if found is None:
                raise UnknownErasure
            return _read(rows, found)

    def page(self, *, cursor: tuple[int, str] | None, limit: int) -> dict[str, Any]:
        """Receipts, the latest first."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            found = erasures_page(rows, cursor, limit + 1)
            items = [_read(rows, each) for each in found[:limit]]
        more = len(found) > limit
        return {"items": items, "next": cursor_text((found[limit - 1].at, found[limit - 1].id)) if more else None}


def _read(rows: Rows, erasure: Erasure) -> dict[str, Any]:
    return _receipt(erasure, erased_counts(rows, erasure.id), answers(rows, erasure.id))


def _receipt(erasure: Erasure, counts: dict[str, dict[str, int]], answered: dict[str, int]) -> dict[str, Any]:
    return {
        "id": erasure.id,
        "configuration": erasure.configuration,
        "id_type": erasure.id_type,
        "state": erasure.state,
        "requestedAt": to_rfc3339(erasure.at),
        "requestedBy": erasure.requested_by,
        "erasedAt": None if erasure.erased_at is None else to_rfc3339(erasure.erased_at),
        "doneAt": None if erasure.done_at is None else to_rfc3339(erasure.done_at),
        "suppress": erasure.suppress,
        "dropped": erasure.dropped,
        "erased": counts,
        "answered": {reader: to_rfc3339(at) for reader, at in answered.items()},
        "awaited": sorted(set(ERASURE_READERS) - answered.keys()),
        "failure": _failure(erasure),
    }


def _failure(erasure: Erasure) -> dict[str, Any] | None:
    if not erasure.failures or erasure.failed_at is None:
        return None
    return {
        "reason": erasure.failure,
        "at": to_rfc3339(erasure.failed_at),
        "attempts": erasure.failures,
        "againAt": to_rfc3339(erasure.next_at or erasure.failed_at),
    }
