"""axe-core is fetched once, and only the pinned one is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import axe


@pytest.fixture
def not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A virtual environment without axe-core, a registry that cannot be reached, and an npm that the test writes."""
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(axe, "_PACKAGE", f"file://{tmp_path}/nothing-there.tgz")
    return tmp_path


def write_npm(folder: Path, does: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    (folder / "npm").chmod(0o755)


def test_another_package_than_the_pinned_one_is_not_used(not_kept: Path) -> None:
    write_npm(not_kept, 'echo other >"$4/axe-core.tgz"')

    with pytest.raises(axe.NotFetched, match="it is not used"):
        axe.script()

    assert not axe.kept_in().exists()


def test_a_registry_that_cannot_be_reached_is_told(not_kept: Path) -> None:
    write_npm(not_kept, "echo npm ERR! network >&2; exit 1")

    with pytest.raises(axe.NotFetched, match=r"can the npm registry be reached\?\nnpm ERR! network"):
        axe.script()


def test_without_npm_what_is_missing_is_told(not_kept: Path) -> None:
    assert "nothing-there.tgz" in str(axe.available())
    assert "npm may know how" in str(axe.available())


def test_the_registry_itself_is_asked_first(not_kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npm(not_kept, "exit 1")
    (not_kept / "other.tgz").write_bytes(b"other")
    monkeypatch.setattr(axe, "_PACKAGE", f"file://{not_kept}/other.tgz")

    with pytest.raises(axe.NotFetched, match="it is not used"):
        axe.script()


def test_what_was_fetched_before_needs_no_npm(not_kept: Path) -> None:
    axe.kept_in().parent.mkdir(parents=True)
    axe.kept_in().write_text("axe", encoding="utf-8")

    assert axe.available() is None
    assert axe.script() == "axe"
