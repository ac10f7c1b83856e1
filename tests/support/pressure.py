"""How long the machine itself has held tasks up: what a test of timeliness must not blame on the program."""

from __future__ import annotations

import threading
from bisect import bisect_left
from pathlib import Path
from types import TracebackType

from shared.clock import SystemClock

_PRESSURE = Path("/proc/pressure")
_EVERY = 0.05


class Pressure:
    """Listens to Linux's pressure stall information while it is a context; where there is none, nothing was held up."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._samples: list[tuple[int, int, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Pressure:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def held_up(self, begin: int, end: int) -> int:
        """Of the time between two instants (µs) that in which some task waited for a processor, or for a disk."""
        self._sample()
        first = self._samples[max(0, bisect_left(self._samples, (begin,)) - 1)]
        last = self._samples[min(len(self._samples) - 1, bisect_left(self._samples, (end,)))]
        return min(end - begin, max(after - before for before, after in zip(first[1:], last[1:], strict=True)))

    def _listen(self) -> None:
        while not self._ended.wait(_EVERY):
            self._sample()

    def _sample(self) -> None:
        self._samples.append((self._clock.now(), _stalled("cpu"), _stalled("io")))


def _stalled(what: str) -> int:
    """µs since the start of the machine in which some task waited for it."""
    try:
        line = (_PRESSURE / what).read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0
    return int(line.rpartition("total=")[2])
