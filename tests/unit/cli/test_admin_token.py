"""The token with which commands ask an installation."""

from __future__ import annotations

from pathlib import Path

from services.cli.administering import admin_token
from shared.settings import Settings

OTHER = "another-token-of-the-tests"


def settings(folder: Path, **more: str) -> Settings:
    return Settings.from_environment({"MOMENTS_DATA": str(folder), **more})


def test_a_command_makes_no_token_in_a_folder_named_by_mistake(tmp_path: Path) -> None:
    assert admin_token(None, settings(tmp_path / "typo")) == ""
    assert not (tmp_path / "typo").exists()


def test_the_token_given_comes_before_that_of_the_folder(tmp_path: Path) -> None:
    kept = settings(tmp_path).admin_token

    assert admin_token(None, settings(tmp_path)) == kept
    assert admin_token(None, settings(tmp_path, MOMENTS_ADMIN_TOKEN=OTHER)) == OTHER
    assert admin_token("mine", settings(tmp_path, MOMENTS_ADMIN_TOKEN=OTHER)) == "mine"
