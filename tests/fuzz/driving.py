"""Sending hostile requests to a service as fast as it answers, by several senders, and what became of them."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.requests import Attack, attack, valid

EVERY = 50
"""After so many hostile requests comes one that nothing is wrong with."""
PATIENCE = 60.0


@dataclass(slots=True)
class Outcome:
    """What was answered. `faults`: what must not be, each with the number by which its request is made again."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    valid: int = 0
    unanswered: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        """Of both together."""
        return Outcome(
            self.statuses + other.statuses,
            self.seconds + other.seconds,
            self.faults + other.faults,
            self.valid + other.valid,
            self.unanswered + other.unanswered,
        )

    def quantile(self, part: float) -> float:
        """Seconds within which such a part of all requests was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Sender:
    """One connection that is made anew whenever it ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: Attack) -> tuple[int, bytes] | None:
        """Status and body of the answer; None where the connection ended without one."""
        if not request.whole:
            self.close()
        try:
            return self._answer(request)
        except (OSError, http.client.HTTPException):
            self.close()
        if not request.whole:
            return None
        try:  # the service may have closed an idle connection just then
            return self._answer(request)
        except (OSError, http.client.HTTPException):
            self.close()
            return None

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self, request: Attack) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        with contextlib.suppress(OSError):  # the answer may come, and the connection end, before the body is sent
            self._socket.sendall(request.raw)
            if not request.whole:
                self._socket.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(self._socket, method=request.method)
        answer.begin()
        body = answer.read()
        if answer.will_close or not request.whole:
            self.close()
        return answer.status, body


def drive(port: int, seed: int, numbers: Iterable[int], senders: int = 4) -> Outcome:
    """Send the requests of these numbers."""
    outcome, lock = Outcome(), threading.Lock()
    rest: Iterator[int] = iter(numbers)

    def send() -> None:
        sender = Sender(port)
        while True:
            with lock:
                number = next(rest, None)
            if number is None:
                sender.close()
                return
            _judge(outcome, lock, number, *_timed(sender, attack(seed, number, int(time.time()))))
            if number % EVERY == 0:
                found, seconds, _ = _timed(sender, valid(number))
                with lock:
                    outcome.valid += found is not None and found[0] == 200 and b'"status":200' in found[1]
                    outcome.seconds.append(seconds)

    threads = [threading.Thread(target=send) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _timed(sender: Sender, request: Attack) -> tuple[tuple[int, bytes] | None, float, Attack]:
    began = time.monotonic()
    found = sender.ask(request)
    return found, time.monotonic() - began, request


def _judge(
    outcome: Outcome,
    lock: threading.Lock,
    number: int,
    found: tuple[int, bytes] | None,
    seconds: float,
    request: Attack,
) -> None:
    with lock:
        outcome.seconds.append(seconds)
        if found is None:
            outcome.unanswered += 1
            if request.whole:
                outcome.faults.append(f"{number}: no answer to {request.raw[:200]!r}")
            return
        status, body = found
        outcome.statuses[status] += 1
        if status >= 500 and request.whole:
            outcome.faults.append(f"{number}: {status} {body[:200]!r} to {request.raw[:200]!r}")
        if b"Traceback" in body or b'File "/' in body:
            outcome.faults.append(f"{number}: shows its inside: {body[:200]!r}")


def resident(master: int) -> int:
    """Bytes of memory of the workers of a gunicorn."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    pages = [int(Path(f"/proc/{child}/statm").read_text().split()[1]) for child in children]
    return sum(pages) * 4096


def processor_seconds(master: int) -> float:
    """Processor time that the workers of a gunicorn have used."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    fields = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children]
    return sum(int(each[11]) + int(each[12]) for each in fields) / 100
