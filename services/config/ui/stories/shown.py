"""A story as a page shows it: what is folded, what is open, how many there are, and where the rest is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from zlib import crc32

from markupsafe import Markup

from services.config.ui.stories.drawing import axis_of, draw_axis, draw_row
from services.config.ui.stories.rows import Row, grouped, rows_of
from services.config.ui.stories.story import Occurrence, Step, Story, Strand
from services.config.ui.stories.wording import TONES, Teller, Verdict, tally
from services.config.ui.texts import known, t

T = TypeVar("T")
NONE = "-"
"""Where no occurrence is to be open."""

STRANDS = 10
OCCURRENCES = 8
OF_ONE = 40
"""How many strands, occurrences of each, and occurrences of a strand that was asked for alone, a page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row in words and drawn. `day`: where a new day begins. `icon`, `tone`: of what decided."""

    row: Row
    title: str
    sentences: Sequence[str]
    drawn: Markup | None = None
    day: str = ""
    icon: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOccurrence:
    """An occurrence: the line that decides, and, when it is open, how that came about. `anchor`: its id in the page."""

    occurrence: Occurrence
    verdict: Verdict
    open: bool
    anchor: str
    axis: Markup | None = None
    rows: Sequence[ShownRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStrand:
    """A process. `older`: occurrences that are not shown. `tally`: state, word and count of all."""

    strand: Strand
    anchor: str
    occurrences: Sequence[ShownOccurrence]
    older: int
    tally: Sequence[tuple[str, str, int]]
    idle: Sequence[ShownRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The whole. `advice`: what to do next, or empty. `older`: strands that are not shown."""

    story: Story
    answer: Verdict
    advice: str
    strands: Sequence[ShownStrand]
    older: int
    homeless: Sequence[ShownRow]
    pending: Occurrence | None


def shown(story: Story, teller: Teller, *, opened: str = "", alone: bool = False) -> Shown:
    """Show a story; `opened` names the occurrence that is open (or NONE), by itself the one that people ask about.

    `alone`: only one process was asked for.
    """
    newest = story.newest
    chosen = None if opened == NONE else next((each for each in story.occurrences if each.name == opened), newest)
    strands = _first(story.strands, STRANDS, lambda strand: chosen in strand.occurrences)
    most = OF_ONE if alone else OCCURRENCES
    return Shown(
        story=story,
        answer=teller.answer(story, alone=alone),
        advice=_advice(str(story.document["answer"]["code"])),
        strands=[_strand(strand, chosen, most, teller) for strand in strands],
        older=len(story.strands) - len(strands),
        homeless=_idle(story.homeless, teller),
        pending=newest if newest is not None and newest.state == "pending" else None,
    )


def _strand(strand: Strand, chosen: Occurrence | None, most: int, teller: Teller) -> ShownStrand:
    kept = _first(strand.occurrences, most, lambda each: each is chosen)
    return ShownStrand(
        strand=strand,
        anchor=_hashed(strand.process),
        occurrences=[_occurrence(each, teller, opened=each is chosen) for each in kept],
        older=len(strand.occurrences) - len(kept),
        tally=[(state, t(f"explanation.state.{state}"), n) for state, n in tally(strand.occurrences)],
        idle=_idle(strand.idle, teller),
    )


def _occurrence(occurrence: Occurrence, teller: Teller, *, opened: bool) -> ShownOccurrence:
    verdict = teller.verdict(occurrence)
    anchor = f"o{occurrence.number}-{_hashed(occurrence.process)}"
    if not opened:
        return ShownOccurrence(occurrence=occurrence, verdict=verdict, open=False, anchor=anchor)
    axis = axis_of(occurrence, teller.now, teller.zone)
    rows, day = [], ""
    for row in rows_of(occurrence):
        today = teller.day(row.first.at)
        drawn = draw_row(axis, row, occurrence.state)
        rows.append(_row(row, teller, drawn=drawn, day=today if today != day else ""))
        day = today
    return ShownOccurrence(
        occurrence=occurrence,
        verdict=verdict,
        open=True,
        anchor=anchor,
        axis=draw_axis(axis, t("explanation.now")),
        rows=rows,
    )


def _idle(steps: Sequence[Step], teller: Teller) -> list[ShownRow]:
    rows, day = [], ""
    for row in grouped(steps):
        today = teller.day(row.first.at)
        rows.append(_row(row, teller, day=today if today != day else ""))
        day = today
    return rows


def _row(row: Row, teller: Teller, *, drawn: Markup | None = None, day: str = "") -> ShownRow:
    tone = _tone(row)
    first, last = teller.clock(row.first.at), teller.clock(row.last.at)
    if row.kind == "step":
        title, sentences = teller.title(row.first), teller.sentences(row.first)
    elif row.kind == "group":
        title = t("explanation.group", n=len(row.steps), title=teller.title(row.first))
        sentences = [t("explanation.group_between", first=first, last=last), *teller.sentences(row.last)]
    else:
        title, sentences = t("explanation.skipped", n=len(row.steps), first=first, last=last), []
    return ShownRow(
        row=row, title=title, sentences=sentences, drawn=drawn, day=day, tone=tone, icon=TONES[tone][1] if tone else ""
    )


def _tone(row: Row) -> str:
    """The state that a row brought about: a key of TONES, or empty."""
    if row.closing is not None:
        return row.closing.effect
    return "recovered" if row.last.change("recovered") else ""


def _advice(code: str) -> str:
    key = f"explanation.next.{code}"
    return t(key) if known(key) else ""


def _hashed(text: str) -> str:
    """A name for an id of the page: of letters and digits, whatever the text holds."""
    return f"{crc32(text.encode()):08x}"


def _first(found: Sequence[T], most: int, wanted: Callable[[T], bool]) -> list[T]:
    """The first so many, and of the others the one that is wanted."""
    return [*found[:most], *(each for each in found[most:] if wanted(each))]
