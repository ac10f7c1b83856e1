"""Token buckets: what is let through, whatever the clock, the threads and the processes do."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.signals import Reference
from services.ingestion import buckets as buckets_module
from services.ingestion.admission import Admitted, Listener
from services.ingestion.buckets import AHEAD, Advances, Buckets, Rate
from services.ingestion.limits import Limits
from shared.clock import ManualClock
from tests.support.processes import wait_until

NOBODY = Reference(id="c", name="Shop")
WEB = Admitted(Listener("c", ("*",), frozenset(("email",)), NOBODY, NOBODY), "pk_1", "web")
RATE = Rate(per_second=10, burst=20)


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    made = Buckets(tmp_path / "limits")
    yield made
    made.close()


def test_a_burst_is_let_through_and_then_the_rate(buckets: Buckets) -> None:
    assert [buckets.take("a", RATE, 100.0) for _ in range(20)] == [0.0] * 20

    wait = buckets.take("a", RATE, 100.0)

    assert wait == pytest.approx(0.1)
    assert buckets.take("a", RATE, 100.0 + wait) == 0.0
    assert buckets.take("a", RATE, 100.0 + wait) > 0


def test_names_do_not_share_and_a_pause_fills_up_to_the_burst(buckets: Buckets) -> None:
    for _ in range(20):
        buckets.take("a", RATE, 100.0)

    assert buckets.take("b", RATE, 100.0) == 0.0
    assert sum(buckets.take("a", RATE, 100_000.0) == 0.0 for _ in range(30)) == 20


def test_a_refusal_takes_nothing_and_names_the_time_until_all_of_the_cost_is_there(buckets: Buckets) -> None:
    buckets.take("a", RATE, 100.0, 15)

    assert buckets.take("a", RATE, 100.0, 10) == pytest.approx(0.5)
    assert buckets.take("a", RATE, 100.0, 5) == 0.0


def test_more_than_the_burst_passes_a_full_bucket_and_is_paid_for_afterwards(buckets: Buckets) -> None:
    assert buckets.take("a", RATE, 100.0, 50) == 0.0
    assert buckets.take("a", RATE, 102.0) > 0
    assert buckets.take("a", RATE, 103.2) == 0.0


def test_a_clock_that_is_set_back_locks_nobody_out(buckets: Buckets) -> None:
    for _ in range(20):
        buckets.take("a", RATE, 1_000_000.0)

    assert buckets.take("a", RATE, 50.0) > 0
    assert buckets.take("a", RATE, 50.0) == pytest.approx(0.1)


def test_no_rate_limits_nothing(buckets: Buckets) -> None:
    assert {buckets.take("a", Rate(0, 0), 1.0, 1e9) for _ in range(100)} == {0.0}


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), min_size=1, max_size=60))
def test_in_any_span_no_more_passes_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        buckets = Buckets(Path(folder) / "limits")
        now, passed = 0.0, []
        for pause, cost in steps:
            now += pause
            if buckets.take("a", RATE, now, cost) == 0.0:
                passed.append((now, cost))
        buckets.close()

    for first, (begin, _) in enumerate(passed):
        for last in range(first, len(passed)):
            span = passed[last][0] - begin
            assert sum(cost for _, cost in passed[first : last + 1]) <= 20 + 10 * span + 1e-3


def test_more_names_than_places_forget_those_not_used_for_longest(tmp_path: Path) -> None:
    few, slow = Buckets(tmp_path / "few", sets=1), Rate(0.001, 20)

    for number in range(20):
        few.take(f"n{number}", slow, float(number), 20)

    assert [few.take(f"n{number}", slow, 20.0, 20) > 0 for number in range(19, 15, -1)] == [True] * 4
    assert few.take("n3", slow, 20.0, 20) == 0.0
    few.close()


def test_an_address_that_sends_too_much_uses_up_nothing_of_the_key(buckets: Buckets) -> None:
    slow = Rate(0.001, 20)
    limits = Limits(
        buckets, Advances(buckets), ManualClock(1_000_000_000), key=slow, address=Rate(0.001, 10), profile=slow
    )

    flood = [limits.request(WEB, "192.0.2.1", 1) is None for _ in range(50)]
    others = [limits.request(WEB, f"192.0.2.{host}", 1) is None for host in range(2, 14)]

    assert flood.count(True) == 10
    assert others == [True] * 10 + [False] * 2


def test_processes_that_take_ahead_let_through_no_more_than_that_beside(buckets: Buckets) -> None:
    fast = Rate(per_second=2_000, burst=4_000)
    processes = [Advances(buckets), Advances(buckets), Advances(buckets)]

    passed = sum(each.take("a", fast, 100.0, cost) == 0.0 for cost in (1, 30) for each in processes * 1_500)
    later = sum(each.take("a", fast, 101.0) == 0.0 for each in processes * 1_000)

    assert passed == 4_000
    assert 2_000 <= later <= 2_000 + 3 * 2_000 * AHEAD


def test_what_was_taken_ahead_is_let_through_without_asking_again(tmp_path: Path) -> None:
    buckets = Buckets(tmp_path / "limits")
    advances = Advances(buckets)
    advances.take("a", Rate(1_000, 1_000), 100.0)
    buckets.close()

    assert [advances.take("a", Rate(1_000, 1_000), 100.0) for _ in range(4)] == [0.0] * 4
    with pytest.raises(OSError):
        advances.take("a", Rate(1_000, 1_000), 100.0)


def test_threads_together_are_let_through_once(buckets: Buckets) -> None:
    passed: list[int] = []

    def take() -> None:
        passed.append(sum(buckets.take("a", Rate(0.001, 500), 100.0) == 0.0 for _ in range(200)))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(passed) == 500


def test_processes_together_are_let_through_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from services.ingestion.buckets import Buckets, Rate\n"
        "b = Buckets(Path(sys.argv[1]))\n"
        "print(sum(b.take('a', Rate(0.001, 500), 100.0) == 0.0 for _ in range(400)))"
    )
    command = (sys.executable, "-c", program, str(tmp_path / "limits"))
    root = Path(__file__).resolve().parents[2]

    started = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) for _ in range(3)]

    assert sum(int(process.communicate()[0]) for process in started) == 500


_ANOTHER = """
import fcntl, os, sys, threading

