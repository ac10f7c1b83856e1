"""What a shop log must give: the engine in virtual time over the signals as trigger has logged them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contracts.moments import MomentState, SettingsVersion
from contracts.signals import Signal
from contracts.templates import templates, validate_settings
from contracts.times import DAY, from_rfc3339
from services.cli.formats import read_rees46
from services.trigger.engine.moment import compile_moment
from services.trigger.replay import MomentBook, Outcome, Replay
from tests.acceptance.stack import Shop


@dataclass(frozen=True, slots=True)
class Pace:
    """How a log is sent: `speed` times faster; `duration` of the moment, which is `recorded` in the log's own time."""

    speed: float
    duration: str
    recorded: str


REAL = Pace(30, "PT20S", "PT10M")
"""The pace that the project promises: 41 raises of 36 profiles of the october log."""

FAST = Pace(140, "PT5S", "PT11M40S")
"""A pace at which no gap of the october log comes nearer to the duration than 0.6 s."""


@dataclass(frozen=True, slots=True, order=True)
class Raise:
    """A raise with all that must not depend on when a signal arrived; `content` as sorted JSON, instants in µs."""

    profile: str
    process: str
    content: str
    due: int
    opened: int
    last: int
    number: int
    signal_ids: tuple[str, ...]
    id: str

    @property
    def told(self) -> tuple[str, str, str]:
        """What a back-test tells too."""
        return (self.profile, self.process, self.content)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a profile: its raises, its suppressed waits, the signals that contradict a raise."""

    raises: tuple[Raise, ...]
    suppressed: tuple[tuple[str, str], ...]
    contradictions: tuple[tuple[str, str], ...]


def sorted_json(content: Any) -> str:
    """Equal texts for equal content."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def raise_of_event(event: Mapping[str, Any]) -> Raise:
    """The raise of an entry of trigger's events API."""
    data = event["data"]
    return Raise(
        profile=data["profile"]["id"],
        process=data["process"]["id"],
        content=sorted_json(data["content"]),
        due=from_rfc3339(data["dueAt"]),
        opened=from_rfc3339(data["openedAt"]),
        last=from_rfc3339(data["lastActivityAt"]),
        number=data["raiseNumber"],
        signal_ids=tuple(data["signalIds"]),
        id=event["id"],
    )


def scheduled(file: Path, start: int, speed: float) -> dict[str, int]:
    """Signal id → the instant (µs) at which `moments send` lets it happen when the first one happens at `start`."""
    with file.open(encoding="utf-8", newline="") as lines:
        records = list(read_rees46(lines, name=file.name))
    return {record.envelope["id"]: start + int((record.time - records[0].time) / speed) for record in records}


def on_time(signals: Iterable[Signal], margin: int = 0) -> list[Signal]:
    """The signals as if each had been received when it happened, or `margin` (µs) later."""
    return [msgspec.structs.replace(each, received_at=each.time + margin) for each in signals]


def outcomes(shop: Shop, duration: str, signals: Sequence[Signal], delay: int = 0) -> dict[str, Told]:
    """Profile → what must become of it, when every wait is decided `delay` (µs) after it is ready."""
    template = templates()["cart_abandon"]
    settings, _ = validate_settings(template, {"duration": duration})
    replay = Replay(MomentBook(templates(), {}, DAY))
    state = MomentState(
        id=shop.moment,
        version=1,
        type="cart_abandon",
        name="Cart",
        configuration_id=shop.configuration,
        status="running",
        running_since=0,
        history=(SettingsVersion(version=1, since=0, settings=settings),),
    )
    replay.book.put(compile_moment(state, template))
    found: list[Outcome] = []
    for each in sorted(signals, key=lambda signal: signal.received_at):
        found += replay.advance(each.received_at - delay)
        replay.receive(each)
    found += replay.run_out()
    raises, suppressed, contradictions = defaultdict(list), defaultdict(list), defaultdict(list)
    for outcome in found:
        profile, decision = outcome.process.profile, outcome.decision
        if decision.raised:
            raises[profile].append(_raise_of(outcome))
        else:
            suppressed[profile].append((decision.raise_id, decision.reason))
    for each_found in replay.contradictions:
        contradictions[each_found.profile[2]].append((each_found.signal, each_found.raise_id))
    return {
        profile: Told(
            tuple(sorted(raises[profile])), tuple(sorted(suppressed[profile])), tuple(sorted(contradictions[profile]))
        )
        for profile in {signal.profile for signal in signals}
    }


def raises_of(told: Mapping[str, Told]) -> list[Raise]:
    """All raises, sorted."""
    return sorted(each for profile in told.values() for each in profile.raises)


def _raise_of(outcome: Outcome) -> Raise:
    decision = outcome.decision
    return Raise(
        profile=outcome.process.profile,
        process=outcome.process.process,
        content=sorted_json(msgspec.to_builtins(decision.content)),
        due=decision.due,
        opened=decision.opened_at,
        last=decision.last_activity_at,
        number=decision.number,
        signal_ids=tuple(decision.signal_ids),
        id=decision.raise_id,
    )
