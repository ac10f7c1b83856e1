"""Two settings side by side: which raises both give, and which only one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from contracts.times import to_rfc3339
from services.trigger.backtesting.tally import Raised
from services.trigger.engine.application import ProfileId

_MOST_NAMED = 100
"""Raises that are listed of each kind; all are counted."""


@dataclass(slots=True)
class Comparison:
    """Compares profile by profile. A raise is the same when process and opening are."""

    both: int = 0
    moved: int = 0
    only: tuple[int, int] = (0, 0)
    named: tuple[list[dict[str, Any]], list[dict[str, Any]]] = field(default_factory=lambda: ([], []))
    named_both: list[dict[str, Any]] = field(default_factory=list)

    def add(self, profile: ProfileId, first: list[Raised], second: list[Raised]) -> None:
        """The raises of a profile in both columns."""
        if not first and not second:
            return
        here, there = _by_occurrence(first), _by_occurrence(second)
        for key in here.keys() & there.keys():
            self.both += 1
            self.moved += here[key].due != there[key].due
        for key in sorted(here.keys() & there.keys()):
            if len(self.named_both) < _MOST_NAMED:
                dues = {"dueAt": to_rfc3339(here[key].due), "comparedDueAt": to_rfc3339(there[key].due)}
                self.named_both.append({**_named(profile, here[key]), **dues})
        lone = (_without(here, there), _without(there, here))
        self.only = (self.only[0] + len(lone[0]), self.only[1] + len(lone[1]))
        for names, found in zip(self.named, lone, strict=True):
            names += [_named(profile, each) for each in found[: _MOST_NAMED - len(names)]]

    def document(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "inBoth": self.both,
            "inBothAtAnotherTime": self.moved,
            "onlyInBase": self.only[0],
            "onlyInCompared": self.only[1],
            "raises": {"inBoth": self.named_both, "onlyInBase": self.named[0], "onlyInCompared": self.named[1]},
        }


_Occurrence = tuple[str, int]


def _by_occurrence(raises: list[Raised]) -> dict[_Occurrence, Raised]:
    return {(each.process, each.opened_at): each for each in raises}


def _without(these: dict[_Occurrence, Raised], those: dict[_Occurrence, Raised]) -> list[Raised]:
    return [these[key] for key in sorted(these.keys() - those.keys())]


def _named(profile: ProfileId, raised: Raised) -> dict[str, Any]:
    return {
        "profile": {"idType": profile.id_type, "id": profile.profile},
        "process": raised.process,
        "openedAt": to_rfc3339(raised.opened_at),
        "dueAt": to_rfc3339(raised.due),
    }
