"""What was done between the signals, in the order in which it was done: states in force, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from services.trigger.engine.moment import Moment
from services.trigger.engine.walk import STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A state of the moment took effect after the signals up to `after`, at `at` (µs).

    `version`: of the state, rising. `given`: (process id, number of the wait) → due that this edit gave (DOMAIN §5).
    """

    after: int
    at: int
    moment: Moment
    version: int = 0
    given: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A decision as it was recorded; what is None was not kept when it was recorded.

    `version`: of the settings it was judged with.
    """

    after: int
    at: int
    process: str
    raise_id: str
    raised: bool
    reason: str
    due: int
    number: int | None = None
    opened: int | None = None
    last: int | None = None
    version: int | None = None


def in_order(turns: Sequence[InForce | Recorded]) -> Iterator[InForce | Recorded]:
    """By place in the log; between two signals states by version, and decisions between them.

    Instants alone do not order them: the clock may have stepped back.
    """
    known: set[int] = set()
    for after in sorted({turn.after for turn in turns}):
        here = [turn for turn in turns if turn.after == after]
        states = sorted((t for t in here if isinstance(t, InForce)), key=lambda state: (state.version, state.at))
        decisions = sorted((t for t in here if isinstance(t, Recorded)), key=lambda decision: decision.at)
        places = [_place(decision, states, known) for decision in decisions]
        known |= {state.moment.versions[-1].number for state in states}
        for place in range(len(states) + 1):
            yield from (decision for decision, own in zip(decisions, places, strict=True) if own == place)
            yield from states[place : place + 1]


def _place(decision: Recorded, states: Sequence[InForce], known: Set[int]) -> int:
    """How many of the states were in force before. `known`: the versions of settings that were in force earlier.

    A stop records its waits with its own instant before it is in force. Everything else is decided while the moment
    runs, with the version of the settings that it names.
    """
    if decision.reason == STOPPED:
        own = (index for index, state in enumerate(states) if state.at == decision.at)
        later = (index for index, state in enumerate(states) if state.at > decision.at)
        return next(own, next(later, len(states)))
    place, seen = 0, set(known)
    for index, state in enumerate(states):
        number = state.moment.versions[-1].number
        version = decision.version
        brought = number == version and number not in seen
        is_earlier = version in (None, number) and state.at <= decision.at
        if state.moment.running and (brought or is_earlier):
            place = index + 1
        seen.add(number)
    return place
