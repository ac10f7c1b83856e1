"""The first signals of a process may come at once, on all its threads."""

from __future__ import annotations

import subprocess
import sys

from services.cli.options import ROOT

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
import msgspec
from services.ingestion.shapes import SHAPES
together = threading.Barrier(8)

def read():
    for shape in SHAPES.values():
        together.wait()
        for _ in range(20):
            try:
                msgspec.convert({"items": [{"productId": "p"}], "site": "x"}, shape.struct)
            except msgspec.ValidationError:
                pass

threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_read_the_first_signals_at_once_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
