"""What a change would do to the customers who wait, asked before it is saved."""

from __future__ import annotations

from dataclasses import dataclass

from services.config.program import program
from services.config.triggering import TriggerAway
from services.config.ui.editing import Edit
from shared.conditions import ANY_VERSION
from shared.problems import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The waits of a moment with a change. `refusal`: why there is none to tell; `away`: trigger did not answer.

    `others_earlier` are those that come due earlier, but not at once.
    """

    away: bool = False
    refusal: str = ""
    pending: int = 0
    moved: int = 0
    at_once: int = 0
    others_earlier: int = 0
    later: int = 0
    spread_until: str | None = None
    before: int = 0
    after: int = 0
    exact: bool = True
    as_of: str = ""

    @property
    def is_known(self) -> bool:
        """Whether there are numbers."""
        return not self.away and not self.refusal


def effect_of(edit: Edit) -> Effect:
    """The effect of saving an edit."""
    wanted = edit.wanted()
    if wanted.faults:
        return Effect(refusal="faults")
    try:
        told = program().previews.of(edit.moment.id, wanted.changes, ANY_VERSION)
    except TriggerAway:
        return Effect(away=True)
    except ServiceError as error:
        return Effect(refusal=error.detail)
    return Effect(
        pending=told["pending"],
        moved=told["moved"],
        at_once=told["dueAtOnce"],
        others_earlier=max(0, told["earlier"] - told["dueAtOnce"]),
        later=told["later"],
        spread_until=told["spreadUntil"],
        before=told["raisesInNextHour"]["before"],
        after=told["raisesInNextHour"]["after"],
        exact=told["exact"],
        as_of=told["asOf"],
    )
