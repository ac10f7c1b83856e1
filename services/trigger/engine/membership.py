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


def membership_of(signal: Signal) -> Membership:
    """The processes of a signal."""
    kind = signal.kind
    if kind.process is None:
        return _NOWHERE
    own: list[tuple[str, str]] = []
    every: list[str] = []
    given = process_id_of(signal)
    if given:
        own.append((kind.process, given))
    elif kind.every_process:
        every.append(kind.process)
    else:
        own.append((kind.process, default_process_id(signal)))
    if kind.also_browse:
        if signal.data.session_id:
            own.append((BROWSE, signal.data.session_id))
        else:
            every.append(BROWSE)
    return Membership(tuple(own), tuple(every), sum(LEVELS[name] for name in every))


def carries_site_before(process: Process, site: str | None, key: Key) -> bool:
    """Whether the process carries a signal of its own of that site ordered before `key`; no site means any."""
    if site is None:
        return any(first < key for first in process.sites.values())
    first = process.sites.get(site)
    return first is not None and first < key


KINDS_WITH_LEVELS = frozenset(CATALOGUE[name].process for name in CATALOGUE if CATALOGUE[name].every_process) | {BROWSE}
