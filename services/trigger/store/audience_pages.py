"""Pages of an audience's profiles, over all configurations that name the audience."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from contracts.configurations import ConfigurationState
from services.trigger.engine.application import ProfileId
from services.trigger.store.keys import profile_key
from services.trigger.store.profiles import ProfileRow, bring_up_to_date, decode_profile
from services.trigger.store.rows import Row, Rows

Order = Literal["changed", "profile"]
Place = tuple[Order, int, str, str, str]
"""Where a page ends: its order, when the last profile was changed, its idType, id and configuration."""

_COLUMNS = "key, configuration, id_type, profile, partition, body"
_SORTED_BY: dict[Order, str] = {
    "changed": "changed_at {0}, id_type {0}, profile {0}, configuration {0}",
    "profile": "id_type {0}, profile {0}, configuration {0}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which profiles of which configurations, in which order: the latest changed first, or by name."""

    configurations: tuple[str, ...]
    order: Order
    id_type: str | None = None

    def place_of(self, row: ProfileRow) -> Place:
        """Where a profile stands."""
        identity = row.identity
        changed_at = row.state.changed_at if self.order == "changed" else 0
        return (self.order, changed_at, identity.id_type, identity.profile, identity.configuration)


def audiences(states: Iterable[ConfigurationState]) -> dict[str, list[ConfigurationState]]:
    """Audience → the configurations that update it."""
    found: dict[str, list[ConfigurationState]] = {}
    for state in sorted(states, key=lambda state: state.id):
        if state.audience is not None and not state.deleted:
            found.setdefault(state.audience.id, []).append(state)
    return found


def profile_counts(rows: Rows) -> dict[str, int]:
    """Configuration → how many profiles it has."""
    return dict(rows.execute("SELECT configuration, count(*) FROM profiles GROUP BY configuration"))


def profiles_page(rows: Rows, selection: Selection, after: Place | None, limit: int) -> list[ProfileRow]:
    """The next profiles as of this instant. Inside one transaction: rows and log must be of one state."""
    backwards = selection.order == "changed"
    pages = [_page_of(rows, each, selection, after, limit) for each in selection.configurations]
    merged = heapq.merge(*pages, key=selection.place_of, reverse=backwards)
    return _up_to_date(rows, [row for row, _ in zip(merged, range(limit), strict=False)])


def profiles_named(rows: Rows, configurations: Iterable[str], names: Collection[tuple[str, str]]) -> list[ProfileRow]:
    """The profiles of some (idType, id), in any of some configurations."""
    keys = [profile_key(ProfileId(each, *name)) for each in configurations for name in names]
    found = rows.select_in(f"SELECT {_COLUMNS} FROM profiles WHERE key IN {{values}}", keys, "bytea")  # noqa: S608
    return _up_to_date(rows, [_row(each) for each in found])


def _up_to_date(rows: Rows, profiles: list[ProfileRow]) -> list[ProfileRow]:
    """The same, with what the signal log holds since they were written."""
    bring_up_to_date(rows, {each.key: (each.identity, each.state) for each in profiles})
    return profiles


def _page_of(rows: Rows, configuration: str, selection: Selection, after: Place | None, limit: int) -> list[ProfileRow]:
    conditions = ["configuration = ?"]
    parameters: list[Any] = [configuration]
    if selection.id_type is not None:
        conditions.append("id_type = ?")
        parameters.append(selection.id_type)
    if after is not None:
        columns = _SORTED_BY[selection.order].format("")
        place = after[1:] if selection.order == "changed" else after[2:]
        sign = "<" if selection.order == "changed" else ">"
        conditions.append(f"({columns}) {sign} ({', '.join('?' * len(place))})")
        parameters += place
    order = _SORTED_BY[selection.order].format("DESC" if selection.order == "changed" else "ASC")
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM profiles WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",  # noqa: S608
        [*parameters, limit],
    )
    return [_row(each) for each in found]


def _row(columns: Row) -> ProfileRow:
    key, configuration, id_type, profile, partition, body = columns
    return ProfileRow(bytes(key), ProfileId(configuration, id_type, profile), partition, decode_profile(bytes(body)))
