"""A program to be forked; PROBE says what it does."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Say the name and the environment, and end as asked."""
    asked = os.environ["PROBE"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    print(asked, sorted(os.environ), flush=True)  # noqa: T201
    if asked == "exit":
        sys.exit(7)
    if asked == "fault":
        _ = 1 / 0
    if asked == "stay":
        signal.pause()
