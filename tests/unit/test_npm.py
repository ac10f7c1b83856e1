"""The packages of npm that tests run are installed once, whole, and only as they are pinned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import npm


@pytest.fixture
def not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A virtual environment without the packages, and programs that the test writes."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(path) if (path := programs / name).exists() else None)
    return programs


def write(programs: Path, **does: str) -> None:
    for name, script in does.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)


def test_without_node_what_is_missing_is_told(not_kept: Path) -> None:
    assert "node and npm not installed" in str(npm.available())


def test_what_npm_could_not_finish_is_told_and_not_kept(not_kept: Path) -> None:
    write(not_kept, node="exit 0", npm="mkdir node_modules; echo npm ERR! EINTEGRITY >&2; exit 1")

    with pytest.raises(npm.NotInstalled, match="EINTEGRITY"):
        npm.folder()

    assert list((not_kept.parent / "share").iterdir()) == []


def test_what_is_installed_is_kept_for_the_next_run(not_kept: Path) -> None:
    write(not_kept, node="exit 0", npm='echo "$@" >>called; mkdir -p node_modules')

    first = npm.folder()
    write(not_kept, npm="exit 1")

    assert npm.folder() == first
    assert (first / "called").read_text().startswith("ci --ignore-scripts")
    assert (first / "package-lock.json").read_bytes() == (npm.PROJECT / "package-lock.json").read_bytes()
    assert npm.available() is None


def test_every_package_is_pinned_by_its_hash_and_comes_from_the_registry() -> None:
    lock = json.loads((npm.PROJECT / "package-lock.json").read_bytes())
    wanted = json.loads((npm.PROJECT / "package.json").read_bytes())["dependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert lock["packages"][""]["dependencies"] == wanted
    assert all(version == packages[f"node_modules/{name}"]["version"] for name, version in wanted.items())
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert package["resolved"].startswith("https://registry.npmjs.org/"), name
