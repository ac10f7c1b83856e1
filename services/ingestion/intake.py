"""Takes the items of one request: reads each, publishes the valid ones, and tells what became of every one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from contracts.erasures import subject_of
from contracts.signals import ProfileReference, SignalKind
from contracts.stitching import ANONYMOUS, Identified
from contracts.wire import SignalReplay
from services.ingestion import meters
from services.ingestion.admission import Admitted, Directory, Listener
from services.ingestion.bodies import Body
from services.ingestion.handover import Handover, Owner
from services.ingestion.limits import Limits
from services.ingestion.publication import LARGEST_SIGNAL, identified_messages, message_of
from services.ingestion.reading import Accepted, Reception, is_anonymous, read_signal
from services.ingestion.refusal_log import RefusalLog
from services.ingestion.refusal_reports import RefusalReports, Sender
from services.ingestion.refusals import Fault, Refusal, encodable
from services.ingestion.rereading import read_again
from shared.broker import Message

MOST_ITEMS = 2_500
MOST_EXPLAINED_FAULTS = 1_000
MOST_REPORTED = 100
"""Signals of a refused request that trigger is told of."""

NOBODY: Mapping[int, Sequence[Identified]] = {}
_TOO_LARGE = Refusal(413, "too_large", f"one signal may have at most {LARGEST_SIGNAL} bytes")
_SUPPRESSED = Refusal(403, "suppressed", "signals of this customer are not taken")
_UNAVAILABLE = Refusal(503, "unavailable", "the signal could not be stored now; send it again")


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one item; without a refusal it was accepted."""

    id: str | None
    refusal: Refusal | None = None

    @property
    def status(self) -> int:
        """200, or the refusal's."""
        return 200 if self.refusal is None else self.refusal.status

    def as_document(self) -> dict[str, Any]:
        """The item's entry under `results`."""
        if self.refusal is None:
            return {"id": self.id, "status": 200}
        document: dict[str, Any] = {
            "id": self.id,
            "status": self.refusal.status,
            "code": self.refusal.code,
            "reason": self.refusal.reason,
        }
        if self.refusal.faults:
            document["errors"] = [fault.as_document() for fault in self.refusal.faults]
        return document


class _Ready(msgspec.Struct, frozen=True, gc=False):
    """What is to be published: the place of its item, and whom it is about. `told`: it tells who somebody is."""

    place: int
    message: Message
    owner: Owner
    told: bool = False


