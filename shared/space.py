"""Whether there is room on the disks of the databases and of the embedded broker."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from shared.http import Check, NotReady

LEAST = 2_000_000
"""Bytes: with less, the next commits may fail."""
_KEPT_HERE = ("sqlite://", "embedded://")


def room_check(*urls: str) -> Check:
    """A condition of readiness; `urls`: of databases and the broker. What lies on servers is for these to tell."""
    folders = {folder for url in urls if (folder := _folder_of(url)) is not None}

    def check() -> None:
        for folder in sorted(folders):
            found = os.statvfs(folder)
            left = found.f_bavail * found.f_frsize
            if left < LEAST:
                raise NotReady(f"the disk is full: {left // 1000} kB are left")

    return check


def _folder_of(url: str) -> Path | None:
    for scheme in _KEPT_HERE:
        if url.startswith(scheme):
            return Path("/" + unquote(url.removeprefix(scheme)).lstrip("/")).parent
    return None