file, first, second, size = os.open(sys.argv[1], os.O_RDWR), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
fcntl.lockf(file, fcntl.LOCK_EX, size, second)
print("holds", flush=True)
waits = threading.Thread(target=fcntl.lockf, args=(file, fcntl.LOCK_EX, size, first))
waits.start()
sys.stdin.read()
fcntl.lockf(file, fcntl.LOCK_UN, size, second)
waits.join()
"""


def test_threads_that_meet_another_process_at_two_buckets_see_no_deadlock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets, inside, go_on = Buckets(tmp_path / "limits"), threading.Event(), threading.Event()
    taken = buckets._taken

    def slowly(offset: int, *rest: Any) -> float:
        if offset == places[0]:
            inside.set()
            assert go_on.wait(60)
        return taken(offset, *rest)

    places = [buckets._mark(name) % buckets._sets * buckets_module._SET for name in "ab"]
    monkeypatch.setattr(buckets, "_taken", slowly)
    command = [sys.executable, "-c", _ANOTHER, str(tmp_path / "limits"), *map(str, places), str(buckets_module._SET)]
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(buckets.take, "a", RATE, 100.0)
        assert inside.wait(60)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as another:
            assert another.stdout is not None
            assert another.stdout.readline() == b"holds\n"
            wait_until(lambda: _waits_for_a_lock(another.pid), "the other process waits for the first bucket")

            second = threads.submit(buckets.take, "b", RATE, 100.0)

            assert _is_quiet(second)
            go_on.set()
            assert first.result(60) == 0.0
            another.communicate(timeout=120)
        assert second.result(60) == 0.0
    buckets.close()


def _waits_for_a_lock(process: int) -> bool:
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("->" in line and str(process) in line.split() for line in lines)


def _is_quiet(future: Future[float]) -> bool:
    """Whether it neither ends nor fails for a moment."""
    return not wait((future,), timeout=0.2).done


def test_many_are_taken_in_turn_as_one_after_the_other(buckets: Buckets) -> None:
    names = ["a", "b", "a", *(f"n{number}" for number in range(200)), "a"]

    waits = buckets.take_each(names, Rate(1, 2), 100.0)

    assert waits == [0.0] * (len(names) - 1) + [pytest.approx(1.0)]
    assert buckets.take_each(names, Rate(0, 0), 100.0) == [0.0] * len(names)
    assert buckets.take("b", Rate(1, 2), 100.0) == 0.0
    assert buckets.take("b", Rate(1, 2), 100.0) > 0
