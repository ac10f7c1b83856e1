"""A disk of a few megabytes that a test fills and empties."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PIECE = 4096


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A folder that is a disk of its own."""

    folder: Path

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(_PIECE)) == _PIECE:
                    pass
            except OSError:
                return

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """One at a folder that is made; skips the test where nobody may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "moments-test", str(folder)),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True, timeout=20)
