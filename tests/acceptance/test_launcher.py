"""The launcher over a small stand-in for the repository: first starts of every kind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.processes import wait_until

LAUNCHER = Path(__file__).resolve().parents[2] / "moments"
PROGRAM = "import sys\nprint('program', *sys.argv[1:])\n"

Start = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path, tools: Mapping[str, str] | None = None) -> dict[str, str]:
    """A PATH of its own with this Python, the tools every system has, and no uv; `tools` adds or replaces scripts."""
    programs = Path(mkdtemp(prefix="programs-", dir=folder))
    for name in ("sh", "cat", "cksum", "tr", "dirname", "readlink", "mkdir", "mv", "rm", "sleep"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    (programs / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    for name, text in (tools or {}).items():
        (programs / name).unlink(missing_ok=True)
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))}
    return {**kept, "PATH": str(programs)}


def make_repository(root: Path) -> Path:
    """A repository without requirements."""
    (root / "services" / "cli").mkdir(parents=True)
    (root / "services" / "__init__.py").touch()
    (root / "services" / "cli" / "__init__.py").touch()
    (root / "services" / "cli" / "__main__.py").write_text(PROGRAM)
    (root / "requirements.lock").write_text("# nothing\n")
    (root / "requirements-dev.lock").write_text("# nothing\n")
    shutil.copy(LAUNCHER, root / "moments")
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that was never started, in a folder with spaces in its name."""
    return make_repository(tmp_path / "a place with spaces")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that was started once; tests copy it."""
    folder = tmp_path_factory.mktemp("started")
    root = make_repository(folder / "root")
    subprocess.run([str(root / "moments")], env=environment(folder), capture_output=True, check=True)
    return root


@pytest.fixture
def installed(started: Path, repository: Path) -> Path:
    """The repository as after a first start."""
    shutil.copytree(started / ".venv", repository / ".venv", symlinks=True)
    return repository


@pytest.fixture
def start(repository: Path, tmp_path: Path) -> Start:
    def run(
        *arguments: str, program: Path = repository / "moments", tools: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *arguments],
            cwd=tmp_path,
            env=environment(tmp_path, tools),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_first_start_makes_the_environment_and_says_so_and_the_second_is_silent(start: Start) -> None:
    first = start("a", "b c")
    second = start("d")

    assert (first.returncode, first.stdout) == (0, "program a b c\n")
    assert "first start" in first.stderr
    assert "installing" in first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (0, "program d\n", "")


def test_it_works_through_a_symbolic_link(start: Start, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "m").symlink_to(Path("..") / installed.name / "moments")

    done = start("x", program=tmp_path / "links" / "m")

    assert (done.stdout, done.stderr) == ("program x\n", "")


def test_a_package_of_the_same_name_where_the_caller_stands_is_not_run(
    start: Start, installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "services" / "cli").mkdir(parents=True)
    (tmp_path / "services" / "cli" / "__main__.py").write_text("print('another program')")

    assert start("x").stdout == "program x\n"


def test_developers_commands_install_the_second_lock_too(start: Start, installed: Path) -> None:
    assert not (installed / ".venv" / "moments-requirements-dev.lock.sum").exists()

    done = start("test")

    assert "requirements-dev.lock" in done.stderr
    assert (installed / ".venv" / "moments-requirements-dev.lock.sum").exists()


def test_a_changed_lock_is_installed_again(start: Start, installed: Path) -> None:
    (installed / "requirements.lock").write_text("# still nothing\n")

    changed, again = start("up"), start("up")

    assert "installing" in changed.stderr
    assert "first start" not in changed.stderr
    assert again.stderr == ""


def test_a_failed_installation_is_told_and_done_again(start: Start, installed: Path) -> None:
    (installed / "requirements.lock").write_text("no-such-package-here @ file:///nowhere --hash=sha256:00\n")

    failed = start("up")
    (installed / "requirements.lock").write_text("# nothing\n")
    mended = start("up")

    assert failed.returncode == 1
    assert "failed" in failed.stderr
    assert mended.stdout == "program up\n"


def test_an_interrupted_first_start_is_done_anew(start: Start, repository: Path, tmp_path: Path) -> None:
    interrupted = subprocess.Popen(
        [str(repository / "moments"), "up"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until((repository / ".venv" / "bin").exists, "the environment to be begun")
    os.killpg(interrupted.pid, signal.SIGKILL)
    interrupted.wait()

    done = start("up")

    assert done.stdout == "program up\n", done.stderr
    assert "did not finish" in done.stderr
    assert not (repository / ".venv.lock").exists()


def test_two_first_starts_at_once_both_run(start: Start) -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(start, ["a", "b"])

    assert {first.stdout, second.stdout} == {"program a\n", "program b\n"}
    assert sum("first start" in done.stderr for done in (first, second)) == 1


def test_a_python_without_venv_names_the_package(start: Start) -> None:
    python = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n'

    done = start("up", tools={"python3": python})

    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_an_old_python_names_the_version_that_is_needed(start: Start) -> None:
    done = start("up", tools={"python3": "#!/bin/sh\nexit 1\n"})

    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
