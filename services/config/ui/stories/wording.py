"""The words of a story: what each step was, what became of each occurrence, and the line that decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from contracts.times import from_rfc3339, parse_duration, to_rfc3339
from services.config.ui import words
from services.config.ui.stories.story import Change, Due, Occurrence, State, Step, Story
from services.config.ui.texts import known, t

TONES: Mapping[str, tuple[str, str]] = {
    "raised": ("raised", "moment"),
    "recovered": ("recovered", "check"),
    "pending": ("waiting", "clock"),
    "suppressed": ("suppressed", "pause"),
    "ended": ("ended", "stop"),
    "void": ("ended", "stop"),
    "never": ("ended", "info"),
    "refused": ("suppressed", "warning"),
}
"""State → the class that colours it, and its icon."""
_NEVER = {"refused": "refused"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of something: its state (a key of TONES), the word for it, and the line that says why."""

    state: str
    word: str
    line: str

    @property
    def tone(self) -> str:
        """The class that colours it."""
        return TONES[self.state][0]

    @property
    def icon(self) -> str:
        """The icon that goes with the colour."""
        return TONES[self.state][1]


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells a story at an instant to somebody in a zone."""

    now: int
    zone: ZoneInfo

    def clock(self, at: int, near: int | None = None) -> str:
        """`14:02:11`; with the day when that is another than that of `near`, by itself today."""
        local, today = words.local(at, self.zone), words.local(self.now, self.zone)
        if local.date() == (today if near is None else words.local(near, self.zone)).date():
            return f"{local:%H:%M:%S}"
        return f"{local:%-d %b, %H:%M:%S}" if local.year == today.year else f"{local:%-d %b %Y, %H:%M:%S}"

    def hour(self, at: int) -> str:
        """`14:02:11`, whatever the day."""
        return f"{words.local(at, self.zone):%H:%M:%S}"

    def stamp(self, at: int) -> str:
        """For machines."""
        return to_rfc3339(at)

    def day(self, at: int) -> str:
        """`Thursday, 26 November`, with the year when it is another."""
        local, today = words.local(at, self.zone), words.local(self.now, self.zone)
        return f"{local:%A, %-d %B}" if local.year == today.year else f"{local:%A, %-d %B %Y}"

    def answer(self, story: Story, *, alone: bool = False) -> Verdict:
        """The deciding line: of the occurrence that people ask about, or why there is none.

        `alone`: only one process was asked for.
        """
        newest = story.newest
        if newest is not None:
            return self.verdict(newest)
        code = str(story.document["answer"]["code"])
        if alone and code == "no_such_signals":
            code = "no_such_process"
        line = t(f"explanation.verdict.{code}") if known(f"explanation.verdict.{code}") else code
        if code == "never_opened":
            reason = _most(step.code for step in _idle(story))
            line = t("explanation.never_because", why=t(f"explanation.never.{reason}")) if _told_never(reason) else line
        if code == "refused" and story.refusals:
            line = t("explanation.refused_because", why=lowered(self.refused(story.refusals[0])))
        state = _NEVER.get(code, "never")
        return Verdict(state, t(f"explanation.state.{state}"), line)

    def verdict(self, occurrence: Occurrence) -> Verdict:
        """What became of an occurrence, and why."""
        line = {
            "raised": self._raised,
            "recovered": self._recovered,
            "pending": self._pending,
            "suppressed": self._suppressed,
            "ended": self._ended,
            "void": self._void,
        }[occurrence.state](occurrence)
        return Verdict(occurrence.state, t(f"explanation.state.{occurrence.state}"), line)

    def _raised(self, occurrence: Occurrence) -> str:
        due = _due_of(occurrence)
        if due is None or occurrence.due is None:
            return t(_plain("raised"))
        return t("explanation.line.raised", at=self.clock(due), why=_why_due(occurrence.due))

    def _recovered(self, occurrence: Occurrence) -> str:
        step = next(step for step in occurrence.steps if step.change("recovered"))
        due = _due_of(occurrence)
        if due is None:
            return t(_plain("recovered"), did=did(step.kind))
        return t("explanation.line.recovered", did=did(step.kind), span=words.span(step.at - due))

    def _pending(self, occurrence: Occurrence) -> str:
        due = occurrence.due
        if due is None:
            return t(_plain("pending"))
        if due.ready <= self.now:
            return t("explanation.line.deciding")
        if due.at <= self.now:
            return t("explanation.line.settling", at=self.clock(due.ready))
        return t("explanation.line.pending", at=self.clock(due.at), why=_why_due(due))

    def _suppressed(self, occurrence: Occurrence) -> str:
        decision = occurrence.decision
        why = suppressed_words(occurrence.reason, decision.numbers if decision else {}, self)
        return t("explanation.line.suppressed", why=lowered(why))

    def _ended(self, occurrence: Occurrence) -> str:
        due, ended = _due_before_end(occurrence), occurrence.closed_at
        act = t(f"explanation.end.{occurrence.reason}") if _is_end(occurrence.reason) else did(occurrence.reason)
        if due is None or ended is None:
            return t(_plain("ended"), did=act)
        return t("explanation.line.ended", did=act, span=words.span(max(0, due - ended)))

    def _void(self, occurrence: Occurrence) -> str:
        return t(f"explanation.line.{occurrence.reason}")

    # Steps.

    def title(self, step: Step) -> str:
        """What happened, in a few words."""
        if step.event in ("signal", "refusal"):
            return kind_title(step.kind)
        if step.event == "decision":
            change = step.change("raised", "suppressed")
            return t(f"explanation.state.{change.effect if change else 'suppressed'}")
        if step.change("suppressed"):
            return t("explanation.settings.stopped")
        return t("explanation.settings.changed")

    def sentences(self, step: Step) -> list[str]:
        """What a step did to the wait under which it is told; where it did nothing, why."""
        found = [self._effect(change, step) for change in step.changes]
        if step.event == "signal" and not step.changes:
            found = [self.reason(step.code, step.numbers)]
        if step.late_by:
            key = "explanation.anonymous" if step.anonymous else "explanation.late"
            found.append(t(key, span=words.span(step.late_by)))
        return [text for text in found if text]

    def reason(self, code: str, numbers: Mapping[str, Any] | None = None) -> str:
        """Why a signal did what it did, with what it was measured by."""
        key = f"explanation.signal.{code}"
        if not known(key):
            return code
        measured = _measures(code, numbers or {}, self)
        return f"{t(key)} {measured}" if measured else t(key)

    def process(self, kind: str) -> str:
        """`Cart`, `Visit`, …"""
        key = f"explanation.process.{kind}"
        return t(key) if known(key) else kind

    def refused(self, step: Step) -> str:
        """Why ingestion refused a signal, with the faults that it named."""
        key = f"explanation.refusal.{step.code}"
        _, named, faults = step.text.partition(" (")
        told = t(key) if known(key) else step.code
        return f"{told} {faults.removesuffix(')')}" if named and step.code == "invalid" else told

    def _effect(self, change: Change, step: Step) -> str:
        due = change.due
        if change.effect in ("opened", "slid", "retimed") and due is not None:
            key = "split" if change.split else "revived" if change.revived else change.effect
            text = t(f"explanation.effect.{key}", at=self.clock(due.at, step.at), why=_why_due(due))
            if due.ready != due.at:
                text += " " + t("explanation.effect.settles", at=self.clock(due.ready, step.at))
            return text
        if change.effect == "raised":
            text = t("explanation.effect.raised", at=self.clock(change.due_at or step.at, step.at))
            return text + self._waited(change, step)
        if change.effect == "suppressed":
            return suppressed_words(change.reason, change.numbers, self)
        if change.effect == "ended":
            if change.reason in ("merged", "void"):
                return t(f"explanation.line.{change.reason}")
            return t("explanation.effect.ended")
        return t(f"explanation.effect.{change.effect}")

    def _waited(self, change: Change, step: Step) -> str:
        """That it was decided later than it was due, where signals came late or the service was away."""
        delay = step.learnt - (change.due_at or step.learnt)
        return " " + t("explanation.effect.decided_late", span=words.span(delay)) if delay > 2_000_000 else ""


def suppressed_words(reason: str, numbers: Mapping[str, Any], teller: Teller) -> str:
    """Why something was suppressed, with what it was measured by where that is known."""
    key = f"explanation.suppressed.{reason}"
    if not known(key):
        return reason
    measured = _MEASURED.get(reason)
    try:
        return measured(numbers, teller) if measured and numbers else t(key)
    except (KeyError, TypeError, ValueError, ArithmeticError):  # an older record, measured by less
        return t(key)


def _value(numbers: Mapping[str, Any], _: Teller) -> str:
    least = numbers["minimumValue"]
    worth, asked = (amount_of(each, least["currency"]) for each in (numbers["value"], least["amount"]))
    return t("explanation.measured.minimum_value", worth=worth, asked=asked)


def _views(numbers: Mapping[str, Any], _: Teller) -> str:
    return t("explanation.measured.minimum_views", views=numbers["views"], asked=numbers["minimumViews"])


def _categories(numbers: Mapping[str, Any], _: Teller) -> str:
    found = ", ".join(numbers["categoriesFound"])
    asked = ", ".join(numbers["categories"])
    key = "categories" if found else "no_categories"
    return t(f"explanation.measured.{key}", found=found, asked=asked)


def _repeat(numbers: Mapping[str, Any], _: Teller) -> str:
    return t("explanation.measured.repeat", n=int(numbers["raisesBefore"]))


def _cool_down(numbers: Mapping[str, Any], teller: Teller) -> str:
    last = from_rfc3339(numbers["lastRaise"]["dueAt"])
    left = words.span(parse_duration(numbers["coolDownRemaining"]))
    length = words.span(parse_duration(numbers["coolDown"]))
    return t("explanation.measured.cool_down", at=teller.clock(last), left=left, length=length)


def _ended_before(numbers: Mapping[str, Any], teller: Teller) -> str:
    by = numbers["endedBy"]
    return t("explanation.measured.ended_before_raise", did=did(by["kind"]), at=teller.clock(from_rfc3339(by["time"])))


def _stitched(numbers: Mapping[str, Any], teller: Teller) -> str:
    return t("explanation.measured.stitched", at=teller.clock(from_rfc3339(numbers["stitchedAt"])))


_MEASURED = {
    "minimum_value": _value,
    "minimum_views": _views,
    "categories": _categories,
    "repeat": _repeat,
    "cool_down": _cool_down,
    "ended_before_raise": _ended_before,
    "stitched": _stitched,
}


def _measures(code: str, numbers: Mapping[str, Any], teller: Teller) -> str:
    """What the reason of a signal was measured by."""
    if code == "expired" and "lateBy" in numbers:
        late, expiry = (words.span(parse_duration(numbers[name])) for name in ("lateBy", "expiry"))
        return t("explanation.measured.expired", late=late, expiry=expiry)
    if code == "other_site" and "sites" in numbers:
        site = numbers.get("site") or t("explanation.measured.no_site")
        return t("explanation.measured.other_site", site=site, sites=", ".join(numbers["sites"]))
    if code == "not_running" and "runningSince" in numbers:
        return t("explanation.measured.not_running", at=teller.clock(from_rfc3339(numbers["runningSince"])))
    if code in ("decided", "before_decided") and "decidedUntil" in numbers:
        return t("explanation.measured.decided", at=teller.clock(from_rfc3339(numbers["decidedUntil"])))
    if code == "visit_closed" and "visitEndsAfter" in numbers:
        return t("explanation.measured.visit_closed", span=words.span(parse_duration(numbers["visitEndsAfter"])))
    return ""


def did(kind: str) -> str:
    """What a customer did, as a part of a sentence: `bought`."""
    key = f"explanation.did.{kind}"
    return t(key) if known(key) else kind


def kind_title(kind: str) -> str:
    """What a customer did, as a title: `Bought`."""
    return raised(did(kind)) if kind else t("explanation.unreadable")


def amount_of(value: Any, currency: str) -> str:
    """An amount that came as text or number, as money."""
    try:
        return words.money(float(Decimal(str(value))), currency)
    except InvalidOperation:
        return f"{value} {currency}"


def tally(occurrences: Sequence[Occurrence]) -> list[tuple[State, int]]:
    """How many occurrences came to each state, the most frequent first."""
    return Counter(each.state for each in occurrences).most_common()


def lowered(text: str) -> str:
    """As a part of a sentence: the first letter small, no full stop at the end."""
    return (text[:1].lower() + text[1:]).removesuffix(".")


def raised(text: str) -> str:
    """As the begin of a sentence."""
    return text[:1].upper() + text[1:]


def _why_due(due: Due) -> str:
    """How a due comes about, as a part of a sentence: `2 hours after the last activity`."""
    if due.counted_from == "edit":
        text = t("explanation.due.edit")
    elif due.maximum is not None:
        text = t("explanation.due.maximum", span=words.span(due.maximum))
    elif due.counted_from == "opening" and due.length == 0:
        text = t("explanation.due.at_once")
    else:
        text = t(f"explanation.due.{due.counted_from}", span=words.span(due.length))
    return f"{text}{t('explanation.due.quiet')}" if due.quiet_until is not None else text


def _due_of(occurrence: Occurrence) -> int | None:
    decision = occurrence.decision
    if decision is not None and decision.due_at is not None:
        return decision.due_at
    return occurrence.due.at if occurrence.due else None


def _due_before_end(occurrence: Occurrence) -> int | None:
    """The due that stood when the ending signal was applied."""
    found = None
    for step in sorted(occurrence.steps, key=lambda step: step.place):
        for change in step.changes:
            if change.effect == "ended":
                return found
            found = change.due.at if change.due is not None else found
    return found


def _is_end(reason: str) -> bool:
    return known(f"explanation.end.{reason}")


def _plain(state: str) -> str:
    return f"explanation.line.plain.{state}"


def _idle(story: Story) -> Iterable[Step]:
    yield from (step for strand in story.strands for step in strand.idle)
    yield from story.homeless


def _told_never(code: str) -> bool:
    return known(f"explanation.never.{code}")


def _most(codes: Iterable[str]) -> str:
    found = Counter(codes).most_common(1)
    return found[0][0] if found else ""
