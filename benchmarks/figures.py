"""A figure with its limit, and how figures are printed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, and what the machine does without our work (`limit`).

    `floor`: the least value that is promised, or with `at_most` the greatest; None where nothing is promised.
    """

    name: str
    value: float
    unit: str
    limit: float
    floor: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float:
        """value / limit."""
        return self.value / self.limit if self.limit else 0.0

    @property
    def met(self) -> bool | None:
        """Whether what is promised was measured; None where nothing is."""
        if self.floor is None:
            return None
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def promise(self) -> str:
        """The floor, and whether it is met; empty where nothing is promised."""
        if self.floor is None:
            return ""
        return f"{'<=' if self.at_most else '>='} {_number(self.floor)}  {'met' if self.met else 'MISSED'}"

    def as_json(self) -> str:
        """One JSON object of one line."""
        given = asdict(self)
        kept = {"name": self.name, "value": given["value"], "unit": self.unit, "limit": given["limit"]}
        if self.floor is not None:
            kept |= {"promised": self.floor, "met": self.met}
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in kept.items()}
        return json.dumps({**rounded, "ratio": round(self.ratio, 3)})

    def as_row(self) -> str:
        """One line of the table."""
        return (
            f"{self.name:<44} {_number(self.value):>10} {self.unit:<11} {_number(self.limit):>10} "
            f"{self.ratio:>7.2f}  {self.promise}"
        ).rstrip()


HEADING = f"{'figure':<44} {'value':>10} {'unit':<11} {'limit':>10} {'ratio':>7}  promised"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def percentile(values: list[float], share: float) -> float:
    """The least value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def processor_seconds(process: int) -> float:
    """Processor time that a process has used so far, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
