"""Rules about where things may stand (ARCHITECTURE §1), read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.settings import documented_settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "shared", "services")


@cache
def sources() -> dict[str, ast.Module]:
    """Path from the root → the parsed module, of everything that ships."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imports(tree: ast.Module) -> Iterator[str]:
    """Every imported module, full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(module: str) -> set[str]:
    """The files that import a module or something in it."""
    return {
        path
        for path, tree in sources().items()
        if any(name == module or name.startswith(f"{module}.") for name in imports(tree))
    }


def calls(tree: ast.Module) -> Iterator[str]:
    """The dotted names that are called: `time.time`, `datetime.now`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_only_the_broker_package_knows_pika() -> None:
    assert all(path.startswith("shared/broker/") for path in importers("pika"))


def test_only_the_clock_module_reads_the_clock() -> None:
    readings = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
    readings |= {f"datetime.{name}" for name in readings if name.startswith("date")}

    guilty = {path for path, tree in sources().items() if readings & set(calls(tree))}

    assert guilty <= {"shared/clock.py"}


def test_peewee_models_stand_only_in_stores() -> None:
    def has_model(tree: ast.Module) -> bool:
        bases = (ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases)
        return any(base.split(".")[-1] in ("Model", "Row") or base.endswith("Model") for base in bases)

    guilty = {path for path, tree in sources().items() if has_model(tree)} & importers("peewee")

    assert all("/store" in path or path in ("shared/store.py", "shared/outbox.py") for path in guilty)


def test_peewee_is_imported_only_by_stores() -> None:
    allowed = ("shared/store.py", "shared/outbox.py")

    guilty = {path for path in importers("peewee") | importers("playhouse") if "/store" not in path}

    assert guilty <= set(allowed)


def test_only_settings_and_entry_points_read_the_environment() -> None:
    entries = ("wsgi.py", "worker.py", "shared/metrics.py")

    guilty = {
        path
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    }

    assert {path for path in guilty if not path.endswith(entries) and not path.startswith("services/cli/")} == set()


def test_nothing_prints_but_the_command_line() -> None:
    assert not {path for path, tree in sources().items() if "print" in set(calls(tree))}


@pytest.mark.parametrize("name", ["config", "signal", "types", "queue", "logging", "utils", "helpers", "common"])
def test_no_module_has_a_name_that_says_nothing_or_hides_a_standard_one(name: str) -> None:
    assert not [path for path in sources() if path.endswith(f"/{name}.py")]


def test_every_module_says_what_lives_in_it() -> None:
    silent = {path for path, tree in sources().items() if not ast.get_docstring(tree)}

    assert silent == set()


def test_no_two_test_files_of_one_name_hide_each_other() -> None:
    loose = [path for path in (ROOT / "tests").rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    names = [path.name for path in loose]

    assert sorted(set(names)) == sorted(names)


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

    for variable, default, help_ in documented_settings():
        assert f"| `{variable}` | {default or 'none'} | {help_} |" in page, variable


def test_every_command_is_in_the_readme_or_the_operations_page() -> None:
    from services.cli.program import moments

    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/operations.md"))

    for command in moments.list_commands(None):  # type: ignore[arg-type]
        shown = moments.get_command(None, command)  # type: ignore[arg-type]
        assert shown is not None
        assert shown.hidden or f"moments {command}" in pages, command


def test_every_template_is_on_the_page_about_templates() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "contracts" / "templates").glob("*.toml") if path.name != "settings.toml"]

    assert files
    assert [path.stem for path in files if f"`{path.stem}`" not in page] == []
