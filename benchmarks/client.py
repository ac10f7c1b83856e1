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
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)

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


def main() -> None:
    """Arguments: port, connections, seconds, file of requests. Prints how many requests were answered, in what time.

    The file holds requests as hexadecimal lines; they are sent in turn. The first half second is not counted.
    """
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    requests = cycle([bytes.fromhex(line) for line in Path(sys.argv[4]).read_text(encoding="ascii").split()])
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connected = socket.create_connection(("127.0.0.1", port), timeout=30)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.sendall(next(requests))
        selector.register(connected, selectors.EVENT_READ, _Connection(connected))
    answered = 0
    now = stopwatch()
    began, ends = now + WARM_UP, now + WARM_UP + seconds
    while now < ends:
        for key, _ in selector.select(1.0):
            connection: _Connection = key.data
            if connection.answered():
                answered += now >= began
                connection.socket.sendall(next(requests))
        now = stopwatch()
    print(json.dumps({"answered": answered, "seconds": now - began}))


if __name__ == "__main__":
    main()
