"""The tests in a container that has the servers and the browser, for machines that have Docker and not these."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from services.cli.failures import Failed
from services.cli.options import ROOT

_IMAGE = "moments-tests"
_LEFT_OUT = {".venv", ".venv.lock", ".git", ".moments", ".dockerignore", "__pycache__", "build"}


def docker_answers() -> bool:
    """Whether there is a Docker engine that can be used."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30)
    return asked.returncode == 0


def run_in_container(arguments: tuple[str, ...]) -> int:
    """Build the image of the present work tree and run the tests in it; pytest's exit code."""
    command = ["docker", "build", "--quiet", "--network", "host", "-t", _IMAGE, "-"]
    built = subprocess.run(command, input=_context(), capture_output=True, check=False)
    if built.returncode:
        raise Failed(f"The image for the tests cannot be built:\n{built.stderr.decode(errors='replace')[-2000:]}")
    samples = os.environ.get("MOMENTS_SAMPLE_DATA")
    mounted = ("-v", f"{Path(samples).absolute()}:/samples:ro", "-e", "MOMENTS_SAMPLE_DATA=/samples") if samples else ()
    return subprocess.run(
        ["docker", "run", "--rm", "--init", *mounted, _IMAGE, *arguments], stdin=subprocess.DEVNULL, check=False
    ).returncode


def _context() -> bytes:
    """The work tree as an archive, without what is made from it; the Dockerfile is that of the tests."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in _files(ROOT):
            if path != ROOT / "Dockerfile":
                archive.add(path, arcname=str(path.relative_to(ROOT)), recursive=False)
        archive.add(ROOT / "tests" / "Dockerfile", arcname="Dockerfile")
    return content.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _LEFT_OUT or (path.name.startswith(".") and path.name.endswith("_cache")):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path
