"""An open-loop HTTP client process: requests at instants that are fixed beforehand, however slowly they are answered.

Time counts from the instant for which a request was planned, also when it could not be sent then: a server that stalls
is not asked less meanwhile, and what waited is not forgotten (no coordinated omission).
"""

from __future__ import annotations

import json
import random
import selectors
import sys
from collections import deque
from collections.abc import Iterator

from benchmarks.client import WARM_UP, Connection, requests_of
from benchmarks.figures import percentile
from shared.clock import stopwatch

_CONNECTIONS = 128
_PATIENCE = 30.0


def plan(rate: float, seconds: float, seed: int = 1) -> Iterator[float]:
    """Instants from 0 to `seconds` at which `rate` customers a second would come: independently of each other."""
    chance = random.Random(seed)
    at = chance.expovariate(rate)
    while at < seconds:
        yield at
        at += chance.expovariate(rate)


def main() -> None:
    """Arguments: port, file of requests, requests a second, seconds. Prints p50, p99 and maximum in seconds.

    What was planned within the first half second counts in `whole` only.
    """
    port, requests, rate, seconds = int(sys.argv[1]), requests_of(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    planned = deque(plan(rate, WARM_UP + seconds))
    whole, began = len(planned), stopwatch()
    selector = selectors.DefaultSelector()
    idle: list[Connection] = []
    asked: dict[int, float] = {}
    latencies: list[float] = []
    made = 0
    while planned or asked:
        now = stopwatch() - began
        if now > WARM_UP + seconds + _PATIENCE:
            raise TimeoutError(f"{len(asked)} requests are not answered")
        while planned and planned[0] <= now and (idle or made < _CONNECTIONS):
            if not idle:
                idle.append(Connection.to(port))
                selector.register(idle[-1].socket, selectors.EVENT_READ, idle[-1])
                made += 1
            connection = idle.pop()
            asked[connection.socket.fileno()] = planned.popleft()
            connection.socket.sendall(next(requests))
        wait = max(0.0, planned[0] - now) if planned and (idle or made < _CONNECTIONS) else 1.0
        for key, _ in selector.select(wait):
            if key.data.answered():
                due = asked.pop(key.fd)
                idle.append(key.data)
                if due >= WARM_UP:
                    latencies.append(stopwatch() - began - due)
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    selector.close()
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    print(json.dumps({"whole": whole, "p50": p50, "p99": p99, "max": max(latencies)}))


if __name__ == "__main__":
    main()
