"""The process of one back-test: `python -m services.trigger.backtesting <job> <token>`, started by the runner.

Its settings come on standard input.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

import msgspec
import structlog

from contracts.templates import use_templates
from services.trigger.backtesting.execution import Execution
from services.trigger.backtesting.progress import Progress
from services.trigger.backtesting.reading import NoRoom
from services.trigger.backtesting.request import decode_request
from services.trigger.store import backtests
from services.trigger.store.rows import Rows
from shared.clock import Clock, SystemClock, stopwatch
from shared.logs import set_up_logs
from shared.settings import Settings
from shared.store import STORE_FAULTS, close_database, connected, open_database

_NICE = 15
_TELL_EVERY = 0.4
_PR_SET_PDEATHSIG = 1
_log = structlog.get_logger("trigger.backtest")


class NotWanted(Exception):
    """The job was cancelled, or is another process's."""


class ToldProgress(Progress):
    """Progress that is written to the job's row twice a second; raises NotWanted."""

    def __init__(self, rows: Rows, clock: Clock, job_id: str, token: str):
        super().__init__()
        self._rows = rows
        self._clock = clock
        self._job = (job_id, token)
        self._told = 0.0

    def report(self) -> None:
        """Tell, when it is time; a database that is busy is told the next time."""
        now = stopwatch()
        if now < self._told + _TELL_EVERY:
            return
        self._told = now
        try:
            with self._rows.database.atomic():
                counts = (self.total, self.taken, self.replayed)
                wanted = backtests.note_progress(self._rows, *self._job, self._clock.now(), counts)
        except STORE_FAULTS as error:
            _log.warning("backtest.progress_not_told", error=type(error).__name__)
            return
        if not wanted:
            raise NotWanted


def run_job(settings: Settings, clock: Clock, job_id: str, token: str) -> None:
    """Run a job to its end and write the result; the database is read by a connection that cannot write."""
    told = open_database(settings.trigger_database_url, schema="moments_trigger", synchronous="NORMAL")
    read = open_database(settings.trigger_database_url, schema="moments_trigger")
    try:
        with connected(told), connected(read):
            told_rows, read_rows = Rows(told), Rows(read)
            _read_only(read_rows)
            _run(settings, clock, told_rows, read_rows, (job_id, token))
    finally:
        close_database(told)
        close_database(read)


def _run(settings: Settings, clock: Clock, told: Rows, read: Rows, place: tuple[str, str]) -> None:
    job = backtests.job(told, place[0])
    if job is None or job.token != place[1]:
        raise NotWanted
    progress = ToldProgress(told, clock, *place)
    result, reason = None, ""
    try:
        request = decode_request(job.request)
        result = msgspec.json.encode(Execution(request, read, settings, settings.data, progress).run())
    except NoRoom as error:
        reason = str(error) or (type(error).__doc__ or "")
    with told.database.atomic():
        counts = (progress.total, progress.taken, progress.replayed)
        backtests.note_progress(told, *place, clock.now(), counts)
        backtests.finish_job(told, *place, clock.now(), result=result, reason=reason)
    _log.info("backtest.ended", job=place[0], signals=progress.replayed, reason=reason)


def _read_only(rows: Rows) -> None:
    rows.execute("SET default_transaction_read_only = on" if rows.postgresql else "PRAGMA query_only = ON")


def _be_modest() -> None:
    """Let every other process go first, and end with the service that asked."""
    os.nice(_NICE)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Run the job that the arguments name."""
    job_id, token = sys.argv[1:3]
    _be_modest()
    gc.set_threshold(100_000, 50, 50)
    settings = Settings.from_environment(msgspec.json.decode(sys.stdin.buffer.read()))
    set_up_logs("trigger-backtest", settings.log_level)
    use_templates(settings.templates)
    try:
        run_job(settings, SystemClock(), job_id, token)
    except NotWanted:
        _log.info("backtest.given_up", job=job_id)


if __name__ == "__main__":
    main()
