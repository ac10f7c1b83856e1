"""What the views of audiences answer: which there are, and what is known of their profiles."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from contracts.configurations import ConfigurationState
from contracts.profiles import InvalidProfile, normalise_profile
from contracts.signals import PROFILE_FIELDS
from contracts.times import to_rfc3339
from services.trigger.api.cursors import cursor_text
from services.trigger.audience import profile_data
from services.trigger.store.audience_pages import (
    Order,
    Place,
    Selection,
    audiences,
    profile_counts,
    profiles_named,
    profiles_page,
)
from services.trigger.store.profiles import ProfileRow
from services.trigger.store.reading import snapshot
from services.trigger.store.records import load_configurations
from services.trigger.store.rows import Rows
from shared.http import NotFound
from shared.store import connected

_MOST_READ = 5_000
_AT_ONCE = 500


class UnknownAudience(NotFound):
    """No audience configuration names this audience."""


class AudienceReadings:
    """Reads for one request at a time per thread, each as of one instant."""

    def __init__(self, rows: Rows) -> None:
        self._database = rows.database

    def audiences(self) -> dict[str, Any]:
        """Every audience that a configuration names, by id."""
        with connected(self._database), snapshot(self._database) as rows:
            found, counts = audiences(load_configurations(rows).values()), profile_counts(rows)
        return {"items": [_audience(each, counts) for _, each in sorted(found.items())]}

    def profiles(
        self,
        audience_id: str,
        *,
        order: Order,
        cursor: Place | None,
        limit: int,
        id_type: str | None,
        profile: str | None,
        last_seen_since: int | None,
    ) -> dict[str, Any]:
        """A page of an audience's profiles; one entry for a profile of each configuration."""
        since = last_seen_since or 0
        with connected(self._database), snapshot(self._database) as rows:
            states = {each.id: each for each in audiences(load_configurations(rows).values()).get(audience_id, ())}
            if not states:
                raise UnknownAudience
            selection = Selection(configurations=tuple(states), order=order, id_type=id_type)
            if profile is not None:
                named = profiles_named(rows, states, _meant(id_type, profile))
                found = [each for each in named if each.state.last[0] >= since]
                found.sort(key=selection.place_of, reverse=order == "changed")
                after = None
            else:
                found, after = _seen_since(rows, selection, cursor, since, limit)
        return {
            "items": [_profile(each, states) for each in found],
            "next": None if after is None else cursor_text(after),
        }


def _meant(id_type: str | None, profile: str) -> list[tuple[str, str]]:
    """The idTypes and normalised values that a text may stand for."""
    found = []
    for each in [id_type] if id_type else PROFILE_FIELDS:
        with suppress(InvalidProfile):
            found.append((each, normalise_profile(each, profile)))
    return found


def _seen_since(
    rows: Rows, selection: Selection, place: Place | None, since: int, limit: int
) -> tuple[list[ProfileRow], Place | None]:
    """Up to `limit` profiles, and where the next page begins. Of many profiles that were not seen since, a page may
    hold fewer: a request reads a bounded number of them."""
    found: list[ProfileRow] = []
    at_once = _AT_ONCE if since else limit + 1
    for _ in range(0, _MOST_READ, at_once):
        page = profiles_page(rows, selection, place, at_once)
        found += [row for row in page if row.state.last[0] >= since]
        if len(found) > limit:
            return found[:limit], selection.place_of(found[limit - 1])
        if len(page) < at_once:
            return found, None
        place = selection.place_of(page[-1])
    return found, place


def _audience(states: list[ConfigurationState], counts: Mapping[str, int]) -> dict[str, Any]:
    newest = max(states, key=lambda state: state.version).audience
    assert newest is not None
    return {
        "id": newest.id,
        "name": newest.name,
        "audience_configurations": [{"id": state.id, "name": state.name} for state in states],
        "profiles": sum(counts.get(state.id, 0) for state in states),
    }


def _profile(row: ProfileRow, states: Mapping[str, ConfigurationState]) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(profile_data(row, states))
    return {**data, "changedAt": to_rfc3339(row.state.changed_at)}
