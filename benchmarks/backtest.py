"""Signals per second through a back-test: the whole job in its own process, from its start to its result.

Measured: one process of `services.trigger.backtesting` over a log that was filled before (800-byte cart signals with
5 items, mean 5 slides per cart), as the runner starts it: niced, with its progress told twice a second. Time counts
from the start of the process, its imports included, to its end; the rate is all signals of the log by that time.
`memory` is the greatest resident set of the process; `processor` what it spends on a signal, which changes little when
other work shares the machine. Beside it: a process that reads the same log page by page and
decodes every signal once, which any back-test has to do.

Not shown: other work on the machine; a log that does not fit in the page cache; two settings side by side (the second
column costs what the engine costs, reading and decoding are shared).
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from benchmarks.figures import Figure
from benchmarks.places import ROOT, STORES, Place, Places
from benchmarks.workload import CONFIGURATION, TYPE, WEB_KEY, body_of, cart_signals
from services.trigger.backtesting.request import Request, encode_request
from services.trigger.backtesting.runner import variables_of
from services.trigger.engine.application import ProfileId
from services.trigger.store import backtests
from services.trigger.store.keys import profile_key, profile_number, signal_key
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.clock import SystemClock, stopwatch
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database

FLOOR = 30_000.0
MEMORY = 256.0
"""Megabytes that a back-test may take, however long the log."""
_PAGE = 5_000
_COLUMNS = {
    "sequence": "int8",
    "profile": "int8",
    "key": "bytea",
    "level": "int4",
    "received_at": "int8",
    "body": "bytea",
}


@dataclass(frozen=True, slots=True)
class Used:
    """What a process took: seconds, seconds of processor time, bytes of its greatest resident set."""

    seconds: float
    processor: float
    memory: int


def names(stores: Sequence[str] = STORES) -> list[str]:
    """The names of the figures."""
    return [f"backtest {store}" for store in stores]


def measure(places: Places, count: int, wanted: Collection[str]) -> Iterator[Figure]:
    """The figures of the wanted names, over logs of `count` signals."""
    for store in STORES:
        name = f"backtest {store}"
        if name not in wanted:
            continue
        with places.place("embedded", store) as place:
            start = _fill(place.settings, count)
            bare = _run(place, "-m", "benchmarks.plain_log")
            job = _run_job(place, start)
        yield Figure(name=name, value=count / job.seconds, unit="signals/s", limit=count / bare.seconds, floor=FLOOR)
        processor = (job.processor / count * 1e6, bare.processor / count * 1e6)
        yield Figure(name=f"{name} processor", value=processor[0], unit="us/signal", limit=processor[1])
        yield Figure(name=f"{name} memory", value=job.memory / 1e6, unit="MB", limit=MEMORY, floor=MEMORY, at_most=True)


def _fill(settings: Settings, count: int) -> int:
    """Write a log as the worker does; the instant of its first signal."""
    database = open_database(settings.trigger_database_url, schema="moments_trigger", synchronous="NORMAL")
    migrate(database, MIGRATIONS)
    start = SystemClock().now() - count * 1_000
    with connected(database):
        rows, numbered = Rows(database), enumerate(cart_signals(count, start=start), start=1)
        while page := [_row(place, signal) for place, signal in islice(numbered, _PAGE)]:
            with database.atomic():
                rows.insert("signals", _COLUMNS, page)
    close_database(database)
    return start


def _row(place: int, signal: Any) -> tuple[Any, ...]:
    owner = profile_key(ProfileId(CONFIGURATION, "email", signal.profile))
    key = signal_key(owner, WEB_KEY, signal.id)
    return (place, profile_number(owner), key, 0, signal.at, body_of(signal))


def _run_job(place: Place, start: int) -> Used:
    """Run a job as the runner does."""
    settings, job = place.settings, str(uuid.uuid4())
    request = Request(
        type=TYPE,
        configuration_id=CONFIGURATION,
        settings={"duration": "PT2H", "repeat": "on_change"},
        since=start,
        until=start + 86_400_000_000,
    )
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    with connected(database), database.atomic():
        rows = Rows(database)
        backtests.add_job(rows, job, encode_request(request), SystemClock().now())
        assert backtests.claim_next(rows, "bench", SystemClock().now()) is not None
    given = msgspec.json.encode(variables_of(settings))
    used = _run(place, "-m", "services.trigger.backtesting", job, "bench", given=given)
    with connected(database):
        ended = backtests.job(Rows(database), job)
    close_database(database)
    if ended is None or ended.state != "done":
        raise RuntimeError(f"the job did not end well: {ended}")
    return used


def _run(place: Place, *command: str, given: bytes = b"") -> Used:
    """Run a Python program of the place to its end."""
    began = stopwatch()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=place.environ, stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(given)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[1]} ended with code {process.returncode}")
    return Used(stopwatch() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
