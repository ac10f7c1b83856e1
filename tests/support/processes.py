"""Ports that nobody else takes, and waiting with a deadline for something observable."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

SLOWER = float(os.environ.get("MOMENTS_TESTS_SLOWER") or 4)
"""How many times slower than a quiet machine the one may be that runs the tests: it stretches what they wait for."""

_FIRST, _LAST = 10_000, 19_999
"""Below the ports that the system gives to outgoing connections: one of those could take a port before it is used."""

_ours: set[int] = set()


def stretched(seconds: float) -> float:
    """How long something may take here that takes so long at most on a quiet machine."""
    return seconds * SLOWER


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on now, all different.

    They stay with this process, also while nothing listens on them: no other run of the tests is given one of them.
    """
    found: list[int] = []
    while len(found) < count:
        port = secrets.randbelow(_LAST - _FIRST + 1) + _FIRST
        if _take([port]):
            found.append(port)
    return sorted(found)


def free_port_base() -> int:
    """The first of three free ports in a row, as `free_ports` gives them."""
    while True:
        base = secrets.randbelow(_LAST - _FIRST - 1) + _FIRST
        if _take(range(base, base + 3)):
            return base


def _take(ports: Iterable[int]) -> bool:
    """Whether all were free; they are ours then. Those that were tried in vain are not tried again."""
    return all(_take_one(port) for port in ports)


def _take_one(port: int) -> bool:
    if port in _ours:
        return False
    try:
        fcntl.lockf(_taken(os.getpid()), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _ours.add(port)
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@cache
def _taken(process: int) -> int:
    """A file whose byte of the number of a port is locked by the process that has been given it, while it lives."""
    path = Path(tempfile.gettempdir()) / f"moments-tests-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Return once `condition` holds; raises TimeoutError that names `what` otherwise.

    `timeout`: seconds that are ample on a quiet machine.
    """
    began, most = time.monotonic(), stretched(timeout)
    while not condition():
        waited = time.monotonic() - began
        if waited > most:
            raise TimeoutError(f"waited {most:.0f} s in vain: {what}")
        time.sleep(pause_after(waited))


def pause_after(waited: float) -> float:
    """How many seconds to go on waiting before one looks again: looking takes time that others need.

    What comes soon is seen at once; what took a second or more, a tenth of a second later at most.
    """
    return min(0.1, max(0.01, waited / 10))