class Intake:
    """One per process; used by all request threads."""

    def __init__(
        self,
        handover: Handover,
        refusal_log: RefusalLog,
        reports: RefusalReports,
        partitions: int,
        limits: Limits,
        pepper: bytes,
    ) -> None:
        self._handover = handover
        self._refusal_log = refusal_log
        self._reports = reports
        self._partitions = partitions
        self._limits = limits
        self._pepper = pepper

    def take(
        self,
        body: Body,
        kind: SignalKind | None,
        reception: Reception,
        sender: Callable[[], Sender],
        told: Mapping[int, Sequence[Identified]] = NOBODY,
    ) -> list[Result]:
        """Take the one signal, or each of an array where `data.signal` names the kinds. Ends when all are decided.

        `sender`: asked when something is refused, so that it can be told whose that was. `told`: before which item who
        is told to be whom; what of that could not be stored has a result behind theirs.
        """
        items: Sequence[Any] = body.value if kind is None and type(body.value) is list else (body.value,)
        outcomes: list[Accepted | Refusal] = []
        faults = 0
        for place, item in enumerate(items):
            explain = faults < MOST_EXPLAINED_FAULTS
            outcome = read_signal(item, kind, reception, clean=body.clean, explain=explain)
            if place in body.faults:
                outcome = _with_faults(outcome, body.faults[place])
            if isinstance(outcome, Accepted) and self._is_suppressed(outcome.profile, reception.admitted.listener):
                outcome = _SUPPRESSED
            if not isinstance(outcome, Accepted):
                faults += len(outcome.faults)
            outcomes.append(outcome)
        ready = self._ready(outcomes, reception.admitted)
        people = self._people(told, reception.admitted.listener)
        if people:  # in the order in which it was told; before an item stands what was told before it
            ready = sorted([*people, *ready], key=lambda each: each.place)
        stored = self._handover.take([each.message for each in ready], [each.owner for each in ready])
        confirmed = iter(stored)
        if people:
            confirmed = iter([kept for each, kept in zip(ready, stored, strict=True) if not each.told])
        lost = sum(each.told and not kept for each, kept in zip(ready, stored, strict=True)) if people else 0
        results = [_result(item, outcome, confirmed) for item, outcome in zip(items, outcomes, strict=True)]
        self._count(outcomes, results, reception)
        if any(result.refusal is not None for result in results):
            self._report(body, items, results, kind.name if kind is not None else "", reception, sender())
        return results + [Result(None, _UNAVAILABLE)] * lost

    def _ready(self, outcomes: list[Accepted | Refusal], admitted: Admitted) -> list[_Ready]:
        """What is to be published of the signals; the others become refusals in their places."""
        ready = []
        valid = [(place, outcome) for place, outcome in enumerate(outcomes) if isinstance(outcome, Accepted)]
        limits = self._limits.signals(admitted, [signal.profile for _, signal in valid])
        for (place, signal), limited in zip(valid, limits, strict=True):
            message = None if limited else message_of(signal, self._partitions)
            if message is None:
                outcomes[place] = limited or _TOO_LARGE
            else:
                owner = (admitted.listener.id, signal.profile.id_type, signal.profile.id)
                ready.append(_Ready(place, message, owner))
        return ready

    def _people(self, told: Mapping[int, Sequence[Identified]], listener: Listener) -> list[_Ready]:
        """The same of who is told to be whom; not of who is not listened to."""
        return [
            _Ready(place, message, (listener.id, each.id_type, each.profile), True)
            for place, people in told.items()
            for each in people
            if not self._is_suppressed(ProfileReference(each.id_type, each.profile), listener)
            and not self._is_suppressed(ProfileReference(ANONYMOUS, each.anonymous), listener)
            for message in identified_messages(each, self._partitions)
        ]

    def reread(self, replay: SignalReplay, directory: Directory, now: int) -> Message | Refusal:
        """A refused signal, read by what holds now: its message, or why it is still refused. No rate applies."""
        outcome = read_again(replay, directory, now)
        if isinstance(outcome, Refusal):
            return outcome
        listener = directory.listeners.get(outcome.data.audience_configuration.id)
        if listener is not None and self._is_suppressed(outcome.profile, listener):
            return _SUPPRESSED
        return message_of(outcome, self._partitions) or _TOO_LARGE

    def _is_suppressed(self, profile: ProfileReference, listener: Listener) -> bool:
        """Whether the customer's signals are refused; it costs nothing where nobody's are."""
        if not listener.suppressed:
            return False
        return subject_of(self._pepper, listener.id, profile.id_type, profile.id) in listener.suppressed

    def refuse(self, refusal: Refusal, key_header: str | None, kind: str = "") -> None:
        """Count the refusal of a whole request."""
        meters.REFUSED.labels(refusal.code).inc()
        self._refusal_log.add(refusal, key_header, kind)

    def report(
        self, refusal: Refusal, sender: Sender, body: Body, kind: str, received_at: int, *, anonymous: bool = False
    ) -> None:
        """Tell of the signals of a request that was refused as a whole, as many as may be told of.

        `anonymous`: as in a Reception.
        """
        items: Sequence[Any] = body.value if not kind and type(body.value) is list else (body.value,)
        for place, item in enumerate(items[:MOST_REPORTED]):
            final = place in body.faults or (not anonymous and is_anonymous(item))
            self._reports.add(refusal, sender, item, kind, received_at, final=final)

    def _report(
        self,
        body: Body,
        items: Sequence[Any],
        results: Sequence[Result],
        kind: str,
        reception: Reception,
        sender: Sender,
    ) -> None:
        """What is of an anonymous customer and came where those are not taken, no replay may take, either."""
        for place, (item, result) in enumerate(zip(items, results, strict=True)):
            if result.refusal is not None:
                final = place in body.faults or (not reception.anonymous and is_anonymous(item))
                self._reports.add(result.refusal, sender, item, kind, reception.received_at, final=final)

    def _count(self, outcomes: Sequence[Accepted | Refusal], results: Sequence[Result], reception: Reception) -> None:
        kinds: Counter[str] = Counter()
        for outcome, result in zip(outcomes, results, strict=True):
            kind = outcome.kind.name if isinstance(outcome, Accepted) else ""
            if result.refusal is None:
                kinds[kind] += 1
            else:
                self.refuse(result.refusal, reception.admitted.key_id, kind)
        for kind, count in kinds.items():
            meters.accepted(kind, reception.admitted.touchpoint).inc(count)


def _with_faults(outcome: Accepted | Refusal, faults: tuple[Fault, ...]) -> Refusal:
    """What was found before goes first, and counts once; a refusal of another sort stands as it is."""
    if isinstance(outcome, Refusal) and outcome.code != "invalid":
        return outcome
    found = {fault.pointer for fault in faults}
    others = outcome.faults if isinstance(outcome, Refusal) else ()
    all_faults = (*faults, *(fault for fault in others if fault.pointer not in found))
    return Refusal(422, "invalid", "the signal is not valid", all_faults)


def _result(item: Any, outcome: Accepted | Refusal, confirmed: Any) -> Result:
    if isinstance(outcome, Refusal):
        return Result(_id_of(item), outcome)
    return Result(outcome.id, None if next(confirmed) else _UNAVAILABLE)


def _id_of(item: Any) -> str | None:
    """The id as far as it can be shown."""
    value = item.get("id") if type(item) is dict else None
    return encodable(value[:255]) if type(value) is str else None
