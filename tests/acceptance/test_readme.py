"""The walk in the README, run as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import ROOT, Up, environment
from tests.support.processes import free_port_base


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A running installation."""
    made = Up(tmp_path / "data", free_port_base())
    made.start()
    yield made
    made.stop()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_walk_of_the_readme_ends_with_a_moment(up: Up) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    script = "set -eu\n" + "".join(blocks).replace(".moments/", f"{up.data}/")
    for offset in range(3):
        script = script.replace(f"127.0.0.1:{8081 + offset}", f"127.0.0.1:{up.port_base + offset}")

    done = subprocess.run(["sh", "-c", script], env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Blue mug" in done.stdout.splitlines()[-1]
