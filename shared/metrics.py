"""Prometheus metrics that every service has, and the page that shows all of them.

Several processes of one service share a page when `PROMETHEUS_MULTIPROC_DIR` names an empty folder at their start.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPMethod

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from shared.mapping import allocate

__all__ = ["CONTENT_TYPE", "Counter", "Gauge", "Histogram", "metrics_page", "observe_request"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_ROOM = 1 << 20


class _AllocatedDict(MmapedDict):
    """The file of a process's metrics, with room for some thousands of them: a full disk must not end the process."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        with open(filename, "ab") as file:
            allocate(file.fileno(), _ROOM)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]


values.MmapedDict = _AllocatedDict  # type: ignore[attr-defined]  # before the first metric that has a file

REQUESTS = Counter("moments_http_requests", "Requests answered.", ("service", "method", "route", "status"))
DURATION = Histogram(
    "moments_http_request_seconds",
    "Time from a request to its answer.",
    ("service", "method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_METHODS = frozenset(HTTPMethod)


def observe_request(service: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request; `route` is the pattern, never the path with its ids.

    A method that HTTP does not have counts as `other`: whoever asks could name any number of them, each a series.
    """
    method = method if method in _METHODS else "other"
    _requests(service, method, route, status).inc()
    _duration(service, method, route).observe(seconds)


@lru_cache(1024)
def _requests(service: str, method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(service, method, route, str(status))


@lru_cache(1024)
def _duration(service: str, method: str, route: str) -> Histogram:
    return DURATION.labels(service, method, route)


def metrics_page() -> bytes:
    """All metrics of this process, or of all processes that share the folder."""
    if values.ValueClass is values.MutexValue:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
