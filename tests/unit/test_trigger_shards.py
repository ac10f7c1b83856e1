"""Sorting by profile on the disk, and the memory that it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.trigger.backtesting import shards as module
from services.trigger.backtesting.shards import SIGNAL, Shards, Stream
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from shared.settings import Settings
from shared.store import close_database, migrate, open_database
from tests.integration.backtest_rig import cart_signal, fill_log

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 75_000
"""KiB by which a run over some 70 MB of signals may grow: 24,000 are the rule, one customer's alone are 120,000."""


def test_records_come_out_by_profile_in_the_order_of_the_log(tmp_path: Path) -> None:
    numbers = [5, -(2**63), 2**63 - 1, 5, 0, 5, -(2**63)]
    with Shards(tmp_path, 3) as shards:
        for place, number in enumerate(numbers):
            shards.add(number, place, 100 + place, SIGNAL, str(number).encode())

        found = [[(int(record.body), record.place) for record in group] for group in shards.groups()]

    assert found == [[(-(2**63), 1), (-(2**63), 6)], [(0, 4)], [(5, 0), (5, 3), (5, 5)], [(2**63 - 1, 2)]]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_large_is_split_and_one_profile_becomes_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST", 2_000)
    with Shards(tmp_path, 1) as shards:
        for place in range(400):
            shards.add(place % 40 if place % 4 else 7, place, place, SIGNAL, b"x" * 20)

        found = {}
        for group in shards.groups():
            records = list(group)
            assert list(group) == records
            found[records[0].place] = (isinstance(group, Stream), [record.place for record in records])

    assert len(found) == 30
    assert [places for streamed, places in found.values() if streamed] == [
        [place for place in range(400) if place % 4 == 0 or place % 40 == 7]
    ]
    assert sorted(place for _, places in found.values() for place in places) == list(range(400))
    assert all(places == sorted(places) for _, places in found.values())


def test_memory_does_not_grow_with_the_signals(tmp_path: Path) -> None:
    settings = Settings.from_environment({"MOMENTS_DATA": str(tmp_path)})
    database = open_database(settings.trigger_database_url, schema="moments_trigger", synchronous="NORMAL")
    migrate(database, MIGRATIONS)
    fill_log(
        Rows(database),
        (
            cart_signal(n, "bot@example.com" if n % 2 else f"u{n % 9_000}@example.com", n * 10_000, products=4)
            for n in range(1, 100_001)
        ),
    )
    close_database(database)

    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from services.trigger.backtesting.execution import Execution\n"
        "from services.trigger.backtesting.progress import Progress\n"
        "from services.trigger.backtesting.request import Request\n"
        "from services.trigger.store.rows import Rows\n"
        "from shared.settings import Settings\n"
        "from shared.store import connected, open_database\n"
        "def peak():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))\n"
        "settings = Settings.from_environment({'MOMENTS_DATA': sys.argv[1]})\n"
        "database = open_database(settings.trigger_database_url, schema='moments_trigger')\n"
        "request = Request(type='cart_abandon', configuration_id='c1', since=0, until=2**50,\n"
        "                  settings={'duration': 'PT1S', 'repeat': 'on_change'})\n"
        "with connected(database):\n"
        "    execution = Execution(request, Rows(database), settings, settings.data, Progress())\n"
        "    before = peak()\n"
        "    raised = execution.run()['base']['profiles']['raised']\n"
        "print(peak() - before, raised)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    grown, raised = map(int, ended.stdout.split())

    assert raised == 4_501
    assert grown < LIMIT
