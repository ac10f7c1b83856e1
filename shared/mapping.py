"""Files that are mapped into memory."""

from __future__ import annotations

import os


def allocate(file: int, size: int) -> None:
    """Give a file at least so many bytes, zeros at first, that the disk has put aside; raises OSError when it has not.

    Whoever writes through a mapping to a place that the disk has no room for is killed, by SIGBUS.
    """
    os.posix_fallocate(file, 0, size)
