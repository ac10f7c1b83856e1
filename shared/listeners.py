"""What every service that streams to listeners needs: how many at a time, when one is gone, and an end at shutdown."""

from __future__ import annotations

import signal
import socket
import struct
import threading
from collections.abc import Callable
from types import FrameType

from shared.http import Unavailable

RETRY = b"retry: 1000\n\n"
"""Tells a listener to come back a second after its stream has ended."""
HEARTBEAT = b": still here\n\n"
_SEND_WITHIN = 10


class TooManyStreams(Unavailable):
    """All streams are taken."""


class Seats:
    """Room for so many listeners; each holds a thread for as long as it stays."""

    def __init__(self, most: int, instead: str) -> None:
        self._most = most
        self._instead = instead
        self._lock = threading.Lock()
        self._taken = 0
        self.ended = threading.Event()

    @property
    def taken(self) -> int:
        """How many are listening."""
        return self._taken

    def take(self) -> Callable[[], None]:
        """Let one more in; returns what is to be called when it has gone. Raises TooManyStreams."""
        with self._lock:
            if self._taken >= self._most or self.ended.is_set():
                raise TooManyStreams(f"All {self._most} streams are taken; {self._instead}", retry_after=5)
            self._taken += 1
        return _once(self._give_back)

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1


def leave_when_slow(connection: socket.socket | None) -> None:
    """Let a write to one that does not read what it is sent fail after ten seconds."""
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_WITHIN, 0))


def is_gone(connection: socket.socket | None) -> bool:
    """Whether the other side has hung up. It has nothing to say while it listens: what can be read is the end."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def end_at_signals(close: Callable[[], None]) -> None:
    """A stream holds its thread for minutes, and gunicorn waits for its threads: end them when it is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        before = signal.getsignal(number)

        def stop(signum: int, frame: FrameType | None, before: object = before) -> None:
            close()
            if callable(before):
                before(signum, frame)

        signal.signal(number, stop)


def _once(call: Callable[[], None]) -> Callable[[], None]:
    """A server may close a response more than once."""
    left = [call]

    def close() -> None:
        if left:
            left.pop()()

    return close
