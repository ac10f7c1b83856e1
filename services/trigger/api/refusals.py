"""Refused signals over REST: looked at, and replayed after what they were refused for was put right."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from services.trigger.api.cursors import cursor_text
from services.trigger.api.recent import entry_document, kept_content, names_of
from services.trigger.store.reading import snapshot
from services.trigger.store.recent import refused_of
from services.trigger.store.replays import (
    Asked,
    Replay,
    ask_for_replay,
    count_replayable,
    find_replay,
    latest_replays,
    refusals_page,
)
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.http import Conflict, NotFound
from shared.store import connected

MOST_REPLAYS = 50
_ID = re.compile("r([0-9]{1,18})")


class UnknownRefusal(NotFound):
    """No such refused signal is kept."""


class UnknownReplay(NotFound):
    """No such request for replays is known."""


class NothingToReplay(Conflict):
    """None of these can be replayed: they are stored already, underway, not kept, or there are none."""


class RefusedSignals:
    """Reads and asks for one request at a time per thread."""

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def page(self, *, limit: int, cursor: tuple[int] | None, **named: Any) -> dict[str, Any]:
        """A page of the list, the newest first."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            found = refusals_page(rows, Asked(**named), None if cursor is None else cursor[0], limit + 1)
            shown = found[:limit]
            names = names_of(rows, shown)
        more = len(found) > limit
        return {
            "items": [entry_document(each, names) for each in shown],
            "next": cursor_text((shown[-1].sequence,)) if more else None,
        }

    def one(self, refusal_id: str) -> dict[str, Any]:
        """One with what is kept of its content."""
        with connected(self._rows.database), snapshot(self._rows.database) as rows:
            match = _ID.fullmatch(refusal_id)
            entry = None if match is None else refused_of(rows, int(match[1]))
            if entry is None:
                raise UnknownRefusal
            return {**entry_document(entry, names_of(rows, [entry])), **kept_content(rows, entry)}

    def preview(self, ids: Sequence[str] | None, where: dict[str, Any] | None) -> dict[str, Any]:
        """How many a wish would take."""
        with connected(self._rows.database):
            return {"found": count_replayable(self._rows, _asked(ids, where))}

    def replay(self, ids: Sequence[str] | None, where: dict[str, Any] | None, by: str) -> dict[str, Any]:
        """Ask for replays; raises NothingToReplay. The same asked twice takes nothing twice."""
        replay_id = str(uuid.uuid4())
        with connected(self._rows.database), self._rows.database.atomic():
            if not ask_for_replay(self._rows, replay_id, _asked(ids, where), by, self._clock.now()):
                raise NothingToReplay
        return self.progress(replay_id)

    def progress(self, replay_id: str) -> dict[str, Any]:
        """How far a request is."""
        with connected(self._rows.database):
            found = find_replay(self._rows, replay_id)
        if found is None:
            raise UnknownReplay
        return _document(found)

    def replays(self) -> dict[str, Any]:
        """The latest requests."""
        with connected(self._rows.database):
            return {"items": [_document(each) for each in latest_replays(self._rows, MOST_REPLAYS)]}


def _asked(ids: Sequence[str] | None, where: dict[str, Any] | None) -> Asked:
    if ids is None:
        return Asked(**(where or {}))
    return Asked(sequences=sorted({int(each[1:]) for each in ids}))


def _document(replay: Replay) -> dict[str, Any]:
    gone = replay.found - replay.waiting - replay.replayed - replay.refused
    return {**asdict(replay), "wanted": msgspec.json.decode(replay.wanted), "gone": max(0, gone)}
