"""A journey to be killed: `python -m tests.support.journey_program URL QUEUE MEMORY KEY…` does what events say.

Each event's `data.do` says what its handler does; each step prints one line, flushed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from contracts.journeys import Event, Journey, Later, Seen
from examples.journey.journey import run
from examples.journey.remembering import remembered

ROOT = Path(__file__).parents[2]


def start(url: str, queue: str, memory: Path | str, *keys: str) -> subprocess.Popen[str]:
    """Start the program; its caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.journey_program", url, queue, str(memory), *keys],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingAfter:
    """A memory whose process dies once it has kept the event named `fatal`, before that is acknowledged."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def __contains__(self, identity: str) -> bool:
        return identity in self._seen

    def add(self, identity: str) -> None:
        """Keep it, and die if it is the one."""
        self._seen.add(identity)
        if '"fatal' in identity:
            _die()


def act(event: Event) -> None:
    """What the event asks for."""
    _say(f"began {event.id}")
    todo = event.data.get("do")
    if todo == "fail":
        raise ValueError("it never works")
    if todo == "later":
        raise Later(60)
    if todo == "die" and not Path(event.data["once"]).exists():
        Path(event.data["once"]).touch()
        _die()
    _say(f"acted {event.id}")


def main(url: str, queue: str, memory: str, *keys: str) -> None:
    """Take events until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with remembered(Path(memory) if memory else None) as seen:
        _say("started")
        run(url, Journey(dict.fromkeys(keys, act), seen=DyingAfter(seen), attempts=2), queue, list(keys), stopping)
    _say("ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
