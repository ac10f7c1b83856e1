"""A lean HTTP client process: keep-alive connections that send prepared requests as fast as they are answered."""

from __future__ import annotations

import json
import selectors
import socket
import sys
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from shared.clock import stopwatch

WARM_UP = 0.5


@dataclass(slots=True)
class Connection:
    """A connection that waits for one answer at a time."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)

    @classmethod
    def to(cls, port: int) -> Connection:
        """A new one to a port of this machine."""
        connected = socket.create_connection(("127.0.0.1", port), timeout=30)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected)

    def answered(self) -> bool:
        """Read what is there; whether that completes a response. Raises unless it is a 200 that refuses nothing."""
        more = self.socket.recv(262_144)
        if not more:
            raise ConnectionError("the server closed a connection")
        self.received += more
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return False
        start = self.received.find(b"Content-Length: ") + len(b"Content-Length: ")
        length = int(self.received[start : self.received.find(b"\r\n", start)])
        if len(self.received) < head + 4 + length:
            return False
        if not self.received.startswith(b"HTTP/1.1 200") or b'"code"' in self.received:
            raise RuntimeError(bytes(self.received[:2000]).decode(errors="replace"))
        self.received.clear()
        return True


def requests_of(file: str) -> cycle[bytes]:
    """The requests of a file of hexadecimal lines, again and again."""
    return cycle([bytes.fromhex(line) for line in Path(file).read_text(encoding="ascii").split()])


def main() -> None:
    """Arguments: port, file of requests, connections, seconds. Prints how many were answered, in what time.

    The first half second counts in `whole` only.
    """
    port, requests, connections, seconds = int(sys.argv[1]), requests_of(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection.to(port)
        connection.socket.sendall(next(requests))
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    answered = whole = 0
    now = stopwatch()
    began, ends = now + WARM_UP, now + WARM_UP + float(seconds)
    while now < ends:
        for key, _ in selector.select(1.0):
            connection = key.data
            if connection.answered():
                whole += 1
                answered += now >= began
                connection.socket.sendall(next(requests))
        now = stopwatch()
    print(json.dumps({"answered": answered, "whole": whole, "seconds": now - began}))


if __name__ == "__main__":
    main()
