"""Remembering over restarts which events were acted on: one identity a line, in a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.journeys import Seen

_LIMIT = 100_000


@contextmanager
def remembered(path: Path | None, limit: int = _LIMIT) -> Iterator[Seen]:
    """What is kept in the file, if there is one; each new identity is on the disk before its event is acknowledged."""
    if path is None:
        yield Seen(limit)
        return
    known = _known(path)[-limit:]
    _rewrite(path, known)
    with path.open("a", encoding="utf-8") as file:

        def keep(identity: str) -> None:
            file.write(f"{identity}\n")
            file.flush()
            os.fsync(file.fileno())

        yield Seen(limit, known, keep)


def _known(path: Path) -> list[str]:
    """The whole lines; what a crash left of the last one is no identity."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [line for line in lines[:-1] if line]


def _rewrite(path: Path, known: list[str]) -> None:
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.writelines(f"{identity}\n" for identity in known)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
