"""Runs jobs one at a time, each in a process of its own, and looks after those whose process died."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from contracts.times import DAY, SECOND
from services.trigger.store import backtests
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.settings import Settings
from shared.store import STORE_FAULTS, connected

_log = structlog.get_logger("trigger.backtests")

SILENT = 20 * SECOND
"""A process that tells of itself twice a second and was not heard for that long is dead."""
KEPT = 7 * DAY
MOST_KEPT = 100
_ROOT = Path(__file__).resolve().parents[3]
_IDLE, _BUSY = 1.0, 0.2
_PATIENCE = 1.0


@dataclass(slots=True)
class _Attempt:
    job: str
    token: str
    process: subprocess.Popen[bytes]


class Runner:
    """A thread of trigger's HTTP side. Several replicas may run one each: a job is claimed in the database.

    A process that dies is started again once; then its job has failed. The thread outlives its processes: Linux ends
    them when it ends.
    """

    def __init__(self, rows: Rows, settings: Settings, clock: Clock):
        self._rows = rows
        self._settings = settings
        self._clock = clock
        self._ended = threading.Event()
        self._nudged = threading.Event()
        self._attempt: _Attempt | None = None
        self._tidied = 0
        self._thread = threading.Thread(target=self._run, name="backtests", daemon=True)

    def start(self) -> None:
        """Begin to look for jobs."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; a job in hand waits for the next start."""
        self._ended.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def nudge(self) -> None:
        """There is something new: a job, or a cancellation."""
        self._nudged.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with connected(self._rows.database):
                    self._look()
            except STORE_FAULTS as error:
                _log.warning("backtests.database_away", error=type(error).__name__)
            except Exception:
                _log.exception("backtests.runner_failed")
            self._nudged.wait(_IDLE if self._attempt is None else _BUSY)
            self._nudged.clear()
        self._put_down()

    def _look(self) -> None:
        if self._attempt is not None:
            self._look_after(self._attempt)
        if self._attempt is None:
            self._tidy()
            self._begin()

    def _begin(self) -> None:
        token, now = uuid.uuid4().hex, self._clock.now()
        with self._rows.database.atomic():
            job = backtests.claim_next(self._rows, token, now)
        if job is not None:
            _log.info("backtests.begun", job=job.id, attempt=job.attempts)
            self._attempt = _Attempt(job.id, token, self._process(job.id, token))

    def _process(self, job: str, token: str) -> subprocess.Popen[bytes]:
        self._settings.data.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            (sys.executable, "-m", "services.trigger.backtesting", job, token), cwd=_ROOT, stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as given:
            given.write(json.dumps(variables_of(self._settings)).encode())
        return process

    def _look_after(self, attempt: _Attempt) -> None:
        """Whether it has ended, and whether it is still wanted."""
        code = attempt.process.poll()
        job = backtests.job(self._rows, attempt.job)
        wanted = job is not None and job.state == "running" and job.token == attempt.token
        if code is None and wanted:
            return
        if wanted:
            reason = f"Its process ended {backtests.ATTEMPTS} times without a result (exit code {code})."
            with self._rows.database.atomic():
                backtests.bury(self._rows, attempt.job, attempt.token, self._clock.now(), reason)
            _log.warning("backtests.process_died", job=attempt.job, code=code)
        _end(attempt.process)
        self._attempt = None

    def _tidy(self) -> None:
        """Take up jobs whose service died with their process; forget old ones."""
        now = self._clock.now()
        for job in backtests.silent_jobs(self._rows, now - SILENT):
            with self._rows.database.atomic():
                reason = f"Its process was not heard of for {SILENT // SECOND} s, {backtests.ATTEMPTS} times."
                backtests.bury(self._rows, job.id, job.token, now, reason)
            _log.warning("backtests.job_was_silent", job=job.id, attempt=job.attempts)
        if now - self._tidied >= 60 * SECOND or now < self._tidied:
            self._tidied = now
            with self._rows.database.atomic():
                backtests.forget_jobs(self._rows, now - KEPT, MOST_KEPT)

    def _put_down(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        _end(attempt.process)
        try:
            with connected(self._rows.database), self._rows.database.atomic():
                backtests.give_back(self._rows, attempt.job, attempt.token)
        except STORE_FAULTS as error:
            _log.warning("backtests.not_given_back", error=type(error).__name__)


def variables_of(settings: Settings) -> dict[str, str]:
    """The settings for a job's process, which gets them on its standard input: no other process can read them there."""
    return {
        "MOMENTS_DATA": str(settings.data),
        "MOMENTS_TRIGGER_DATABASE_URL": settings.trigger_database_url,
        "MOMENTS_EXPIRY": str(settings.expiry // SECOND),
        "MOMENTS_ATTRIBUTION_DAYS": str(settings.attribution // DAY),
        "MOMENTS_TEMPLATES": str(settings.templates or ""),
        "MOMENTS_PARTITIONS": str(settings.partitions),
        "MOMENTS_LOG_LEVEL": settings.log_level,
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
