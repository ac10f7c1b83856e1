"""A template that is made up for the tests: one file, as an operator would write it."""

from __future__ import annotations

from pathlib import Path

TYPE = "level_stuck"
DECLARATION = """
type = "level_stuck"
title = "Level Stuck"
icon = "puzzle"
purpose = "win_back"
goal = "Help a player who is stuck in a level."
description = "The player has not got on for a while."
sentence = "Raise when {duration} have passed since the last progress, in a {tone} tone."
rule = "inactivity"
process = "game"
opens = ["game/start"]
slides = ["game/update"]
completes = ["game/complete"]

[settings.duration]
default = "PT10M"
maximum = "PT1H"

[settings.tone]
type = "choice"
label = "Tone"
default = "kind"
choices = ["kind", "cheeky"]
help = "How the journey speaks."
"""


def folder_with(folder: Path, text: str = DECLARATION, name: str = TYPE) -> Path:
    """The folder, with one declaration in it."""
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder
