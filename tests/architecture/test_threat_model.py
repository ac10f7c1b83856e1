"""The threat model names tests as its proof: each must exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
DEFENCES = PAGE.partition("## 1. ")[2].partition("## What is not defended")[0]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: str) -> frozenset[str]:
    """The names of the functions that stand at the top of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def rows() -> list[str]:
    """The rows of the tables of threats, without their heads."""
    lines = [line for line in DEFENCES.splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith("| threat ")]


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = TEST.findall(PAGE)

    assert len(named) == PAGE.count("`tests/") == PAGE.count("::")
    assert {f"{path}::{name}" for path, name in named if name not in functions(path)} == set()
    assert all(name.startswith("test_") for _, name in named)


def test_every_threat_has_its_defence_and_a_test() -> None:
    assert len(rows()) >= 40
    assert [row for row in rows() if row.count(" | ") != 2 or not TEST.search(row.split(" | ")[2])] == []


def test_what_is_not_defended_is_said_with_its_reason() -> None:
    table = PAGE.partition("## What is not defended")[2]

    told = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(told) >= 10
    assert [line for line in told if line.count(" | ") != 1] == []
