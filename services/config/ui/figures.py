"""What moments did lately, as trigger counts it: raised in 24 hours, by the hour, and waiting now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.times import from_rfc3339
from services.config.resources import Moment
from services.config.triggering import TriggerAway, TriggerClient

_HOURS = 24


@dataclass(frozen=True, slots=True)
class Figure:
    """A moment's numbers; `by_hour`: the raises of each of the latest 24 hours, the present one last."""

    raised: int
    waiting: int
    by_hour: tuple[int, ...] = (0,) * _HOURS


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of all moments as of one instant; None: trigger did not tell. `most`: the top of all their hours."""

    as_of: int | None = None
    by_moment: Mapping[str, Figure] | None = None
    most: int = 0

    def of(self, moment: Moment) -> Figure | None:
        """A moment's numbers; None when they are not known. What has never run did nothing, whatever is away."""
        known = self.by_moment.get(moment.id) if self.by_moment is not None else None
        return known if known is not None or moment.has_run else Figure(0, 0)

    @property
    def known(self) -> bool:
        """Whether trigger told them."""
        return self.as_of is not None


def read_figures(trigger: TriggerClient, within: float | None = None) -> Figures:
    """The numbers, as far as trigger answers in time (seconds)."""
    try:
        return figures_of(trigger.get("/api/v1/moments/analytics", within=within))
    except TriggerAway:
        return Figures()


def figures_of(document: Mapping[str, Any]) -> Figures:
    """The numbers in trigger's document."""
    found = {
        item["momentId"]: Figure(item["raised"], item["pending"], tuple(item["raisedByHour"]))
        for item in document["items"]
    }
    most = max((max(figure.by_hour, default=0) for figure in found.values()), default=0)
    return Figures(from_rfc3339(document["asOf"]), found, most)
