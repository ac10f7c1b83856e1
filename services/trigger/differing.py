"""What the audit hands back: two things that should be the same and are not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two things that should be the same of a moment and are not."""

    moment: str
    rule: str
    expected: int
    found: int
    detail: str = ""

    def __str__(self) -> str:
        about = f" ({self.detail})" if self.detail else ""
        return f"moment {self.moment}: {self.rule}: {self.expected} expected, {self.found} found{about}"
