"""Starts programs as children, starts a crashed one again with a growing pause, and stops them all without a rest."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from contracts.times import SECOND
from shared.clock import Clock

FIRST_PAUSE = SECOND // 2
LONGEST_PAUSE = 30 * SECOND
STEADY = 60 * SECOND
GRACE = 10 * SECOND
LARGEST_LOG = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs. `log`: the file that takes its output; None leaves it at the terminal."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path | None = None


@dataclass(slots=True)
class Child:
    """A program and its present process; instants in µs."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: int = 0
    start_at: int = 0
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Crash:
    """A child ended by itself: how often in a row by now, and how in words."""

    name: str
    times: int
    ending: str


class Wake:
    """Wakes the supervisor's wait at SIGINT, SIGTERM, SIGHUP and SIGCHLD; tells which stop signals came."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._former: dict[int, object] = {}
        self._former_fd = -1

    def __enter__(self) -> Wake:
        self._former_fd = signal.set_wakeup_fd(self._writer.fileno())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._former[number] = signal.signal(number, self._stop)
        self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._former_fd)
        self._reader.close()
        self._writer.close()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def wait(self, seconds: float) -> None:
        """Return after that time, or at the next signal."""
        if select.select([self._reader], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                self._reader.recv(4096)


@dataclass(slots=True)
class Supervisor:
    """The children of one `moments up`. Used by one thread."""

    clock: Clock
    say: Callable[[str], None]
    children: dict[str, Child] = field(default_factory=dict)

    def add(self, program: Program) -> None:
        """Start one more program."""
        child = self.children[program.name] = Child(program)
        self._start(child)

    def look_after(self) -> list[Crash]:
        """Start again what crashed, when its pause is over; returns the crashes found now."""
        crashes = []
        for child in self.children.values():
            if child.process is not None and _has_ended(child.process):
                crashes.append(self._bury(child, child.process))
            if child.process is None and self.clock.now() >= child.start_at:
                self._start_again(child)
            if child.program.log is not None:
                shorten(child.program.log)
        return crashes

    def run(self, wake: Wake) -> None:
        """Look after the children until a stop signal."""
        while not wake.stops:
            self.look_after()
            start = min((child.start_at for child in self.children.values() if child.process is None), default=None)
            wake.wait(5.0 if start is None else max(0.0, min(5.0, (start - self.clock.now()) / SECOND)))

    def pid(self, name: str) -> int | None:
        """The process of a child, while it runs."""
        process = self.children[name].process
        return process.pid if process else None

    def stop(self, wake: Wake) -> None:
        """End every child: SIGTERM, and SIGKILL to what is left of it after ten seconds or a second stop signal."""
        running = [child.process for child in self.children.values() if child.process is not None]
        for process in running:
            _signal_group(process.pid, signal.SIGTERM, leader_only=True)
        stops, until = wake.stops, self.clock.now() + GRACE
        while any(not _has_ended(process) for process in running):
            if self.clock.now() >= until or wake.stops > stops:
                break
            wake.wait(0.1)
        for process in running:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()
        for child in self.children.values():
            child.process = None

    def _start(self, child: Child) -> None:
        program = child.program
        with _output_of(program) as output:
            child.process = subprocess.Popen(
                (sys.executable, "-m", "services.cli.child", str(os.getpid()), *program.command),
                cwd=program.folder,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if program.log else None,
                start_new_session=True,
            )
        child.started_at = self.clock.now()

    def _start_again(self, child: Child) -> None:
        """Start what crashed; when that fails, as on a full disk, later."""
        try:
            self._start(child)
        except OSError as error:
            child.start_at = self.clock.now() + LONGEST_PAUSE
            self.say(f"{child.program.name} cannot be started now: {error.strerror}")

    def _bury(self, child: Child, process: subprocess.Popen[bytes]) -> Crash:
        """Take what is left of a crashed child away and set the instant of its next start."""
        _signal_group(process.pid, signal.SIGKILL)
        ending = _ending(process.wait())
        child.process = None
        now = self.clock.now()
        child.crashes = 1 if now - child.started_at >= STEADY else child.crashes + 1
        pause = min(FIRST_PAUSE * 2 ** min(child.crashes - 1, 10), LONGEST_PAUSE)
        child.start_at = now + pause
        log = f" Its log: {child.program.log}" if child.program.log else ""
        self.say(f"{child.program.name} {ending} and starts again in {pause / SECOND:g} s.{log}")
        return Crash(child.program.name, child.crashes, ending)


class _Inherited:
    """The terminal, for a child without a log file."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _output_of(program: Program) -> IO[bytes] | _Inherited:
    if program.log is None:
        return _Inherited()
    program.log.parent.mkdir(parents=True, exist_ok=True)
    return program.log.open("ab")


def shorten(log: Path) -> None:
    """Move what a log holds to `….log.1` when it has grown large; the child goes on writing into the same file.

    On a full disk it is not moved, and goes: there its place is needed more.
    """
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        older = log.with_suffix(".log.1")
        try:
            shutil.copyfile(log, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(log, 0)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended, without taking its exit status away: its process group cannot be another's meanwhile."""
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _signal_group(pid: int, number: signal.Signals, *, leader_only: bool = False) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if leader_only:
            os.kill(pid, number)
        else:
            os.killpg(pid, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"stopped unexpectedly (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was killed ({name})"


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, for a person who has to see why a child does not start."""
    try:
        text = log.read_bytes()[-20_000:].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def ports_taken(host: str, ports: Sequence[int]) -> dict[int, str]:
    """The ports that cannot be listened on, with the system's reason."""
    taken = {}
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                taken[port] = error.strerror or str(error)
            except OverflowError:
                taken[port] = "there are only 65535 ports"
    return taken
