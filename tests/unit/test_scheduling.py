"""How the tests are dealt out to processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.scheduling import in_order, scope_of

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_not_parted_and_the_browser_tests_stay_with_their_browser() -> None:
    names = ["tests/unit/test_a.py::test_one[x::y]", "tests/unit/test_a.py::test_two", "tests/browser/test_b.py::test"]

    assert [scope_of(name) for name in names] == ["tests/unit/test_a.py", "tests/unit/test_a.py", "tests/browser"]


def test_what_takes_long_begins_first_and_the_rest_stays_in_order() -> None:
    names = ["tests/unit/b.py::b", "tests/unit/a.py::a", "tests/integration/c.py::c", "tests/acceptance/d.py::d"]
    names.append("tests/acceptance/test_shop_log.py::e")

    assert [names[place] for place in in_order(names)] == [names[4], names[3], names[2], names[0], names[1]]


def test_the_tests_are_dealt_out_so(tmp_path: Path) -> None:
    """By the real pytest: two short files come after the long one, though they hold more tests."""
    folders = {"tests/acceptance": 1, "tests/unit": 3, "tests/contract": 2}
    for folder, count in folders.items():
        (tmp_path / folder).mkdir(parents=True)
        tests = "".join(f"def test_{number}(): pass\n" for number in range(count))
        (tmp_path / folder / f"test_{folder[6:]}.py").write_text(tests)
    command = ["-P", "-m", "pytest", "-p", "tests.support.scheduling", "-v", "-n", "1", "--dist", "loadfile"]

    ran = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider", "--rootdir", ".", "--import-mode=importlib", "tests"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    order = [line.split("tests/")[1].split("/")[0] for line in ran.stdout.splitlines() if " PASSED " in line]
    assert order == ["acceptance", "contract", "contract", "unit", "unit", "unit"], ran.stdout + ran.stderr
