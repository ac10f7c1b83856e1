"""The import contracts of pyproject.toml hold (ARCHITECTURE §1)."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_import_contracts_hold() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_cover_what_the_architecture_demands() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    names = {contract["name"] for contract in document["tool"]["importlinter"]["contracts"]}

    assert names >= {
        "Services never import each other",
        "Contracts are pure and import nothing of ours",
        "Shared plumbing never imports a service",
        "The engine imports contracts and the standard library only",
        "Only shared.broker knows pika",
    }
