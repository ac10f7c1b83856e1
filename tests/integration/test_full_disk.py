"""A disk is full for a while: nothing is acknowledged that is not kept, nobody crashes, and all goes on with room."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.ingestion.spool.store import Outcome, Spool
from services.trigger.wiring import Trigger
from shared.broker import Message
from shared.clock import SystemClock
from tests.integration.trigger_rig import Rig, wait_until
from tests.support.browsing import make_administrator
from tests.support.configuring import CONFIGURATIONS, SHOP, running_config
from tests.support.ingestion import configuration, configure, recorded, send, settings_for, signal, start_ingestion
from tests.support.small_disk import SmallDisk, small_disk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 24) as made, capture_logs():  # whose rendering takes seconds for each traceback
        yield made


def test_ingestion_answers_503_as_long_as_it_cannot_keep_and_what_it_took_is_there(disk: SmallDisk) -> None:
    settings = settings_for(disk.folder / "data", MOMENTS_PARTITIONS="4")
    ingestion = start_ingestion(settings)
    try:
        configure(ingestion, configuration())
        taken: list[str] = []

        def sent(name: str) -> int:
            answer = send(ingestion, signal(name))
            assert answer.status_code in (200, 503), answer.get_data()
            assert answer.status_code == 200 or int(answer.headers["Retry-After"]) >= 1
            if answer.status_code == 200:
                taken.append(name)
            return answer.status_code

        assert sent("first") == 200
        disk.fill()
        names = iter(range(100_000))
        wait_until(lambda: sent(f"full-{next(names)}") == 503, "a refusal")  # what the log has room for may be kept
        for name in ("more", "and more"):
            sent(name)
        call = {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1", "properties": {}}
        batch = send(ingestion, {"batch": [call] * 3, "writeKey": "sk_1:secret"}, "/v1/batch", key=None)
        assert batch.status_code in (200, 503)
        ready = ingestion.app.test_client().get("/readyz")
        assert ready.status_code == 503
        assert "disk: the disk is full" in ready.get_json(force=True)["detail"]

        disk.empty()
        wait_until(lambda: sent(f"again-{next(names)}") == 200, "room")
        wait_until(lambda: ingestion.app.test_client().get("/readyz").status_code == 200, "readiness")

        assert set(taken) <= {each.id for each in recorded(ingestion, len(taken))}
    finally:
        ingestion.close()


def test_a_spool_on_a_full_disk_takes_nothing_and_keeps_what_it_took(disk: SmallDisk) -> None:
    spool = Spool(disk.folder, 512, b"pepper", SystemClock())
    spool.introduce()
    message = Message(exchange="e", routing_key="k", body=b"x" * 20_000, message_id="m")
    try:
        assert spool.put([(b"ada", message)] * 10) is Outcome.KEPT
        disk.fill()

        outcomes = [spool.put([(b"ada", message)] * 100) for _ in range(3)]
        disk.empty()

        assert set(outcomes) == {Outcome.FULL}
        assert len(spool.first(1_000).messages) == 10
        assert spool.put([(b"ada", message)]) is Outcome.KEPT
        assert len(spool.first(1_000).messages) == 11
    finally:
        spool.close()


def test_the_worker_goes_on_trying_and_raises_each_moment_once_when_there_is_room(
    tmp_path: Path, disk: SmallDisk
) -> None:
    rig = Rig(tmp_path, f"embedded://{tmp_path}/broker.db", f"sqlite://{disk.folder}/trigger.db")
    trigger = Trigger(rig.settings, rig.clock)
    trigger.start()
    client = trigger.app.test_client()
    try:
        running = rig.moment(duration="PT1S")
        rig.started()
        wait_until(lambda: rig.knows(running), "the moment")
        rig.add("before@example.com")
        rig.listen_until(lambda: rig.profiles()["before@example.com"] == 1, "a raise before")

        disk.fill()
        for number in range(20):
            rig.add(f"{number}@example.com")
        log = tmp_path / "worker.log"
        wait_until(lambda: "disk is full" in log.read_text(), "the worker to say so")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "disk: the disk is full" in answer.get_json(force=True)["detail"]
        told = {"configuration": "c1", "profile": "before@example.com"}
        wanted = client.post("/api/v1/erasures", json=told, headers={"Authorization": "Bearer a-token-for-the-tests"})
        assert (wanted.status_code, wanted.content_type) == (503, "application/problem+json")

        disk.empty()
        everybody = {"before@example.com", *(f"{number}@example.com" for number in range(20))}
        rig.listen_until(lambda: set(rig.profiles()) == everybody, "all raises", 60)
        assert set(rig.profiles().values()) == {1}
        assert rig.differences() == []
        assert '"worker.session_lost"' in log.read_text()
    finally:
        trigger.close()
        rig.close()


def test_config_shows_what_it_has_and_refuses_changes_with_a_problem(disk: SmallDisk) -> None:
    with running_config(disk.folder) as client:
        browser = make_administrator(client.service)
        client.make_configuration(name="Before")
        disk.fill()
        statuses = set()

        def refused() -> bool:
            answer = client.call("POST", CONFIGURATIONS, {**SHOP, "name": "x" * 100, "description": "x" * 1_000})
            statuses.add(answer.status)
            return answer.status == 503 and answer.document["title"] != ""

        wait_until(refused, "a refusal")
        assert statuses <= {201, 503}
        assert client.call("GET", CONFIGURATIONS).status == 200
        assert browser.get("/configurations").status_code == 200
        assert browser.post("/settings/account", {"name": "x" * 60}).status_code == 503
        assert client.call("GET", "/readyz").status == 503

        disk.empty()
        wait_until(lambda: client.call("POST", CONFIGURATIONS, SHOP).status == 201, "room")
        assert client.call("GET", "/readyz").status == 200


WRITES = """
import os, sys
from shared.logs import set_up_logs
set_up_logs("test", "info", open("/dev/full", "w", buffering=1))
import logging, structlog
for _ in range(3):
    structlog.get_logger("x").error("hello", text="x" * 20_000)
    logging.getLogger("y").error("hello")
print("alive")
"""


def test_a_log_line_that_cannot_be_written_fails_nobody() -> None:
    done = subprocess.run(
        (sys.executable, "-c", WRITES), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )

    assert done.stdout == "alive\n", done.stderr


MAPS = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
from services.ingestion.buckets import Buckets, Rate
from services.ingestion.spool.board import Board, Mode
from services.ingestion import meters
buckets, board = Buckets(folder / "limits"), Board(folder / "board")
meters.SPOOLED.inc()
sys.stdout.write("made\\n"); sys.stdout.flush(); sys.stdin.readline()
for number in range(20_000):
    buckets.take(str(number), Rate(1.0, 5.0), 1.0)
for number in range(1_000):
    meters.REFUSED.labels(f"code-{number}").inc()
board.mode = Mode.FILLED
print("alive")
"""


def test_what_processes_share_in_memory_has_its_room_before_the_disk_is_full(disk: SmallDisk) -> None:
    """Else the kernel ends whoever writes to a page of the file for which there is no room: by SIGBUS, at once."""
    process = subprocess.Popen(
        (sys.executable, "-c", MAPS, str(disk.folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    disk.fill()

    out, err = process.communicate("\n", timeout=60)

    assert (out, process.returncode) == ("alive\n", 0), err
