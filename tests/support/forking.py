"""Processes of a program that is loaded once: `python -m tests.support.forking MODULE` forks one for each line it gets.

Loading the worker takes most of the processor time of its start, and tests start hundreds. What is forked is a process
like any other, with its own environment, memory and end; only its program was read before.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Forked:
    """A forked process, with what a test asks of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = threading.Event()
        self._code = 0

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._code if self._ended.is_set() else None

    def wait(self, timeout: float = 60) -> int:
        """Wait for its end; its exit code."""
        assert self._ended.wait(timeout), f"the process {self.pid} does not end"
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def end(self, code: int) -> None:
        """Note its end."""
        self._code = code
        self._ended.set()


class Forge:
    """A process that has loaded a module, and forks."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forking", module],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()  # one asks at a time
        self._born = threading.Condition()
        self._processes: dict[int, Forked] = {}
        self._last: Forked | None = None
        threading.Thread(target=self._listen, daemon=True, name="forge").start()

    def start(self, environ: Mapping[str, str], log: Path) -> Forked:
        """A new process in an environment; what it prints is appended to a file."""
        with self._lock, self._born:
            assert self._process.stdin is not None
            self._last = None
            self._process.stdin.write(json.dumps([dict(environ), str(log)]).encode() + b"\n")
            self._process.stdin.flush()
            self._born.wait_for(lambda: self._last is not None, timeout=60)
            assert self._last is not None, "nothing was forked"
            return self._last

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                pid, code = json.loads(line)
                with self._born:
                    self._told(pid, code)

    def _told(self, pid: int, code: int | None) -> None:
        if code is None:
            self._processes[pid] = self._last = Forked(pid)
            self._born.notify_all()
        else:
            self._processes.pop(pid).end(code)

    def close(self) -> None:
        """End it; processes that it forked go on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)


@cache
def forge_of(module: str) -> Forge:
    """The one forge of a module in this process; it ends with it."""
    forge = Forge(module)
    atexit.register(forge.close)
    return forge


def _tell(pid: int, code: int | None) -> None:
    os.write(1, json.dumps([pid, code]).encode() + b"\n")


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(pid, os.waitstatus_to_exitcode(status))


def _become(environ: Mapping[str, str], log: str) -> None:
    """In the child: stand as a process does that was started anew."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environ)
    nothing, printed = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(nothing, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.closerange(3, 64)


def _forked() -> bool:
    """Fork for each line of the standard input; True in a child, False at the end of the input."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    asked = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1_000)
            _reap()
        if 0 not in ready:
            continue
        read = os.read(0, 65_536)
        if not read:
            return False
        *lines, asked = (asked + read).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                _become(*json.loads(line))
                return True
            _tell(pid, None)


if __name__ == "__main__":
    loaded = import_module(sys.argv[1])
    gc.freeze()
    if _forked():
        loaded.main()
