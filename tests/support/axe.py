"""axe-core, which finds faults of accessibility: fetched once, pinned by its hash, never part of the product.

It is taken from the npm registry itself; where that cannot be reached as it is, npm knows the way of this machine.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

VERSION = "4.14.1"
_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
_PACKAGE = f"https://registry.npmjs.org/axe-core/-/axe-core-{VERSION}.tgz"
_PATIENCE = 120.0
_PATIENCE_OF_REGISTRY = 20.0
_TRIES = 3


class NotFetched(Exception):
    """axe-core could not be had."""


def kept_in() -> Path:
    """Where the script is kept: in the virtual environment, beside the other things that are fetched for tests."""
    return Path(sys.prefix) / "share" / f"axe-core-{VERSION}.js"


def available() -> str | None:
    """None when the script is here or can be fetched now, else what is missing."""
    try:
        script()
    except NotFetched as error:
        return f"axe-core, for the tests of accessibility, cannot be fetched ({error}); npm may know how"
    return None


def script() -> str:
    """The text of the script, fetched on first use; raises NotFetched."""
    path = kept_in()
    if not path.exists():
        _keep(path, script_of(_fetch()))
    return path.read_text(encoding="utf-8")


def script_of(package: bytes) -> bytes:
    """The script in a package, whose hash is checked; raises NotFetched."""
    found = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if found != _SHA512:
        raise NotFetched(f"axe-core {VERSION} came with the SHA-512 {found}, not {_SHA512}: it is not used")
    with tempfile.TemporaryFile() as file:
        file.write(package)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            return member.read()


def _fetch() -> bytes:
    try:
        with urllib.request.urlopen(_PACKAGE, timeout=_PATIENCE_OF_REGISTRY) as answer:
            found: bytes = answer.read()
            return found
    except OSError as error:
        if shutil.which("npm") is None:
            raise NotFetched(f"{_PACKAGE}: {error}") from error
        return _fetch_by_npm()


def _fetch_by_npm() -> bytes:
    with tempfile.TemporaryDirectory(prefix="moments-axe-") as folder:
        command = ["npm", "pack", f"axe-core@{VERSION}", "--pack-destination", folder, "--ignore-scripts"]
        said = ""
        for _ in range(_TRIES):
            said = _run(command, folder)
            packages = list(Path(folder).glob("*.tgz"))
            if packages:
                return packages[0].read_bytes()
        raise NotFetched(f"{' '.join(command)} brought nothing; can the npm registry be reached?\n{said[-1000:]}")


def _run(command: list[str], folder: str) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"npm did not answer within {_PATIENCE:.0f} s"
    return done.stderr


def _keep(path: Path, content: bytes) -> None:
    """Two test processes may fetch at the same time; each puts a whole file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
