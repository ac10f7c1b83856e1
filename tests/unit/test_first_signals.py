"""The first things that a process reads may come at once, on all its threads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from services.cli.options import ROOT

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
import msgspec
from services.ingestion.shapes import SHAPES
from services.trigger.about import profile_in
from shared.broker.embedded.writer import read_queue
together = threading.Barrier(8)

def read(work):
    together.wait()
    for _ in range(20):
        try:
            work()
        except msgspec.ValidationError:
            pass

def read_all():
    for shape in SHAPES.values():
        read(lambda: msgspec.convert({"items": [{"productId": "p"}], "site": "x"}, shape.struct))
    read(lambda: profile_in({}))
    read(lambda: read_queue("{}"))

threads = [threading.Thread(target=read_all) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
LEARNT = {
    "contracts/description/examples.py": {"SignalEvent"},
    "services/ingestion/fields.py": {"Instant"},
    "services/ingestion/reading.py": {"Envelope", "shape.struct"},
    "services/trigger/about.py": {"_Data"},
    "services/trigger/api/cursors.py": {"place"},
}
"""What is read by its type as it is needed: no struct, or one that is learnt while its module is loaded."""


def test_threads_that_read_the_first_signals_at_once_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_struct_is_learnt_while_modules_are_loaded_and_not_when_threads_read_it() -> None:
    paths = [path for folder in ("contracts", "shared", "services") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): set(_read_as_needed(path)) for path in paths}

    assert {path: types for path, types in found.items() if types} == LEARNT


def _read_as_needed(path: Path) -> Iterator[str]:
    """The types that functions name to msgspec, plain ones aside."""
    text = path.read_text()
    for function in ast.walk(ast.parse(text)) if "msgspec." in text else ():
        if isinstance(function, ast.FunctionDef | ast.Lambda):
            yield from (kind for kind in _types_named(function) if kind.partition("[")[0] not in ("str", "dict"))


def _types_named(function: ast.AST) -> Iterator[str]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("msgspec."):
            yield from (ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "type")
            if call.func.attr == "convert" and len(call.args) > 1:  # type: ignore[attr-defined]
                yield ast.unparse(call.args[1])
