"""The supervisor over real processes: crash, restart, stop, and its own death."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.times import SECOND
from services.cli.options import ROOT
from services.cli.supervisor import LARGEST_LOG, STEADY, Program, Supervisor, Wake, ports_taken, tail
from shared.clock import SystemClock
from tests.support.processes import wait_until

SLEEPER = "import time\nprint('started', flush=True)\ntime.sleep(600)"


class SteerableClock:
    """The system's time, moved ahead by the test."""

    def __init__(self) -> None:
        self.ahead = 0

    def now(self) -> int:
        """Now."""
        return SystemClock().now() + self.ahead


@pytest.fixture
def clock() -> SteerableClock:
    return SteerableClock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(clock: SteerableClock, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(clock, said.append)
    yield made
    with Wake() as wake:
        made.stop(wake)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    def make(code: str, name: str = "one") -> Program:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = (sys.executable, "-c", code)
        return Program(name=name, command=command, environment=environment, folder=ROOT, log=tmp_path / f"{name}.log")

    return make


def alive(pid: int) -> bool:
    """Whether a process runs: it exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_goes_to_the_log(supervisor: Supervisor, program: Callable[..., Program], tmp_path: Path) -> None:
    supervisor.add(program(SLEEPER))

    wait_until(lambda: tail(tmp_path / "one.log") == "started", "the child's output")


def test_a_killed_child_is_started_again_after_a_pause(
    supervisor: Supervisor, program: Callable[..., Program], clock: SteerableClock, said: list[str]
) -> None:
    supervisor.add(program(SLEEPER))
    first = supervisor.pid("one")
    assert first is not None
    os.kill(first, signal.SIGKILL)

    wait_until(lambda: supervisor.look_after() or supervisor.pid("one") is None, "the crash to be seen")
    clock.ahead += SECOND
    supervisor.look_after()

    assert supervisor.pid("one") not in (None, first)
    assert "one was killed (SIGKILL) and starts again in 0.5 s" in said[0]


def test_pauses_grow_with_crashes_in_a_row_and_begin_anew_after_a_steady_run(
    supervisor: Supervisor, program: Callable[..., Program], clock: SteerableClock, said: list[str]
) -> None:
    supervisor.add(program("raise SystemExit(3)"))

    for _ in range(3):
        wait_until(supervisor.look_after, "a crash")
        clock.ahead += 40 * SECOND
    wait_until(lambda: supervisor.look_after() or supervisor.pid("one"), "the fourth start")
    clock.ahead += STEADY
    wait_until(lambda: supervisor.look_after() or len(said) == 4, "the fourth crash")

    assert [line.partition(" in ")[2].partition(" s")[0] for line in said] == ["0.5", "1", "2", "0.5"]
    assert "one stopped unexpectedly (exit code 3)" in said[0]


def test_what_a_crashed_child_started_is_ended_before_it_starts_again(
    supervisor: Supervisor, program: Callable[..., Program], tmp_path: Path
) -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); sys.exit(1)"
    supervisor.add(program(code))

    wait_until(supervisor.look_after, "the crash")

    left = int(tail(tmp_path / "one.log").split()[0])
    wait_until(lambda: not alive(left), "the grandchild to end")


def test_stop_ends_children_that_obey_and_those_that_do_not(
    supervisor: Supervisor, program: Callable[..., Program], clock: SteerableClock, tmp_path: Path
) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    supervisor.add(program(SLEEPER, "obedient"))
    supervisor.add(program(deaf, "deaf"))
    wait_until(lambda: tail(tmp_path / "deaf.log") and tail(tmp_path / "obedient.log"), "both to start")
    pids = [supervisor.pid("obedient"), supervisor.pid("deaf")]

    with Wake() as wake:
        started = clock.now()
        clock.ahead = 0
        wake.wait = lambda _seconds: setattr(clock, "ahead", clock.ahead + SECOND) or time.sleep(0.01)  # type: ignore
        supervisor.stop(wake)

    assert clock.now() - started >= 10 * SECOND
    assert not any(alive(pid) for pid in pids if pid)


def test_a_log_that_has_grown_large_is_moved_aside_while_the_child_writes_on(
    supervisor: Supervisor, program: Callable[..., Program], tmp_path: Path
) -> None:
    chatter = "while True: print('on', flush=True); time.sleep(0.01)"
    code = f"import time\nprint('x' * {LARGEST_LOG}, flush=True)\n{chatter}"
    log = tmp_path / "one.log"
    supervisor.add(program(code))
    wait_until(lambda: log.stat().st_size > LARGEST_LOG, "a large log")

    supervisor.look_after()

    assert (tmp_path / "one.log.1").stat().st_size > LARGEST_LOG
    wait_until(lambda: tail(log, 1) == "on", "further lines")
    assert log.stat().st_size < LARGEST_LOG


def test_a_stop_signal_wakes_and_is_counted() -> None:
    with Wake() as wake:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        wake.wait(10)

        assert wake.stops == 2


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from services.cli.supervisor import Program, Supervisor
from shared.clock import SystemClock
supervisor = Supervisor(SystemClock(), print)
supervisor.add(Program(name="one", command=(sys.executable, "-c", {SLEEPER!r}), environment=os.environ,
    folder=Path("."), log=Path({str(tmp_path / "one.log")!r})))
print(supervisor.pid("one"), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: tail(tmp_path / "one.log") == "started", "the child to start")

        parent.kill()

        wait_until(lambda: not alive(child), "the child to end", timeout=10)


def test_a_taken_port_is_found_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert "in use" in ports_taken("127.0.0.1", [port])[port]

    assert ports_taken("127.0.0.1", [port]) == {}
