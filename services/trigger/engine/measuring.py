"""The numbers that a decision was measured by: value, views, categories, cool-down (DOMAIN §4, §6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.times import format_duration, parse_duration
from services.trigger.engine.apply import Entry
from services.trigger.engine.decide import content_until
from services.trigger.engine.filters import subject_of, value_of, views_since_raise
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Process, Wait
from services.trigger.engine.waits import due_of, ready_of
from services.trigger.engine.wording import instant


@dataclass(frozen=True, slots=True)
class LastRaise:
    """The raise of a profile with the greatest due so far, µs."""

    id: str
    due: int


def measures(
    process: Process, kind: str, moment: Moment, wait: Wait, history: Sequence[Entry], last_raise: LastRaise | None
) -> dict[str, Any]:
    """Every number that the settings in force ask for, whether or not it decided."""
    due, settings, track = due_of(moment, wait), moment.settings, process.tracks[moment.id]
    content = content_until(process, kind, history, due)
    about = subject_of(moment, content)
    found: dict[str, Any] = {"settingsVersion": moment.versions[-1].number, "raisesBefore": track.raises}
    if settings.get("minimumViews", 0) > 1:
        found |= {
            "minimumViews": settings["minimumViews"],
            "views": views_since_raise(content, track, due),
        }
    if settings.get("minimumValue") is not None:
        least = settings["minimumValue"]
        found |= {"minimumValue": dict(least), "value": str(value_of(about.items, least["currency"]))}
    if settings.get("categories"):
        found["categories"] = list(settings["categories"])
        found["categoriesFound"] = sorted({item.category for item in about.items if item.category})
    if settings.get("repeat") is not None:
        found["repeat"] = settings["repeat"]
    if settings.get("coolDown"):
        found |= _cool_down(settings["coolDown"], due, last_raise)
    if ready_of(moment, wait) > due:
        found["settledUntil"] = instant(ready_of(moment, wait))
    if wait.stitched:
        found["stitchedAt"] = instant(wait.stitched)
    if wait.ended_after:
        found["endedBy"] = _ender(moment, wait, history)
    return found


def _cool_down(setting: str, due: int, last_raise: LastRaise | None) -> dict[str, Any]:
    if last_raise is None:
        return {"coolDown": setting, "lastRaise": None}
    remaining = parse_duration(setting) - (due - last_raise.due)
    return {
        "coolDown": setting,
        "lastRaise": {"id": last_raise.id, "dueAt": instant(last_raise.due)},
        "coolDownRemaining": format_duration(remaining) if remaining > 0 else "PT0S",
    }


def _ender(moment: Moment, wait: Wait, history: Sequence[Entry]) -> dict[str, Any] | None:
    """The first ending signal after the wait's last activity."""
    ends = moment.template.ends + moment.template.completes
    signal = next((e.signal for e in history if e.signal.key > wait.last and e.signal.kind.name in ends), None)
    if signal is None:
        return None
    return {"kind": signal.kind.name, "source": signal.source, "id": signal.id, "time": instant(signal.time)}
