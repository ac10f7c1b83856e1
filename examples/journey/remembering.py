"""Remembering over restarts which events were acted on: one identity a line, in a file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from contracts.journeys import Seen

_LIMIT = 100_000


@contextmanager
def remembered(path: Path | None, limit: int = _LIMIT) -> Iterator[Seen]:
    """What is kept in the file, if there is one; each new identity is on the disk before its event is acknowledged."""
    if path is None:
        yield Seen(limit)
        return
    journal = _Journal(path, limit)
    try:
        yield Seen(limit, journal.latest, journal.keep)
    finally:
        journal.close()


class _Journal:
    """The file: `limit` identities when it is opened or grew to twice as many, and those since."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self.latest = deque(_known(path), maxlen=limit)
        self._file = self._rewritten()

    def keep(self, identity: str) -> None:
        """Write one more identity down."""
        self._file.write(f"{identity}\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.latest.append(identity)
        self._added += 1
        if self._added == self.latest.maxlen:
            self._file.close()
            self._file = self._rewritten()

    def close(self) -> None:
        """No more is kept."""
        self._file.close()

    def _rewritten(self) -> TextIO:
        draft = self._path.with_name(f".{self._path.name}.new")
        file = draft.open("w", encoding="utf-8")
        file.writelines(f"{identity}\n" for identity in self.latest)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(self._path)
        self._added = 0
        return file


def _known(path: Path) -> list[str]:
    """The whole lines; what a crash left of the last one is no identity."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [line for line in lines[:-1] if line]
