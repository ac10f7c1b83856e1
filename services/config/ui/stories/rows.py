"""The steps of an occurrence as rows: what happens over and over is told once, and no list grows without end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.config.ui.stories.story import Change, Due, Occurrence, Step

AT_LEAST = 4
"""So many signals alike, one after another, become a group."""
MOST = 24
"""Rows of an occurrence; those in the midst of more become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One or more steps, and how the wait stood after them.

    `kind`: `step`, `group` (signals alike) or `skipped` (in the midst of very many). `opened`, `due`: of the wait;
    `closing`: the change that decided or ended it.
    """

    kind: str
    steps: tuple[Step, ...]
    opened: int | None = None
    due: Due | None = None
    closing: Change | None = None

    @property
    def first(self) -> Step:
        """The first of its steps."""
        return self.steps[0]

    @property
    def last(self) -> Step:
        """The last of its steps."""
        return self.steps[-1]


def rows_of(occurrence: Occurrence) -> list[Row]:
    """The rows of an occurrence, in the order of time."""
    shaped = list(_with_waits(_grouped(occurrence.steps)))
    if len(shaped) <= MOST:
        return shaped
    half = MOST // 2
    skipped = shaped[half : len(shaped) - half + 1]
    steps = tuple(step for row in skipped for step in row.steps)
    between = Row(kind="skipped", steps=steps, opened=skipped[-1].opened, due=skipped[-1].due)
    return [*shaped[:half], between, *shaped[len(shaped) - half + 1 :]]


def grouped(steps: Sequence[Step]) -> list[Row]:
    """Rows of steps that belong to no wait."""
    found = [Row(kind=kind, steps=steps) for kind, steps in _grouped(steps)]
    return found if len(found) <= MOST else [*found[: MOST // 2], _joined(found[MOST // 2 :])]


def _joined(rows: Iterable[Row]) -> Row:
    return Row(kind="skipped", steps=tuple(step for row in rows for step in row.steps))


def _grouped(steps: Sequence[Step]) -> Iterator[tuple[str, tuple[Step, ...]]]:
    for alike, found in groupby(steps, key=_likeness):
        run = tuple(found)
        if alike is not None and len(run) >= AT_LEAST:
            yield "group", run
        else:
            yield from (("step", (step,)) for step in run)


def _likeness(step: Step) -> tuple[object, ...] | None:
    """What steps of a group have in common; None for what always stands by itself."""
    plain = all(change.effect == "slid" for change in step.changes)
    return (step.kind, step.code) if step.event == "signal" and plain and not step.late_by else None


def _with_waits(found: Iterable[tuple[str, tuple[Step, ...]]]) -> Iterator[Row]:
    """Each row with the wait as it stood after it; what a step does not say has not changed."""
    opened: int | None = None
    due: Due | None = None
    for kind, steps in found:
        closing = None
        for change in (change for step in steps for change in step.changes):
            opened = opened if change.opened is None else change.opened
            due = change.due or due
            if change.effect in ("raised", "suppressed", "ended"):
                closing = change
        yield Row(kind=kind, steps=steps, opened=opened, due=due, closing=closing)
