"""The private servers that tests and benchmarks run on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import PostgresNode


@pytest.mark.postgresql
@pytest.mark.slow
def test_a_killed_cluster_keeps_what_was_committed_and_a_stopped_one_leaves_no_process(
    postgres_node: PostgresNode,
) -> None:
    """SIGKILL of server and backends, restart on the same folder and port."""
    with tempfile.TemporaryDirectory(prefix="moments-postgres-") as folder:
        Path(folder).chmod(0o755)
        node = PostgresNode(Path(folder) / "cluster")
        node.start()
        try:
            url = node.create_database("kept")
            with psycopg.connect(url) as connection:
                connection.execute("create table t as select 1 as n")

            node.restart()

            with psycopg.connect(url) as connection:
                assert connection.execute("select n from t").fetchall() == [(1,)]
        finally:
            node.stop()

        assert _processes_in(folder) == []


def _processes_in(folder: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found
