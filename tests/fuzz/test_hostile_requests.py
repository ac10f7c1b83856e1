"""Hostile bodies, headers and framing against ingestion as it is served: no 500, bounded memory, bounded time.

The suite sends a few thousand; `./moments test -m soak -s tests/fuzz` sends 100,000 and prints what it measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.driving import EVERY, drive, processor_seconds, resident
from tests.fuzz.requests import attack, strict_configuration
from tests.support.ingestion import configuration
from tests.support.ingestion_program import IngestionProgram, running_ingestion

SEED = 20261126
WARM = 1_000
"""Requests after which memory is taken for what the service needs: its caches have begun to fill."""
GROWTH = 64 * 2**20
"""Bytes that the memory of both processes may grow by after that, however many requests come.

Measured over 100,000: 56 MiB, of which 45 come with the first 30,000 and none after 40,000. What lives stays the same
number of blocks, but for the caches (half a megabyte in 10,000 requests): a half is what the C library keeps of the
largest bodies, the rest what Python keeps of them, and cycles that wait for the collector, which comes seldom.
"""
LEAK = 20 * 2**20
"""Bytes that it may grow by in the second half of the soak, when all have what the largest took; it swings by ten."""
LONG = 100_000
"""Requests of the soak."""
PROCESSOR = 0.02
"""Seconds of processor time that a request may cost on average."""
SLOWEST = 20.0
"""Seconds within which every request is answered, also on a machine that is busy."""


@pytest.fixture
def ingestion(tmp_path: Path) -> Iterator[IngestionProgram]:
    """Without limits, which would answer most requests before they are read."""
    unlimited = {f"MOMENTS_LIMIT_{what}": "0" for what in ("KEY", "ADDRESS", "PROFILE")}
    url = f"embedded://{tmp_path}/broker.db"
    with running_ingestion(tmp_path, url, configuration(), strict_configuration(), **unlimited) as running:
        yield running


@pytest.mark.parametrize("count", [2_500, pytest.param(LONG, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])])
def test_no_hostile_request_makes_ingestion_fail_or_grow_or_stall(ingestion: IngestionProgram, count: int) -> None:
    assert ingestion.process is not None
    master, port = ingestion.process.pid, ingestion.port
    drive(port, SEED, range(-WARM, 0))
    before, used = resident(master), processor_seconds(master)

    outcome = drive(port, SEED, range(count // 2))
    half = resident(master)
    outcome += drive(port, SEED, range(count // 2, count))

    after, used = resident(master), processor_seconds(master) - used
    p99, slowest = outcome.quantile(0.99), outcome.quantile(1)
    tell(f"{count} requests: {dict(sorted(outcome.statuses.items()))}, {outcome.unanswered} without an answer")
    tell(f"latency p50 {outcome.quantile(0.5):.4f} s, p99 {p99:.4f} s, slowest {slowest:.4f} s")
    memory = ", ".join(f"{each / 2**20:.1f}" for each in (before, half, after))
    tell(f"{used / count * 1000:.2f} ms of processor a request; memory, at half, at the end: {memory} MiB")
    assert outcome.faults == []
    assert outcome.valid == len(range(0, count, EVERY))
    assert after - before < GROWTH
    assert count < LONG or after - half < LEAK
    assert used / count < PROCESSOR
    assert slowest < SLOWEST
    assert min(outcome.statuses[status] for status in (200, 400, 401, 413, 415, 422)) > 0


def tell(line: str) -> None:
    """For who runs it with -s."""
    print(line)  # noqa: T201


def test_a_request_can_be_made_again_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [attack(SEED, number) for number in range(50)]
    monkeypatch.setattr("time.time", lambda: 1.0)

    assert [attack(SEED, number) for number in range(50)] == made
    assert len({attack(SEED, number).raw for number in range(200)}) == 200
