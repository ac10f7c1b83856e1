"""A moment over the signals of one profile after the other, in virtual time: decided the instant a wait is ready."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from contracts.templates import Template
from services.trigger.backtesting.shelf import ProfileShelf
from services.trigger.engine.application import ProfileId, apply_signal
from services.trigger.engine.apply import Entry, Rules
from services.trigger.engine.decide import Decision, NotReady, ProcessId, decide, record
from services.trigger.engine.effects import Contradiction, Effects, Recovery, WaitKey
from services.trigger.engine.filters import Past
from services.trigger.engine.membership import Membership
from services.trigger.engine.moment import Moment
from services.trigger.engine.state import Wait
from services.trigger.engine.waits import due_of, ready_of

OnDecision = Callable[[ProcessId, Decision, int], None]
OnRecovery = Callable[[Recovery], None]


def rules_of(template: Template, moment: Moment | None, expiry: int, attribution: int) -> Rules:
    """What holds while one moment of a template is all there is; None: not even that."""
    running = (moment,) if moment is not None and moment.running else ()
    completing = {moment.id: frozenset(template.completes)} if moment is not None else {}
    return Rules((template,), {template.type: running}, expiry, completing, attribution)


class VirtualRun:
    """One moment by its rules. `on_decision` is told of each decision and its instant, `on_recovery` of each recovery.

    What else happens is counted in `effects.counts`, over all profiles.
    """

    def __init__(
        self,
        moment: Moment,
        rules: Rules,
        on_decision: OnDecision,
        on_recovery: OnRecovery,
    ):
        self.moment = moment
        self.effects = Effects()
        self._rules = rules
        self._shelf = ProfileShelf()
        self._on_decision = on_decision
        self._on_recovery = on_recovery
        self._profile = ProfileId("", "", "")
        self._pending: dict[WaitKey, int] = {}
        self._heap: list[tuple[int, WaitKey]] = []
        self._now = 0
        self._last_raise: int | None = None
        self._orders: set[str] = set()

    def rules(self, configuration: str, kind: str) -> Rules:  # noqa: ARG002 - one moment, one kind
        """What holds for every process (`engine.application.RuleBook`)."""
        return self._rules

    def begin(self, profile: ProfileId) -> None:
        """Take up the next profile."""
        self._profile = profile
        self._shelf.begin()
        self._pending.clear()
        self._heap.clear()
        self._now = 0
        self._last_raise = None
        self._orders.clear()

    def receive(self, entry: Entry, membership: Membership) -> None:
        """Decide what was ready before the signal was received, and apply it."""
        signal, shelf = entry.signal, self._shelf
        if signal.joined_at > self._now:
            if self._heap and self._heap[0][0] < signal.joined_at:
                self._advance(signal.joined_at)
            self._now = signal.joined_at
        shelf.keep(entry)
        apply_signal(shelf, entry, self._profile, membership, self, self.effects)
        if membership.every:
            shelf.note_level(entry)
        self._take_effects()

    def finish(self, until: int) -> None:
        """No further signal comes: decide what is ready before `until`; other waits stay pending."""
        self._advance(until)
        if self._pending:
            self.effects.count(self.moment.id, "pending", len(self._pending))

    def _advance(self, until: int) -> None:
        """Decide in order of readiness; of waits that are ready together, the smaller (due, process) first."""
        heap = self._heap
        while heap and heap[0][0] < until:
            ready, key = heapq.heappop(heap)
            if self._pending.get(key) != ready:
                continue
            wait = self._wait_of(key)
            later = ready_of(self.moment, wait)
            if later > ready:  # it slid meanwhile
                wait.armed = later
                self._arm(key, later)
                continue
            found = [(key, wait)]
            while heap and heap[0][0] == ready:
                other = heapq.heappop(heap)[1]
                if self._pending.get(other) == ready and all(other != known for known, _ in found):
                    found.append((other, self._wait_of(other)))
            if len(found) > 1:
                found.sort(key=lambda pair: (due_of(self.moment, pair[1]), self._shelf.processes[pair[0][0]][0]))
            for each, wait in found:
                self._decide(each, wait, max(ready, self._now))

    def _wait_of(self, key: WaitKey) -> Wait:
        wait = self._shelf.processes[key[0]][1].wait(key[1], key[2])
        assert wait is not None
        return wait

    def _decide(self, key: WaitKey, wait: Wait, now: int) -> None:
        name, process = self._shelf.processes[key[0]]
        identity = ProcessId(*self._profile, self.moment.template.process, name)
        decision = decide(
            process,
            identity,
            self.moment,
            wait,
            self._shelf.history(process),
            now=now,
            past=Past(last_due=self._last_raise, orders=self._orders),
            brief=True,
        )
        if isinstance(decision, NotReady):
            wait.armed = decision.at
            self._arm(key, decision.at)
            return
        record(process.tracks[self.moment.id], wait, decision)
        del self._pending[key]
        if decision.raised:
            self._last_raise = max(self._last_raise or 0, decision.due)
            self._orders |= decision.orders
        self._on_decision(identity, decision, now)

    def _arm(self, key: WaitKey, ready: int) -> None:
        self._pending[key] = ready
        heapq.heappush(self._heap, (ready, key))

    def _take_effects(self) -> None:
        effects = self.effects
        if effects.disarmed:
            for key in effects.disarmed:
                self._pending.pop(key, None)
            effects.disarmed.clear()
        if effects.armed:
            for key, ready in effects.armed.items():
                self._arm(key, ready)
            effects.armed.clear()
        if effects.contradictions:
            count_contradictions(effects)
        if effects.recoveries:
            for recovery in effects.recoveries:
                self._on_recovery(recovery)
            effects.recoveries.clear()


def count_contradictions(effects: Effects) -> None:
    """Count those of one signal, once for a moment (DOMAIN §6.7), and let them go."""
    found: list[Contradiction] = effects.contradictions
    for moment in {contradiction.moment for contradiction in found}:
        effects.count(moment, "contradicted")
    found.clear()
