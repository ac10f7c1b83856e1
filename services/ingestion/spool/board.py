"""What the processes of one machine tell each other about their spool at no cost: a few bytes that all of them map."""

from __future__ import annotations

import mmap
import os
import struct
from enum import IntEnum
from pathlib import Path

from shared.clock import stopwatch
from shared.mapping import allocate

_SIZE = 24
_MODE, _WISH, _LEASE = 0, 8, 16
_INSTANT = struct.Struct("<d")


class Mode(IntEnum):
    """What becomes of a new signal."""

    DIRECT = 0
    """The spool is empty: it goes to the broker."""
    FILLED = 1
    """It goes behind those in the spool."""
    CLOSING = 2
    """The last ones are leaving the spool: wait for a moment."""


class Board:
    """The bytes of one file. Instants are those of the stopwatch, which on one machine all processes share.

    `mode` and `wished` only save work: whether something may be put into the spool is decided in its database, where
    the lease is read and written under the lock.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        allocate(self._file, _SIZE)
        self._memory = mmap.mmap(self._file, _SIZE)

    def close(self) -> None:
        """Give the file back."""
        self._memory.close()
        os.close(self._file)

    @property
    def mode(self) -> Mode:
        """What becomes of a new signal."""
        return Mode(min(self._memory[_MODE], Mode.CLOSING))

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._memory[_MODE] = mode

    def wish(self) -> None:
        """Ask for the spool: no lease is to be renewed."""
        _INSTANT.pack_into(self._memory, _WISH, stopwatch())

    def wished(self, within: float) -> bool:
        """Whether somebody asked within so many seconds."""
        return 0 <= stopwatch() - self._instant(_WISH) <= within

    def lease(self, seconds: float) -> None:
        """Nothing is put into the spool for so long."""
        _INSTANT.pack_into(self._memory, _LEASE, stopwatch() + seconds)

    def lease_left(self, longest: float) -> float:
        """Seconds until something may be put into the spool.

        More than the longest lease can only be of before a restart of the machine, when its stopwatch began anew:
        one that was given just before may still hold, so it counts from now.
        """
        left = self._instant(_LEASE) - stopwatch()
        if left > longest:
            self.lease(longest)
            return longest
        return max(0.0, left)

    def _instant(self, place: int) -> float:
        return float(_INSTANT.unpack_from(self._memory, place)[0])
