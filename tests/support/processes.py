"""Free ports, and waiting with a deadline for something observable."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable

_FIRST, _LAST = 10_000, 19_999
"""Below the ports that the system gives to outgoing connections: one of those could take a port before it is used."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on now, all different."""
    found: set[int] = set()
    while len(found) < count:
        port = secrets.randbelow(_LAST - _FIRST + 1) + _FIRST
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return sorted(found)


def wait_until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Return once `condition` holds; raises TimeoutError that names `what` otherwise."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(0.01)
