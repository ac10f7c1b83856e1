"""The npm packages that tests run unmodified: installed once, pinned by a lock file with their hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "clients"
_PINNED = ("package.json", "package-lock.json")
_PATIENCE = 180.0
_TRIES = 3


class NotInstalled(Exception):
    """The packages could not be had."""


def kept_in() -> Path:
    """Where they are kept: in the virtual environment, a folder for each state of the lock file."""
    pinned = b"".join((PROJECT / name).read_bytes() for name in _PINNED)
    return Path(sys.prefix) / "share" / f"npm-clients-{hashlib.sha256(pinned).hexdigest()[:16]}"


def available() -> str | None:
    """None when the packages are here or can be installed now, else what is missing."""
    try:
        folder()
    except NotInstalled as error:
        return f"the clients for Node that tests run cannot be had ({error})"
    return None


def folder() -> Path:
    """The folder that holds `node_modules`, filled on first use; raises NotInstalled."""
    found = kept_in()
    if not found.exists():
        missing = [program for program in ("node", "npm") if shutil.which(program) is None]
        if missing:
            raise NotInstalled(f"{' and '.join(missing)} not installed: Debian packages nodejs and npm")
        _install(found)
    return found


def _install(place: Path) -> None:
    """Two test processes may install at the same time; the first that is done puts a whole folder there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as name:
        draft = Path(name) / "whole"
        draft.mkdir()
        for pinned in _PINNED:
            shutil.copyfile(PROJECT / pinned, draft / pinned)
        said = ""
        for _ in range(_TRIES):
            said = _npm_ci(draft)
            if not said:
                break
        else:
            raise NotInstalled(f"npm ci failed; can the npm registry be reached?\n{said[-1000:]}")
        try:
            draft.rename(place)
        except OSError:
            if not place.exists():
                raise


def _npm_ci(draft: Path) -> str:
    """Empty when it went well, else what npm said. No script of a package is run."""
    command = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command,
            cwd=draft,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm did not end within {_PATIENCE:.0f} s"
    return (done.stderr or done.stdout or "no reason given") if done.returncode else ""
