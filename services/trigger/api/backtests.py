"""Asking for back-tests and reading what became of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from contracts.configurations import ConfigurationState
from contracts.moments import MomentState
from contracts.templates import Template, validate_settings
from contracts.times import DAY, MINUTE, SECOND, from_rfc3339
from services.trigger.api.cursors import cursor_text
from services.trigger.backtesting.request import Request, decode_request, encode_request
from services.trigger.store import backtests
from services.trigger.store.backtests import Job
from services.trigger.store.reading import moment_state
from services.trigger.store.records import load_configurations
from services.trigger.store.rows import Rows
from shared.clock import Clock
from shared.http import Conflict, NotFound, Unprocessable
from shared.problems import Fault
from shared.settings import Settings
from shared.store import connected

MOST_WAITING = 20
_DEFAULT_PERIOD = 7 * DAY
_AHEAD = MINUTE


class UnknownBacktest(NotFound):
    """There is no back-test of this id."""


class TooManyBacktests(Conflict):
    """So many back-tests wait already that no other is taken."""


class AlreadyEnded(Conflict):
    """The back-test has ended."""


class Backtests:
    """Jobs in the database; `nudge` tells the runner of changes."""

    def __init__(
        self, rows: Rows, settings: Settings, templates: dict[str, Template], clock: Clock, nudge: Callable[[], None]
    ) -> None:
        self._rows = rows
        self._settings = settings
        self._templates = templates
        self._clock = clock
        self._nudge = nudge

    def ask(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Check a request and queue it; raises Unprocessable with every fault, TooManyBacktests."""
        now = self._clock.now()
        with connected(self._rows.database), self._rows.database.atomic():
            request = _Asked(fields, self._rows, self._templates, self._settings.signals_retention, now).request()
            if backtests.count_waiting(self._rows) >= MOST_WAITING:
                raise TooManyBacktests(f"{MOST_WAITING} are queued; wait for one to end, or cancel one.")
            job_id = str(uuid.uuid4())
            backtests.add_job(self._rows, job_id, encode_request(request), now)
        self._nudge()
        return self.get(job_id)

    def get(self, job_id: str) -> dict[str, Any]:
        """A job, with its result when it is done; raises UnknownBacktest."""
        with self._known(job_id) as job:
            found = backtests.result(self._rows, job_id) if job.state == "done" else None
        return {**self._document(job), "result": None if found is None else msgspec.json.decode(found)}

    def page(self, cursor: tuple[int, str] | None, limit: int) -> dict[str, Any]:
        """Jobs, the newest first."""
        with connected(self._rows.database):
            found = backtests.jobs_page(self._rows, cursor, limit + 1)
        shown = found[:limit]
        following = cursor_text((shown[-1].created_at, shown[-1].id)) if len(found) > limit else None
        return {"items": [self._document(job) for job in shown], "next": following}

    def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job; cancelling it twice is no fault. Raises UnknownBacktest, AlreadyEnded."""
        with self._known(job_id), self._rows.database.atomic():
            cancelled = backtests.cancel_job(self._rows, job_id, self._clock.now())
        found = self.get(job_id)
        if not cancelled and found["state"] != "cancelled":
            raise AlreadyEnded(f"It is {found['state']}.")
        self._nudge()
        return found

    def remove(self, job_id: str) -> None:
        """Delete a job; one that runs ends. Raises UnknownBacktest."""
        with self._known(job_id), self._rows.database.atomic():
            backtests.remove_job(self._rows, job_id)
        self._nudge()

    @contextmanager
    def _known(self, job_id: str) -> Iterator[Job]:
        with connected(self._rows.database):
            job = backtests.job(self._rows, job_id)
            if job is None:
                raise UnknownBacktest
            yield job

    def _document(self, job: Job) -> dict[str, Any]:
        request = decode_request(job.request)
        end = job.ended_at if job.ended_at is not None else self._clock.now()
        seconds = max(0, end - job.started_at) / SECOND if job.started_at is not None else 0.0
        return {
            "id": job.id,
            "state": job.state,
            "reason": job.reason or None,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "ended_at": job.ended_at,
            "progress": {
                "total": job.total,
                "read": job.taken,
                "replayed": job.replayed,
                "rate": round(job.replayed / seconds) if seconds and job.replayed else 0,
            },
            "request": {
                "moment_id": request.moment_id or None,
                "type": request.type,
                "configuration_id": request.configuration_id,
                "settings": request.settings,
                "compare_with": request.compare_with,
                "since": request.since,
                "until": request.until,
                "as_it_ran": request.as_it_ran,
            },
        }


class _Asked:
    """A request against what is known of moments and configurations; gathers every fault."""

    def __init__(
        self, fields: Mapping[str, Any], rows: Rows, templates: dict[str, Template], retention: int, now: int
    ) -> None:
        self._fields = fields
        self._rows = rows
        self._templates = templates
        self._retention = retention
        self._now = now
        self._faults: list[Fault] = []

    def request(self) -> Request:
        """The checked request; raises Unprocessable."""
        moment = self._moment()
        template = self._template(moment)
        configuration = self._configuration(moment)
        since, until = self._period()
        present = moment.settings if moment is not None else {}
        domains = configuration.domains if configuration is not None else None
        settings = self._settings("settings", template, present, domains)
        compared = self._settings("compareWith", template, present, domains)
        self._check_as_it_ran(moment)
        if self._faults or template is None or configuration is None:
            many = len(self._faults)
            raise Unprocessable(f"{many} fault{'s' if many > 1 else ''} in the request.", faults=self._faults)
        return Request(
            type=template.type,
            configuration_id=configuration.id,
            settings=settings or {},
            since=since,
            until=until,
            moment_id=moment.id if moment is not None else "",
            name=moment.name if moment is not None else "",
            compare_with=compared if self._fields.get("compareWith") is not None else None,
            as_it_ran=self._fields["asItRan"],
        )

    def _fault(self, pointer: str, reason: str) -> None:
        self._faults.append(Fault(pointer, reason))

    def _moment(self) -> MomentState | None:
        moment_id = self._fields.get("momentId")
        if moment_id is None:
            return None
        state = moment_state(self._rows, moment_id)
        if state is None or state.deleted:
            self._fault("/momentId", f"There is no moment {moment_id}.")
            return None
        return state

    def _template(self, moment: MomentState | None) -> Template | None:
        given = self._fields.get("type")
        if moment is not None:
            if given is not None and given != moment.type:
                self._fault("/type", f"The moment is a {moment.type}; leave the type out.")
            given = moment.type
        elif given is None and self._fields.get("momentId") is None:
            self._fault("/momentId", "Name a moment, or a type with a configuration and settings.")
        template = self._templates.get(given) if given is not None else None
        if given is not None and template is None:
            self._fault("/type", f"There is no template {given}; there are {', '.join(sorted(self._templates))}.")
        return template

    def _configuration(self, moment: MomentState | None) -> ConfigurationState | None:
        pointer = "/audienceConfigurationId"
        linked = moment.configuration_id if moment is not None else None
        wanted = self._fields.get("audienceConfigurationId") or linked
        if linked is not None and wanted != linked:
            self._fault(pointer, "The moment has another audience configuration; leave this out.")
            return None
        if wanted is None:
            if moment is not None:
                self._fault(pointer, "The moment has no audience configuration; name one.")
            elif self._fields.get("type") is not None:
                self._fault(pointer, "Name the audience configuration whose signals are meant.")
            return None
        found = load_configurations(self._rows).get(wanted)
        if found is None or found.deleted:
            self._fault(pointer, f"There is no audience configuration {wanted}.")
            return None
        return found

    def _settings(
        self, name: str, template: Template | None, present: Mapping[str, Any], domains: Sequence[str] | None
    ) -> dict[str, Any] | None:
        """The present settings with the given ones over them."""
        given = self._fields.get(name) or {}
        if template is None:
            return None
        settings, faults = validate_settings(template, {**present, **given}, domains)
        for fault in faults:
            self._fault(f"/{name}{fault.pointer}", fault.reason)
        return settings

    def _period(self) -> tuple[int, int]:
        until = self._instant("to", self._now)
        since = self._instant("from", max(until - _DEFAULT_PERIOD, self._now - self._retention))
        if until > self._now + _AHEAD:
            self._fault("/to", "The period ends in the future.")
        if since >= until:
            self._fault("/from", "The period begins at or after its end.")
        elif since < self._now - self._retention - _AHEAD:
            self._fault("/from", f"Signals are kept for {self._retention // DAY} days.")
        return since, min(until, self._now)

    def _instant(self, name: str, default: int) -> int:
        text = self._fields.get(name)
        if text is None:
            return default
        try:
            return from_rfc3339(text)
        except (ValueError, OverflowError):
            self._fault(f"/{name}", "Write an instant with its zone, as 2026-11-23T10:15:30Z.")
            return default

    def _check_as_it_ran(self, moment: MomentState | None) -> None:
        if not self._fields["asItRan"]:
            return
        if self._fields.get("settings"):
            self._fault("/settings", "What a moment did is replayed with the settings that it had; use compareWith.")
        if moment is None and self._fields.get("momentId") is None:
            self._fault("/asItRan", "Only a moment can be replayed as it ran; name it as momentId.")
        elif moment is not None and moment.running_since is None:
            self._fault("/asItRan", "The moment has never run.")
