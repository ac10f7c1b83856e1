"""Token buckets in a file that all processes of ingestion map: what one of them has let through counts for all.

A bucket lies in one of the four places that its name's hash gives. A new one takes the place of that which was not
taken from for longest: it is the likeliest to be full, and a full bucket and none at all mean the same. Names are not
kept, only 64 bits of their hash under a key: without it nobody finds an address by trying all.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from shared.mapping import allocate

_SLOT = struct.Struct("<Qdd")
_WAYS = 4
_SETS = 16_384
_SET = _WAYS * _SLOT.size
_GROUP = 64
_DUST = 1e-6  # what is lost in rounding
AHEAD = 0.005
_MOST_HELD = 4_096


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second; `burst` at once after a pause. A `per_second` of 0 limits nothing."""

    per_second: float
    burst: float


class Buckets:
    """The buckets of one file, four in each of `sets`; made when it is not there. For all threads and processes.

    `key`: of the hash of names; the same in all processes of the file.
    """

    def __init__(self, path: Path, sets: int = _SETS, *, key: bytes = b"") -> None:
        self._key = blake2b(key, digest_size=32).digest()
        size = sets * _SET
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        allocate(self._file, size)
        self._memory = mmap.mmap(self._file, size)
        self._sets = sets
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the file back."""
        self._memory.close()
        os.close(self._file)

    def take(self, name: str, rate: Rate, now: float, cost: float = 1.0) -> float:
        """Take `cost` from the bucket of a name; 0 when it was there, else the seconds until it will be: none is taken.

        `now`: seconds on a clock that all processes share. What costs more than the burst is let through when the
        bucket is full, and empties it below zero: it can never be there otherwise.
        """
        if rate.per_second <= 0:
            return 0.0
        mark = self._mark(name)
        offset = mark % self._sets * _SET
        with self._locked(_SET, offset):
            return self._taken(offset, mark, rate, now, cost)

    def take_each(self, names: Sequence[str], rate: Rate, now: float) -> list[float]:
        """As `take` of one for each name in turn, with one look at the locks for some dozens of them."""
        if rate.per_second <= 0:
            return [0.0] * len(names)
        if len(names) == 1:  # the locks of the others need not be waited for
            return [self.take(names[0], rate, now)]
        marks, waits = [self._mark(name) for name in names], list[float]()
        for first in range(0, len(marks), _GROUP):
            with self._locked(self._sets * _SET, 0):
                group = marks[first : first + _GROUP]
                waits += [self._taken(mark % self._sets * _SET, mark, rate, now, 1.0) for mark in group]
        return waits

    def _mark(self, name: str) -> int:
        digest = blake2b(name.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") or 1

    @contextmanager
    def _locked(self, size: int, offset: int) -> Iterator[None]:
        """Part of the file is this thread's alone.

        A process holds one part or waits for one, never both: the kernel takes its threads for one and would see a
        deadlock where there is none.
        """
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX, size, offset)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, size, offset)

    def _taken(self, offset: int, mark: int, rate: Rate, now: float, cost: float) -> float:
        slot, held, at = self._find(offset, mark, rate, now)
        tokens = min(rate.burst, held + max(0.0, now - at) * rate.per_second)
        needed = min(cost, rate.burst)
        if tokens < needed - _DUST:
            return (needed - tokens) / rate.per_second
        _SLOT.pack_into(self._memory, slot, mark, tokens - cost, now)
        return 0.0

    def _find(self, offset: int, mark: int, rate: Rate, now: float) -> tuple[int, float, float]:
        """Where the bucket lies or may lie, what it held and when; a clock that was set back counts from now."""
        oldest, oldest_at = offset, float("inf")
        for slot in range(offset, offset + _SET, _SLOT.size):
            found, tokens, at = _SLOT.unpack_from(self._memory, slot)
            if found == mark:
                return slot, tokens, min(at, now)
            if at < oldest_at:
                oldest, oldest_at = slot, at
        return oldest, rate.burst, now


class Advances:
    """Buckets of which a process takes somewhat more than it needs, so that it seldom asks for the file's locks.

    For names that a whole site shares; where little is let through nothing is taken ahead. Beside what the bucket
    lets through at once, each process may so let through `AHEAD` seconds' worth that it took before.
    """

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}

    def take(self, name: str, rate: Rate, now: float, cost: float = 1.0) -> float:
        """As `Buckets.take`."""
        advance = rate.per_second * AHEAD
        if advance < 2 * cost:
            return self._buckets.take(name, rate, now, cost)
        with self._lock:
            held = self._held.get(name, 0.0)
            if held < cost:
                if self._buckets.take(name, rate, now, advance):
                    return self._buckets.take(name, rate, now, cost)
                if len(self._held) >= _MOST_HELD:
                    self._held.clear()
                held += advance
            self._held[name] = held - cost
        return 0.0
