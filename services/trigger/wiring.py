"""Trigger's HTTP side put together: its database, webhooks, and the Flask application."""

from __future__ import annotations

import atexit
from functools import partial

import structlog
from flask import Flask, g
from prometheus_client import REGISTRY

from contracts.templates import templates, use_templates
from contracts.times import SECOND
from services.trigger.api import (
    analytics_views,
    backtest_views,
    erasure_views,
    explanation_views,
    recent_views,
    refusal_views,
)
from services.trigger.api.analytics import Analytics
from services.trigger.api.audience_readings import AudienceReadings
from services.trigger.api.audiences import AUDIENCES, audiences
from services.trigger.api.backtests import Backtests
from services.trigger.api.erasures import Erasures
from services.trigger.api.explanations import Explanations
from services.trigger.api.exports import Exports
from services.trigger.api.readings import Readings
from services.trigger.api.recent import RecentSignals
from services.trigger.api.refusals import RefusedSignals
from services.trigger.api.streams import Streams
from services.trigger.api.views import EXTENSION, blueprint
from services.trigger.backtesting.runner import Runner
from services.trigger.gauges import TriggerGauges
from services.trigger.store.accounts import Terms
from services.trigger.store.erasures import erasures_underway
from services.trigger.store.migrations import MIGRATIONS
from services.trigger.store.records import newest_worker
from services.trigger.store.rows import Rows
from services.trigger.store.spools import spool_rows
from services.trigger.store.tokens import find_token
from services.trigger.webhooks.gauges import WebhookGauges
from services.trigger.webhooks.program import Subscriptions
from services.trigger.webhooks.running import guard_of, sender_of
from services.trigger.webhooks.views import EXTENSION as WEBHOOKS
from services.trigger.webhooks.views import blueprint as webhooks
from shared.bearer import Bearers
from shared.clock import Clock, SystemClock
from shared.ending import end_each
from shared.http import NotReady, create_service
from shared.settings import Settings
from shared.space import room_check
from shared.store import STORE_FAULTS, close_database, connected, migrate, open_database

WORKER_AWAY = 15 * SECOND
"""A worker that was not seen for that long counts as away."""

SPOOL_BEHIND = 10 * SECOND
"""A machine whose word lies so far back is told of; what the worker writes down is a few seconds old."""

_log = structlog.get_logger("trigger")


class Trigger:
    """The service's HTTP side; the worker is another process and shares nothing with it but the database."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        use_templates(settings.templates)
        self._clock = clock
        self._database = open_database(settings.trigger_database_url, schema="moments_trigger")
        self._rows = Rows(self._database)
        self._migrated = False
        self._bearers = Bearers(
            admin_token=settings.admin_token,
            pepper=settings.secret_pepper,
            clock=clock,
            find=lambda hash: find_token(self._rows, hash),
            scopes=dict.fromkeys(("/api/v1/erasures", "/api/v1/exports", "/api/v1/profiles"), "admin"),
            harmless=("/preview",),
        )
        self._gauges = TriggerGauges(self._rows, clock)
        self._webhook_gauges = WebhookGauges(self._rows, clock)
        self.app = create_service(
            "trigger",
            settings,
            title="Moments: trigger",
            description="What became of the waits of moments. Lists are paged by `cursor`.",
            blueprints=(
                blueprint,
                analytics_views.blueprint,
                explanation_views.blueprint,
                recent_views.blueprint,
                refusal_views.blueprint,
                audiences,
                erasure_views.blueprint,
                erasure_views.profiles,
                erasure_views.exports,
                backtest_views.blueprint,
                webhooks,
            ),
            checks={
                "database": self._check_database,
                "worker": self._check_worker,
                "spools": self._check_spools,
                "erasures": self._check_erasures,
                "disk": room_check(settings.trigger_database_url, settings.broker_url),
            },
            authenticate=self._authenticate,
        )
        self.app.extensions[EXTENSION] = Readings(self._rows, templates(), clock)
        self.app.extensions[AUDIENCES] = AudienceReadings(self._rows)
        terms = Terms(templates(), settings.expiry, settings.attribution)
        self.app.extensions[explanation_views.EXTENSION] = Explanations(self._rows, terms)
        self.app.extensions[recent_views.EXTENSION] = RecentSignals(self._rows, terms, clock)
        self.app.extensions[erasure_views.EXTENSION] = Erasures(
            self._rows, clock, settings.secret_pepper, settings.partitions
        )
        self.app.extensions[erasure_views.EXPORTS] = Exports(self._rows, clock)
        self.app.extensions[refusal_views.EXTENSION] = RefusedSignals(self._rows, clock)
        analytics = Analytics(self._rows, templates(), clock, settings.minutes_kept)
        self.streams = Streams(analytics, clock, settings.streams)
        self.app.extensions[analytics_views.EXTENSION] = analytics
        self.app.extensions[analytics_views.STREAMS] = self.streams
        guard = guard_of(settings)
        self.app.extensions[WEBHOOKS] = Subscriptions(self._rows, guard, sender_of(settings, guard), clock)
        self._runner = Runner(self._rows, settings, clock)
        self.app.extensions[backtest_views.EXTENSION] = Backtests(
            self._rows, settings, templates(), clock, self._runner.nudge
        )

    def start(self) -> None:
        """Bring the database up to date, if it answers, show metrics and look for jobs."""
        try:
            self._check_database()
        except STORE_FAULTS as error:
            _log.warning("trigger.database_away", error=type(error).__name__)
        REGISTRY.register(self._gauges)
        REGISTRY.register(self._webhook_gauges)
        self._runner.start()

    def close(self) -> None:
        """Give everything back."""
        end_each(
            *(self.streams.close, self._runner.stop),
            *(partial(REGISTRY.unregister, each) for each in (self._gauges, self._webhook_gauges)),
            lambda: close_database(self._database),
        )

    def _authenticate(self) -> None:
        g.bearer = self._bearers.admit()

    def _check_database(self) -> None:
        if not self._migrated:
            migrate(self._database, MIGRATIONS)
            self._migrated = True
        with connected(self._database):
            self._rows.execute("SELECT 1 FROM migrations LIMIT 1")

    def _check_worker(self) -> None:
        with connected(self._database):
            seen = newest_worker(self._rows)
        if seen is None:
            raise NotReady("no worker was seen yet")
        away = self._clock.now() - seen
        if away > WORKER_AWAY:
            raise NotReady(f"no worker was seen for {away // SECOND} s")

    def _check_spools(self) -> str | None:
        """Raises that are held back are no fault of this service: it says so, and is ready."""
        with connected(self._database):
            machines = spool_rows(self._rows)
        now = self._clock.now()
        told = [
            f"raises wait for {each.machine}, {(now - each.at) // SECOND} s behind: {each.waiting} signals wait there"
            for each in machines
            if each.state == "here" and now - each.at > SPOOL_BEHIND
        ]
        told += [f"{each.machine} was passed over" for each in machines if each.state == "passed"]
        return "; ".join(told) or None

    def _check_erasures(self) -> str | None:
        """One that fails is tried again, ever more seldom: somebody has to look why."""
        with connected(self._database):
            failing = sum(failing for _, failing in erasures_underway(self._rows).values())
        return f"{failing} cannot be gone on with; their receipts say why" if failing else None


def create_app(settings: Settings, clock: Clock | None = None) -> Flask:
    """The running service of this process."""
    trigger = Trigger(settings, clock or SystemClock())
    trigger.start()
    atexit.register(trigger.close)
    return trigger.app
