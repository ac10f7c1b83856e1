"""Which processes a signal is part of (DOMAIN §2.2, §4)."""

from __future__ import annotations

from typing import NamedTuple

from contracts.signals import CATALOGUE, Key, Signal, default_process_id, process_id_of
from services.trigger.engine.state import Process

CART, BROWSE = "cart", "browse"
LEVELS = {CART: 1, BROWSE: 2}
"""Kind of process → bit of the kinds of which a signal belongs to every process of its profile."""


class Membership(NamedTuple):
    """`own`: (kind, process id) of the processes that the signal names; `every`: kinds of which it belongs to all
    processes of the profile that carry an earlier signal of its site; `level`: the bits of `every`."""

    own: tuple[tuple[str, str], ...]
    every: tuple[str, ...]
    level: int


_NOWHERE = Membership((), (), 0)
_EVERY = {kind: Membership((), (kind,), level) for kind, level in LEVELS.items()}


def membership_of(signal: Signal) -> Membership:
    """The processes of a signal."""
    kind = signal.kind
    if kind.process is None:
        return _NOWHERE
    named = _named(signal, kind.process)
    if not kind.also_browse:
        return named
    visit = _visit(signal)
    return Membership(named.own + visit.own, named.every + visit.every, named.level + visit.level)


def membership_in(signal: Signal, kind: str) -> Membership | None:
    """The processes of a signal that are of one kind, if it can have any."""
    if signal.kind.process == kind:
        return _named(signal, kind)
    return _visit(signal) if kind == BROWSE and signal.kind.also_browse else None


def _named(signal: Signal, process: str) -> Membership:
    given = process_id_of(signal)
    if not given:
        if signal.kind.every_process:
            return _EVERY[process]
        given = default_process_id(signal)
    return Membership(((process, given),), (), 0)


def _visit(signal: Signal) -> Membership:
    session = signal.data.session_id
    return Membership(((BROWSE, session),), (), 0) if session else _EVERY[BROWSE]


def carries_site_before(process: Process, site: str | None, key: Key) -> bool:
    """Whether the process carries a signal of its own of that site ordered before `key`; no site means any."""
    if site is None:
        return any(first < key for first in process.sites.values())
    first = process.sites.get(site)
    return first is not None and first < key


KINDS_WITH_LEVELS = frozenset(CATALOGUE[name].process for name in CATALOGUE if CATALOGUE[name].every_process) | {BROWSE}
