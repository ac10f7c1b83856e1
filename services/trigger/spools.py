"""Which instant may be raised up to, given that machines of ingestion may keep signals back (DOMAIN §6.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import structlog

from contracts.wire import SpoolWord
from services.trigger.store.rows import Rows
from services.trigger.store.spools import SpoolRow, State, pass_over, save_spools, spool_rows
from shared.clock import Clock, stopwatch

_log = structlog.get_logger("trigger.spools")

NOTE_EVERY = 2.0
_TELL_EVERY = 60.0
_SECOND = 1_000_000


class Spools:
    """What the machines said in each partition, for one session of the worker; used by its thread alone.

    What a machine acknowledged before its word's `at` stands before that word in the partition. So a marker counts up
    to the least `at` of the words that were read before it. A machine makes itself known by its first word, before
    it keeps anything back; its row stands before that word is acknowledged to the broker.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[Rows]], clock: Clock, patience: int) -> None:
        self._transaction = transaction
        self._clock = clock
        self._patience = patience / _SECOND
        self._said: dict[int, dict[str, int]] = {}
        self._latest: dict[str, SpoolWord] = {}
        self._heard: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._passed: set[str] = set()
        self._saved: set[str] = set()
        self._unnoted: set[str] = set()
        self._silent: set[str] = set()
        self._noted = 0.0
        self.held: set[int] = set()
        """Partitions whose last marker counted only up to a machine's word."""

    def begin(self) -> None:
        """A new session: nothing was heard in it yet, so nobody is late yet."""
        for by_name in (self._said, self._latest, self._heard):
            by_name.clear()
        for names in (self._passed, self._saved, self._unnoted, self._silent, self.held):
            names.clear()

    def own(self, rows: Rows, partitions: Iterable[int]) -> bool:
        """Partitions were taken: who had them before may have read words. Whether any machine is waited for.

        Only markers that are sent from now on may be held against what the rows say: it is newer than earlier ones.
        """
        known = [row for row in spool_rows(rows) if row.state == "here"]
        for row in known:
            self._heard.setdefault(row.machine, stopwatch())
            self._saved.add(row.machine)
        for partition in partitions:
            self._said[partition] = {row.machine: row.at for row in known}
        return bool(known)

    def meet(self, words: Sequence[SpoolWord]) -> None:
        """Keep machines that are new, or leave; before their words are acknowledged."""
        met = {word.machine: word for word in words if word.leaving or word.machine not in self._saved}
        if not met:
            return
        with self._transaction() as rows:
            save_spools(rows, [self._row(word) for word in met.values()])
        for word in met.values():
            (self._saved.discard if word.leaving else self._saved.add)(word.machine)
            _log.info("spools.left" if word.leaving else "spools.met", machine=word.machine)

    def hear(self, word: SpoolWord) -> bool:
        """Take a word at its place among the deliveries; whether something that was held may go on now."""
        said = self._said.setdefault(word.partition, {})
        before = said.pop(word.machine, None)
        if not word.leaving:
            said[word.machine] = word.at
        if word.machine in self._passed:
            self._passed.discard(word.machine)
            _log.warning("spools.heard_again", machine=word.machine, waiting=word.waiting)
        self._heard[word.machine] = stopwatch()
        self._latest[word.machine] = word
        self._unnoted.add(word.machine)
        return word.partition in self.held and (word.leaving or before is None or word.at > before)

    def until(self, partition: int, at: int) -> int:
        """Up to when the waits of a partition may be raised, after a marker of an instant (µs)."""
        bound = self.bound(partition, at)
        (self.held.add if bound < at else self.held.discard)(partition)
        return bound

    def bound(self, partition: int, at: int) -> int:
        """Up to when everything stands before a place in a partition that was reached at an instant (µs)."""
        bound = at
        for machine, said in self._said.get(partition, {}).items():
            if said < bound and not self._passed_over(machine):
                bound = said
                self._tell(machine, at - said)
        return bound

    def note(self) -> None:
        """Now and then: write what was said last, for whoever starts next and for people; heed who was given up."""
        if not self._heard or stopwatch() - self._noted < NOTE_EVERY:
            return
        with self._transaction() as rows:
            save_spools(rows, [self._row(self._latest[machine]) for machine in self._unnoted])
            for machine in self._silent:
                latest = self._latest.get(machine)
                pass_over(rows, machine, latest.number if latest is not None else None)
            given_up = {row.machine for row in spool_rows(rows) if row.state == "passed"}
        self._noted = stopwatch()
        self._unnoted.clear()
        self._silent.clear()
        for machine in given_up - self._passed:
            _log.warning("spools.given_up", machine=machine)
        self._passed |= given_up
        self._saved -= given_up  # its next word is written before it counts as heard

    def _passed_over(self, machine: str) -> bool:
        if machine in self._passed:
            return True
        silent = stopwatch() - self._heard.setdefault(machine, stopwatch())
        if silent <= self._patience:
            return False
        _log.error("spools.passed_over", machine=machine, silent_for=round(silent))
        self._passed.add(machine)
        self._silent.add(machine)
        return True

    def _tell(self, machine: str, behind: int) -> None:
        """Say once a minute that raises wait for a machine."""
        if stopwatch() - self._told.get(machine, -_TELL_EVERY) >= _TELL_EVERY:
            self._told[machine] = stopwatch()
            _log.warning("spools.raises_wait", machine=machine, behind=behind // _SECOND)

    def _row(self, word: SpoolWord) -> SpoolRow:
        state: State = "left" if word.leaving else "here"
        return SpoolRow(word.machine, word.number, word.at, self._clock.now(), word.waiting, state)
