"""Applying one accepted signal to every process that it is part of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Protocol

from contracts.signals import Signal
from services.trigger.engine.aftermath import recovered_value
from services.trigger.engine.apply import Entry, Rules, apply_newest, apply_with_history, needs_history
from services.trigger.engine.compact import compact, is_long
from services.trigger.engine.effects import Effects, ProcessKey
from services.trigger.engine.membership import KINDS_WITH_LEVELS, Membership, carries_site_before
from services.trigger.engine.state import Process


class ProfileId(NamedTuple):
    """A customer of a configuration."""

    configuration: str
    id_type: str
    profile: str


def profile_of(signal: Signal) -> ProfileId:
    """The profile of a signal."""
    return ProfileId(signal.configuration, signal.id_type, signal.profile)


class Shelf(Protocol):
    """Where processes stand while signals are applied."""

    def process(self, profile: ProfileId, kind: str, process_id: str) -> tuple[ProcessKey, Process]:
        """The process, made when it is new."""

    def siblings(self, profile: ProfileId, kind: str) -> Iterable[tuple[ProcessKey, Process]]:
        """Every process of that kind of the profile."""

    def level_entries(self, profile: ProfileId, kind: str) -> list[Entry]:
        """The profile's signals that belong to every process of that kind."""

    def history(self, process: Process) -> list[Entry]:
        """The entries of the process, in order, with their signals."""

    def touch(self, key: ProcessKey) -> None:
        """The process was changed."""


class RuleBook(Protocol):
    """The rules by configuration and kind of process."""

    def rules(self, configuration: str, kind: str) -> Rules:
        """What holds for that kind of process."""


def apply_signal(
    shelf: Shelf, entry: Entry, profile: ProfileId, membership: Membership, book: RuleBook, effects: Effects
) -> None:
    """Apply a signal that was not applied before (DOMAIN §6.8 is the caller's)."""
    signal = entry.signal
    for kind, process_id in membership.own:
        key, process = shelf.process(profile, kind, process_id)
        rules = book.rules(signal.configuration, kind)
        joining = _joining_levels(shelf, profile, kind, process, signal)
        _apply(shelf, key, process, kind, entry, rules, effects, own=True)
        for level in joining:
            _apply(shelf, key, process, kind, level, rules, effects, own=False)
    for kind in membership.every:
        rules = book.rules(signal.configuration, kind)
        for key, process in shelf.siblings(profile, kind):
            if carries_site_before(process, signal.site, signal.key):
                _apply(shelf, key, process, kind, entry, rules, effects, own=False)


def _joining_levels(shelf: Shelf, profile: ProfileId, kind: str, process: Process, signal: Signal) -> list[Entry]:
    """The profile's signals that become part of a process because this one carries their site before them."""
    if kind not in KINDS_WITH_LEVELS:
        return []
    known = process.sites.get(signal.site or "")
    if known is not None and known < signal.key:
        return []
    return [
        level
        for level in shelf.level_entries(profile, kind)
        if level.signal.key > signal.key
        and (level.signal.site is None or level.signal.site == signal.site)
        and not carries_site_before(process, level.signal.site, level.signal.key)
    ]


def _apply(
    shelf: Shelf,
    key: ProcessKey,
    process: Process,
    kind: str,
    entry: Entry,
    rules: Rules,
    effects: Effects,
    *,
    own: bool,
) -> None:
    recovered = len(effects.recoveries)
    if needs_history(process, entry.signal.key, rules):
        apply_with_history(process, key, entry, shelf.history(process), rules, effects, own=own)
    else:
        apply_newest(process, key, entry, rules, effects, own=own)
    if len(effects.recoveries) > recovered:
        history = [known.signal for known in shelf.history(process)]
        value = recovered_value(process, kind, history, entry.signal)
        effects.recoveries[recovered:] = [replace(found, value=value) for found in effects.recoveries[recovered:]]
    effects.applied(key, process, entry)
    if is_long(process):
        compact(process, kind, shelf.history(process), rules)
    shelf.touch(key)
