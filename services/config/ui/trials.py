"""Back-tests of what is filled in: asking trigger for one, and what became of it, ready to be drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from contracts.times import DAY, from_rfc3339
from services.config.program import program
from services.config.resources import Moment
from services.config.triggering import TriggerAway, TriggerRefused
from services.config.ui.editing import Edit
from shared.http import NotFound
from shared.problems import ServiceError

_PATH = "/api/v1/backtests"
_ID = re.compile(r"[0-9a-f-]{36}")
_RUNNING = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a moment with certain settings would have done."""

    raised: int
    profiles: int
    recovered: int
    share: float | None
    pending: int
    opened: int
    reasons: tuple[tuple[str, str, int], ...]
    days: Mapping[date, int]

    @property
    def most(self) -> int:
        """The greatest number of a reason."""
        return max((count for _, _, count in self.reasons), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A back-test. `state`: as trigger calls it, or `faults`, `away`, `refused`, `gone`; `reason`: why, in words."""

    state: str
    id: str = ""
    reason: str = ""
    share: float = 0.0
    replayed: int = 0
    total: int = 0
    ended_at: int | None = None
    start: int = 0
    end: int = 0
    signals: int = 0
    wanted: Column | None = None
    running: Column | None = None
    only_wanted: int = 0
    only_running: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether more is to come."""
        return self.state in _RUNNING or (self.state == "away" and bool(self.id))

    @property
    def most(self) -> int:
        """The most raises of a day, with either settings."""
        columns = [column for column in (self.wanted, self.running) if column is not None]
        return max((raised for column in columns for raised in column.days.values()), default=0)

    @property
    def days(self) -> tuple[date, ...]:
        """Every day of the period, in UTC."""
        first = date(1970, 1, 1) + timedelta(days=self.start // DAY)
        return tuple(first + timedelta(days=each) for each in range((self.end - 1) // DAY - self.start // DAY + 1))


def ask_trial(edit: Edit) -> Trial:
    """Ask for the last seven days with what is filled in, beside what is saved where that differs and has run."""
    wanted = edit.wanted()
    if wanted.faults:
        return Trial(state="faults")
    changed = wanted.changes.get("settings", {})
    configuration = wanted.changes.get("audience_configuration_id", edit.moment.configuration_id)
    question: dict[str, Any] = {
        "type": edit.moment.type,
        "audienceConfigurationId": None if configuration is None else str(configuration),
        "settings": _with_changes(edit.moment.settings, changed),
        "compareWith": edit.moment.settings if changed and edit.moment.has_run else None,
    }
    if "audience_configuration_id" not in wanted.changes:
        question |= {"momentId": edit.moment.id, "type": None, "settings": _cleared(edit.moment.settings, changed)}
    return _told(edit.moment, lambda: program().trigger.post(_PATH, question))


def read_trial(moment: Moment, job_id: str) -> Trial:
    """What became of a back-test of a moment. `job_id` is a path's part or a form's, and may be anything."""
    if not _ID.fullmatch(job_id):
        return Trial(state="gone")
    return _told(moment, lambda: program().trigger.get(f"{_PATH}/{job_id}"), job_id)


def cancel_trial(moment: Moment, job_id: str) -> Trial:
    """End a back-test; one that has ended meanwhile is shown as it ended."""
    before = read_trial(moment, job_id)
    if not before.goes_on or before.state == "away":
        return before
    try:
        program().trigger.post(f"{_PATH}/{job_id}/cancel", {})
    except (TriggerRefused, TriggerAway, NotFound):
        return read_trial(moment, job_id)
    return read_trial(moment, job_id)


def _with_changes(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**settings, **changes}.items() if value is not None}


def _cleared(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """All settings as they are filled in, for merging: what is cleared is null. Trigger may not know the newest."""
    return {**settings, **changes}


def _told(moment: Moment, ask: Any, job_id: str = "") -> Trial:
    try:
        job = ask()
    except TriggerAway:
        return Trial(state="away", id=job_id)
    except NotFound:
        return Trial(state="gone", id=job_id)
    except ServiceError as error:
        reasons = " ".join(fault.reason for fault in getattr(error, "faults", ()))
        return Trial(state="refused", reason=reasons or error.detail)
    request = job["request"]
    if request["momentId"] not in (moment.id, None) or request["type"] != moment.type:
        return Trial(state="gone", id=job_id)
    return trial_of(job)


def trial_of(job: dict[str, Any]) -> Trial:
    """A back-test as trigger tells of it."""
    progress, result = job["progress"], job["result"]
    total, done = progress["total"], progress["read"] + progress["replayed"]
    found = Trial(
        state=job["state"],
        id=job["id"],
        reason=job["reason"] or "",
        share=min(1.0, done / (2 * total)) if total else 0.0,
        replayed=progress["replayed"],
        total=total,
        ended_at=None if job["endedAt"] is None else from_rfc3339(job["endedAt"]),
        start=from_rfc3339(job["request"]["from"]),
        end=from_rfc3339(job["request"]["to"]),
    )
    return found if result is None else _with_result(found, result)


def _with_result(found: Trial, result: dict[str, Any]) -> Trial:
    comparison = result["comparison"] or {}
    compared = result["compared"]
    return replace(
        found,
        signals=result["signals"],
        wanted=_column(result["base"]),
        running=None if compared is None else _column(compared),
        only_wanted=comparison.get("onlyInBase", 0),
        only_running=comparison.get("onlyInCompared", 0),
    )


def _column(document: dict[str, Any]) -> Column:
    ended = [("ended", reason, count) for reason, count in document["ended"].items() if count]
    suppressed = [("suppressed", reason, count) for reason, count in document["suppressed"].items() if count]
    return Column(
        raised=document["raised"],
        profiles=document["profiles"]["raised"],
        recovered=document["recovered"],
        share=document["recoveredShare"],
        pending=document["pending"],
        opened=document["opened"],
        reasons=tuple(sorted(ended + suppressed, key=lambda each: -each[2])),
        days={date.fromisoformat(day["day"]): day["raised"] for day in document["days"]},
    )
