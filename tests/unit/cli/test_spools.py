"""`moments spools`: what an operator sees, and gives up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.program import moments
from services.ingestion.spool.store import Outcome, Spool
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.store.spools import SpoolRow, save_spools, spool_rows
from shared.broker import Message
from shared.clock import SystemClock
from shared.store import close_database, connected, migrate, open_database

NOW = SystemClock().now()


def run(folder: Path, *arguments: str) -> Result:
    """The command, on a data folder."""
    return CliRunner().invoke(moments, ["spools", *arguments, "--data", str(folder)])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder with a signal in its spool, and a trigger that waits for one machine."""
    spool = Spool(tmp_path, 4, b"pepper", SystemClock())
    spool.introduce()
    message = Message(exchange="e", routing_key="k", body=b"{}", message_id="s1")
    assert spool.put([(b"ada", message)]) is Outcome.KEPT
    database = open_database(f"sqlite:///{tmp_path}/trigger.db", schema="moments_trigger")
    migrate(database, MIGRATIONS)
    with connected(database), database.atomic():
        save_spools(
            Rows(database), [SpoolRow("shop-1", 1, NOW, NOW, 12, "here"), SpoolRow("b", 1, NOW, NOW, 0, "left")]
        )
    yield tmp_path
    close_database(database)
    spool.close()


def test_it_tells_of_this_machine_and_of_those_that_raises_wait_for(folder: Path) -> None:
    lines = run(folder).output.splitlines()
    document = json.loads(run(folder, "--json").output)

    assert "1 signals wait" in lines[0]
    assert lines[1].startswith("b: has signed off;")
    assert lines[2].startswith("shop-1: raises wait for its word;")
    assert lines[2].endswith("12 signals wait there")
    assert (document["here"]["signals"], [each["machine"] for each in document["machines"]]) == (1, ["b", "shop-1"])


def test_a_machine_is_given_up_by_name(folder: Path) -> None:
    assert run(folder, "pass", "nobody").exit_code == 1
    assert run(folder, "pass", "b").exit_code == 1, "nobody waits for one that has signed off"
    assert run(folder, "pass", "shop-1").exit_code == 0

    database = open_database(f"sqlite:///{folder}/trigger.db", schema="moments_trigger")
    with connected(database):
        assert [row.state for row in spool_rows(Rows(database))] == ["left", "passed"]
    close_database(database)


def test_where_there_is_nothing_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    shown = run(tmp_path)

    assert (shown.exit_code, shown.output) == (
        0,
        "There is no spool in this data folder; MOMENTS_SPOOL=<megabytes> makes ingestion keep one.\n",
    )
    assert list(tmp_path.iterdir()) == []
