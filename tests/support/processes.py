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
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > timeout:
            raise TimeoutError(f"waited {timeout:.0f} s in vain: {what}")
        time.sleep(pause_after(waited))


def pause_after(waited: float) -> float:
    """How many seconds to go on waiting before one looks again: looking takes time that others need.

    What comes soon is seen at once; what took a second or more, a tenth of a second later at most.
    """
    return min(0.1, max(0.01, waited / 10))
