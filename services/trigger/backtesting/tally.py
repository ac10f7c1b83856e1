"""One column of a result: what a moment did over the period, and a sample of profiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

from contracts.times import DAY, to_rfc3339
from services.trigger.engine.application import ProfileId
from services.trigger.engine.decide import Decision, ProcessId
from services.trigger.engine.effects import Recovery

RAISED = "raised"
_SAMPLES_RAISED = 5
_SAMPLES_EACH_REASON = 2
_COUNTED = ("opened", "slid", "pending", "contradicted", "ignored")


class Raised(NamedTuple):
    """A raise of the profile in hand."""

    process: str
    opened_at: int
    due: int
    raise_id: str


@dataclass(slots=True)
class Tally:
    """Adds up decisions, profile by profile. Days are those of UTC, by the instant of the decision."""

    days: dict[int, Counter[str]] = field(default_factory=dict)
    suppressed: Counter[str] = field(default_factory=Counter)
    raised: int = 0
    recovered: int = 0
    profiles_raised: int = 0
    profiles_decided: int = 0
    raises: list[Raised] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    _sampled: Counter[str] = field(default_factory=Counter)
    _reasons: dict[str, None] = field(default_factory=dict)
    _raised_on: dict[str, int] = field(default_factory=dict)

    def decide(self, process: ProcessId, decision: Decision, now: int) -> None:
        """A wait of the profile in hand was decided."""
        day = self.days.setdefault(now // DAY, Counter())
        if decision.raised:
            self.raised += 1
            day[RAISED] += 1
            self.raises.append(Raised(process.process, decision.opened_at, decision.due, decision.raise_id))
            self._raised_on[decision.raise_id] = now // DAY
        else:
            self.suppressed[decision.reason] += 1
            day["suppressed"] += 1
        self._reasons[RAISED if decision.raised else decision.reason] = None

    def recover(self, recovery: Recovery) -> None:
        """A raise of the profile in hand was recovered; it counts on the day of the raise."""
        self.recovered += 1
        day = self._raised_on.get(recovery.raise_id)
        if day is not None:
            self.days[day]["recovered"] += 1

    def finish_profile(self) -> list[Raised]:
        """Count the profile in hand; returns its raises, and forgets them."""
        raises, self.raises = self.raises, []
        self.profiles_raised += bool(raises)
        self.profiles_decided += bool(self._reasons)
        self._reasons.clear()
        self._raised_on.clear()
        return raises

    def wanted_sample(self) -> str | None:
        """The outcome that the profile in hand would be an example of, if one is still wanted.

        Profiles come in the order of a hash, so the first ones are a fair sample, the same one each time.
        """
        for reason in self._reasons:
            if self._sampled[reason] < (_SAMPLES_RAISED if reason == RAISED else _SAMPLES_EACH_REASON):
                return reason
        return None

    def take_sample(self, reason: str, profile: ProfileId, timeline: list[dict[str, Any]], moment: str) -> None:
        """Keep the profile in hand as an example of an outcome."""
        self._sampled[reason] += 1
        query = urlencode({"moment": moment, "profile": profile.profile, "idType": profile.id_type})
        self.samples.append(
            {
                "outcome": reason,
                "profile": {"idType": profile.id_type, "id": profile.profile},
                "timeline": timeline,
                "explanation": f"/api/v1/explanations?{query}" if moment else None,
            }
        )

    def document(self, settings: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
        """The column as it is shown. `counts`: the engine's counters of the moment."""
        ended = {name[6:]: value for name, value in sorted(counts.items()) if name.startswith("ended:")}
        stopped = counts.get("suppressed:stopped", 0)
        suppressed = dict(sorted((self.suppressed + Counter({"stopped": stopped})).items()))
        return {
            "settings": dict(settings),
            **{name: counts.get(name, 0) for name in _COUNTED},
            "raised": self.raised,
            "ended": ended,
            "suppressed": suppressed,
            "recovered": self.recovered,
            "recoveredShare": round(self.recovered / self.raised, 4) if self.raised else None,
            "profiles": {"decided": self.profiles_decided, "raised": self.profiles_raised},
            "days": list(self._days()),
            "samples": self.samples,
        }

    def _days(self) -> Iterator[dict[str, Any]]:
        for day, found in sorted(self.days.items()):
            counted = {name: found[name] for name in (RAISED, "suppressed", "recovered")}
            yield {"day": to_rfc3339(day * DAY)[:10], **counted}
