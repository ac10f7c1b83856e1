"""An explanation of trigger as strands of occurrences, each a line of steps in the order in which they happened.

Trigger tells in the order in which it learnt things; people read by the clock. A signal therefore stands at its own
time, and says when it arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from contracts.times import from_rfc3339, parse_duration

State = Literal["pending", "raised", "recovered", "suppressed", "ended", "void"]
Document = Mapping[str, Any]
Name = tuple[str, str, int]
"""Process kind, process id, number: what names a wait."""

LATE = 60_000_000
"""A signal that took longer than this on its way is told to be late, µs."""
_CLOSED = ("raised", "suppressed", "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a wait is due and how that comes about, as trigger says it; instants and spans in µs."""

    at: int
    ready: int
    counted_from: str
    length: int
    maximum: int | None
    quiet_until: int | None

    @classmethod
    def of(cls, document: Document) -> Due:
        """From its document."""
        maximum, quiet = document["maximumWait"], document["quietUntil"]
        return cls(
            at=from_rfc3339(document["at"]),
            ready=from_rfc3339(document["readyAt"]),
            counted_from=document["countedFrom"],
            length=parse_duration(document["length"]),
            maximum=None if maximum is None else parse_duration(maximum),
            quiet_until=None if quiet is None else from_rfc3339(quiet),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened to one wait; see trigger's own."""

    effect: str
    reason: str
    opened: int | None
    last: int | None
    due: Due | None
    due_at: int | None
    split: bool
    revived: bool
    merged_into: int | None
    raise_id: str
    raise_number: int | None
    numbers: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened. `at`: where it stands, of a signal its own time; `learnt`: when it was known.

    `changes`: what it did to the wait under which it is told. `anonymous`: it was known only later whose it is.
    """

    place: int
    at: int
    learnt: int
    event: str
    code: str
    text: str = ""
    kind: str = ""
    site: str = ""
    source: str = ""
    id: str = ""
    anonymous: bool = False
    numbers: Document = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def late_by(self) -> int:
        """How long a signal was on its way, µs; 0 when that is not worth a word."""
        delay = self.learnt - self.at if self.event == "signal" else 0
        return delay if delay >= LATE else 0

    def change(self, *effects: str) -> Change | None:
        """The first change of one of these effects."""
        return next((change for change in self.changes if change.effect in effects), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One wait with all that was told of it. `due`: as it stood last. `closed_at`: when it was decided or ended."""

    kind: str
    process: str
    number: int
    state: State
    reason: str
    opened: int | None
    last: int | None
    due: Due | None
    closed_at: int | None
    recovered_at: int | None
    raise_id: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """What names it in an address."""
        return f"{self.number}:{self.process}"

    @property
    def newest(self) -> int:
        """What it is sorted by: the newest that is known of it, of one that waits its due."""
        due = self.due.at if self.due is not None and self.state == "pending" else None
        known = (self.opened, self.last, self.closed_at, due, *(step.at for step in self.steps))
        return max((at for at in known if at is not None), default=0)

    @property
    def decision(self) -> Change | None:
        """The change that decided or ended it, when it was told."""
        return next((found for step in reversed(self.steps) if (found := step.change(*_CLOSED))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """A process of the profile: its occurrences, the newest first, and the signals that moved none of them."""

    kind: str
    process: str
    occurrences: tuple[Occurrence, ...]
    idle: tuple[Step, ...]

    @property
    def newest(self) -> int:
        """When something happened last."""
        return max((*(each.newest for each in self.occurrences), *(step.at for step in self.idle)), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that was told: strands, the newest first; signals that belong to no process; refusals, the newest first."""

    document: Document
    strands: tuple[Strand, ...]
    homeless: tuple[Step, ...]
    refusals: tuple[Step, ...]

    @property
    def occurrences(self) -> Iterator[Occurrence]:
        """Every occurrence, by strands."""
        return (each for strand in self.strands for each in strand.occurrences)

    @property
    def newest(self) -> Occurrence | None:
        """The occurrence that people ask about: one that waits, else the newest."""
        found = list(self.occurrences)
        waiting = [each for each in found if each.state == "pending"]
        return max(waiting or found, key=lambda each: each.newest, default=None)


def read_story(document: Document) -> Story:
    """The story in trigger's document."""
    entries = [(entry, _step(entry)) for entry in document["entries"]]
    told, idle = _shared_out(entries)
    waits = {_name(wait): wait for wait in document["waits"]}
    occurrences = [_occurrence(name, waits.get(name), told.get(name, [])) for name in {**waits, **told}]
    processes = {(each.kind, each.process): each.kind for each in occurrences} | {key: key[0] for key in idle if key}
    strands = [_strand(key, occurrences, idle.get(key, [])) for key in processes]
    return Story(
        document=document,
        strands=tuple(sorted(strands, key=lambda strand: -strand.newest)),
        homeless=tuple(idle.get(None, ())),
        refusals=tuple(reversed([step for _, step in entries if step.event == "refusal"])),
    )


def _strand(key: tuple[str, str], occurrences: Iterable[Occurrence], idle: Sequence[Step]) -> Strand:
    own = [each for each in occurrences if (each.kind, each.process) == key]
    own.sort(key=lambda each: (each.newest, each.number), reverse=True)
    return Strand(kind=key[0], process=key[1], occurrences=tuple(own), idle=tuple(_by_time(idle)))


def _shared_out(
    entries: Iterable[tuple[Document, Step]],
) -> tuple[dict[Name, list[Step]], dict[tuple[str, str] | None, list[Step]]]:
    """The steps under the waits that they concern; and those that concern none, by process."""
    told: dict[Name, list[Step]] = {}
    idle: dict[tuple[str, str] | None, list[Step]] = {}
    spans: dict[Name, list[int]] = {}
    for entry, step in entries:
        changed: dict[Name, list[Change]] = {}
        for document in entry["changes"]:
            name, change = _name(document), _change(document)
            changed.setdefault(name, []).append(change)
            _follow(spans, name, change, step)
        for name, changes in changed.items():
            told.setdefault(name, []).append(_with(step, changes))
        if step.event != "signal" or changed:
            continue
        process = entry["process"] and (entry["process"]["kind"], entry["process"]["id"])
        within = _within(spans, process, step.at)
        if within is None:
            idle.setdefault(process, []).append(step)
        else:
            told[within].append(step)
    return told, idle


def _follow(spans: dict[Name, list[int]], name: Name, change: Change, step: Step) -> None:
    """Keep from when to when a wait lasts, as far as it was told."""
    begin, end = spans.get(name, (step.at, step.at))
    if change.opened is not None:
        begin = change.opened
    if change.effect in _CLOSED:
        end = change.due_at or step.at
    elif change.due is not None:
        end = change.due.at
    spans[name] = [begin, end]


def _within(spans: Mapping[Name, Sequence[int]], process: tuple[str, str] | None, at: int) -> Name | None:
    """The wait of a process within which a signal lies that changed nothing."""
    found = [name for name, (begin, end) in spans.items() if name[:2] == process and begin <= at <= end]
    return max(found, key=lambda name: name[2], default=None)


def _occurrence(name: Name, wait: Document | None, steps: Sequence[Step]) -> Occurrence:
    ordered = _by_time(steps)
    changes = [(step, change) for step in steps for change in step.changes]
    closing = next(((step, each) for step, each in reversed(changes) if each.effect in _CLOSED), None)
    recovery = next((step for step, each in changes if each.effect == "recovered"), None)
    state, reason = _state(wait, closing and closing[1])
    dues = [change.due for _, change in changes if change.due is not None]
    last_due = Due.of(wait["due"]) if wait and wait["due"] else (dues[-1] if dues else None)
    return Occurrence(
        kind=name[0],
        process=name[1],
        number=name[2],
        state="recovered" if recovery is not None and state == "raised" else state,
        reason=reason,
        opened=_earliest(wait, changes),
        last=_instant(wait and wait["lastActivityAt"]),
        due=last_due,
        closed_at=closing[0].at if closing else None,
        recovered_at=recovery.at if recovery else None,
        raise_id=(wait and wait["raiseId"]) or "",
        steps=tuple(ordered),
    )


def _earliest(wait: Document | None, changes: Sequence[tuple[Step, Change]]) -> int | None:
    """The first activity, as it was known at the end."""
    known = [change.opened for _, change in changes if change.opened is not None]
    return _instant(wait and wait["openedAt"]) if not known else known[-1]


def _state(wait: Document | None, closing: Change | None) -> tuple[State, str]:
    if wait is not None:
        state, reason = wait["state"], wait["reason"] or ""
    else:
        state, reason = ("pending", "") if closing is None else (closing.effect, closing.reason)
    return ("void" if state == "ended" and reason in ("void", "merged") else state), reason


def _by_time(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step.at, step.place))


def _step(entry: Document) -> Step:
    signal = entry["signal"] or {}
    learnt = from_rfc3339(entry["at"])
    return Step(
        place=entry["place"],
        at=from_rfc3339(signal["time"]) if entry["event"] == "signal" and signal.get("time") else learnt,
        learnt=learnt,
        event=entry["event"],
        code=entry["code"],
        text=entry["text"],
        kind=signal.get("kind") or "",
        site=signal.get("site") or "",
        source=signal.get("source") or "",
        id=signal.get("id") or "",
        anonymous=bool(signal.get("stitchedAt")),
        numbers=entry["numbers"],
    )


def _with(step: Step, changes: Sequence[Change]) -> Step:
    return replace(step, changes=tuple(changes))


def _change(document: Document) -> Change:
    return Change(
        effect=document["effect"],
        reason=document["reason"] or "",
        opened=_instant(document["openedAt"]),
        last=_instant(document["lastActivityAt"]),
        due=Due.of(document["due"]) if document["due"] else None,
        due_at=_instant(document["dueAt"]),
        split=document["splitFrom"] is not None,
        revived=document["revived"],
        merged_into=document["mergedInto"],
        raise_id=document["raiseId"] or "",
        raise_number=document["raiseNumber"],
        numbers=document["numbers"],
    )


def _name(document: Document) -> Name:
    return document["process"]["kind"], document["process"]["id"], document["wait"]


def _instant(text: Any) -> int | None:
    return None if not text else from_rfc3339(text)
