"""`moments backtest` against an installation: trigger's real HTTP side, as the command meets it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from contracts.times import DAY, HOUR, MINUTE, SECOND
from services.cli import backtest_job
from services.cli.backtest import backtest
from services.trigger.store import backtests
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.rows import Rows
from services.trigger.wiring import Trigger
from shared.clock import SystemClock
from shared.settings import Settings
from shared.store import close_database, connected, migrate, open_database
from tests.integration.backtest_rig import cart_signal, draft, fill_log, know, shop, started

TOKEN = "a-token-for-the-tests"


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    """A log of three carts, of which one is bought."""
    settings = Settings.from_environment({"MOMENTS_DATA": str(tmp_path)})
    database = open_database(settings.trigger_database_url, schema="moments_trigger")
    migrate(database, MIGRATIONS)
    rows = Rows(database)
    know(rows, shop(), draft())
    at = SystemClock().now() // DAY * DAY - DAY
    fill_log(
        rows,
        [
            *(cart_signal(n, f"u{n}@example.com", at + n * SECOND) for n in (1, 2, 3)),
            cart_signal(4, "u3@example.com", at + HOUR, "cart/purchase"),
        ],
    )
    yield rows
    close_database(database)


@pytest.fixture
def url(rows: Rows, tmp_path: Path) -> Iterator[str]:
    environment = {"MOMENTS_DATA": str(tmp_path), "MOMENTS_ADMIN_TOKEN": TOKEN, "MOMENTS_LOG_LEVEL": "error"}
    with started(Settings.from_environment(environment), SystemClock()) as trigger:
        yield from served(trigger)


def served(trigger: Trigger) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, trigger.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(backtest, ["--url", url, "--token", TOKEN, *arguments])


def test_a_moment_of_the_installation_is_run_and_its_result_printed(url: str) -> None:
    ended = run(url, "--moment", "m1", "--compare", "duration=PT30M", "--days", "3")

    assert ended.exit_code == 0, ended.output
    words = [line.split() for line in ended.stdout.splitlines()]
    assert ["raised", "2", "3"] in words
    assert ["ended:", "cart/purchase", "1", "0"] in words
    assert ["recovered", "share", "0.0%", "33.3%"] in words
    assert "2 raises in both (2 at another time), 0 only in the first, 1 only in the second" in ended.stdout
    assert "Back-test" in ended.stderr


def test_json_is_one_object_and_a_template_needs_no_moment(url: str) -> None:
    ended = run(url, "--template", "cart_abandon", "--configuration", "c1", "--set", "duration=PT1H", "--json")

    assert ended.exit_code == 0, ended.output
    job = json.loads(ended.stdout.splitlines()[-1])  # the lines before are of the service in this process
    assert job["state"] == "done"
    assert job["request"]["settings"]["duration"] == "PT1H"
    assert job["result"]["base"]["raised"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--moment", "m1", "--set", "duration=soon"], 1, "/settings/duration"),
        (["--moment", "m1", "--compare", "colour=red"], 1, "/compareWith/colour"),
        (["--moment", "m9"], 1, "There is no moment m9"),
        (["--moment", "m1", "--days", "400"], 1, "Signals are kept for 30 days"),
        (["--moment", "m1", "--as-it-ran"], 1, "has never run"),
        ([], 2, "Name a FILE"),
        (["--template", "cart_abandon"], 2, "--configuration"),
        (["--moment", "m1", "--limit", "3"], 2, "--limit does not go with"),
        ([__file__, "--moment", "m1"], 2, "--moment does not go with FILE"),
        ([__file__, "--template", "cart_abandon"], 2, "--format"),
    ],
)
def test_what_is_wrong_is_said_and_tells_the_exit_code(url: str, arguments: list[str], code: int, words: str) -> None:
    ended = run(url, *arguments)

    assert ended.exit_code == code, ended.output
    assert words in ended.output


def test_a_service_that_does_not_answer_ends_with_3() -> None:
    assert run("http://127.0.0.1:9", "--moment", "m1").exit_code == 3


def test_ctrl_c_cancels_the_job(url: str, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest_job, "sleep", interrupt)
    at = SystemClock().now() - DAY
    fill_log(rows, (cart_signal(n, f"u{n % 5_000}@example.com", at + n * MINUTE // 600) for n in range(10, 40_000)))

    ended = run(url, "--moment", "m1")

    assert ended.exit_code != 0
    with connected(rows.database):
        assert [job.state for job in backtests.jobs_page(rows, None, 5)] == ["cancelled"]


def test_a_job_that_failed_ends_with_1_and_its_reason(url: str, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_seconds: float) -> None:
        with connected(rows.database), rows.database.atomic():
            rows.execute("UPDATE backtests SET state = 'failed', reason = 'The disk is full.' WHERE state <> 'done'")

    monkeypatch.setattr(backtest_job, "sleep", fail)

    ended = run(url, "--moment", "m1")

    assert ended.exit_code == 1
    assert "failed. The disk is full." in ended.output
