"""Becomes a supervised program that the kernel ends when the supervisor dies, however that happens.

`python -m services.cli.child <pid of the supervisor> <program> [arguments]`
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_the_parent() -> None:
    """Ask Linux for SIGTERM when the parent dies; other systems have no such wish and are left alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main(arguments: list[str]) -> None:
    """Tie this process to its supervisor and become the program."""
    supervisor, *command = arguments
    _die_with_the_parent()
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor is gone")
    os.execvp(command[0], command)  # noqa: S606 - there is no shell


if __name__ == "__main__":
    main(sys.argv[1:])
