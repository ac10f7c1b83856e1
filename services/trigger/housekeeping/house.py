"""What a duty of housekeeping is given, and what it is: a walk over old rows, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from services.trigger.registry import Registry
from services.trigger.store.cache import Cache
from services.trigger.store.rows import Rows
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class House:
    """Where a round takes place. `owned`: the worker's partitions, as they stand at each chunk. `now`: µs."""

    rows: Rows
    owned: Container[int]
    cache: Cache
    registry: Registry
    settings: Settings
    now: int


@dataclass(frozen=True, slots=True)
class Duty:
    """One kind of rows that is forgotten.

    `forget`: a generator. Each step of it runs in a transaction of its own that holds the fence, takes a few
    milliseconds, and yields how many rows went. It must yield after every chunk that it looked at, also when nothing
    went. `everywhere`: every worker does it, for the partitions that it owns; else the owner of partition 0 alone.
    """

    name: str
    forget: Callable[[House], Iterator[int]]
    everywhere: bool = False
