"""The lists behind a moment's numbers: what each can be narrowed down by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MOST_OF_A_PAGE = "50"
_OUTCOMES = ("raised", "suppressed", "all")


@dataclass(frozen=True, slots=True)
class List:
    """A list of trigger, and the names of what it can be asked by beside the place."""

    name: str
    asked_by: tuple[str, ...] = ()


LISTS: Mapping[str, List] = {
    found.name: found
    for found in (
        List("events", ("outcome", "reason", "from", "to")),
        List("waits"),
        List("recoveries", ("from", "to")),
        List("contradictions"),
    )
}


def asked_for(wanted: List, given: Mapping[str, str]) -> dict[str, str]:
    """What of a query trigger is asked for; what is empty or unknown is left out."""
    asked = {name: given[name] for name in (*wanted.asked_by, "cursor") if given.get(name, "").strip()}
    if asked.get("outcome", "raised") not in _OUTCOMES:
        del asked["outcome"]
    return asked | {"limit": _MOST_OF_A_PAGE}
