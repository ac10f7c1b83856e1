"""Config put together: database, outbox, broker, background work and the Flask application."""

from __future__ import annotations

import atexit
from collections.abc import Callable

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from prometheus_client import Gauge

from contracts.templates import use_templates
from contracts.topology import moments_topology
from services.config.access.fault_page import fault_page
from services.config.access.guard import authenticate
from services.config.access.links import url_of
from services.config.access.oidc_pages import blueprint as oidc_pages
from services.config.access.pages import blueprint as access_pages
from services.config.access.passwords import Passwords
from services.config.access.wiring import make_access, set_up_access
from services.config.audit import Audit
from services.config.configurations import Configurations
from services.config.ingesting import IngestionClient
from services.config.journeys import Journeys
from services.config.key_uses import key_use_reader
from services.config.keys import KeyMaker
from services.config.live import LivePages
from services.config.moments import Moments
from services.config.previews import Previews
from services.config.program import EXTENSION, Program
from services.config.publication import Publication, snapshot_reader
from services.config.replays import Replays
from services.config.store import ConfigStore, open_config_database
from services.config.suppressions import Suppressions
from services.config.triggering import TriggerClient
from services.config.ui import PAGES, set_up_frame
from services.config.views import BLUEPRINTS
from services.config.webhooks import Webhooks
from shared.broker import connect_broker
from shared.clock import Clock, SystemClock
from shared.ending import end_each
from shared.erasing import erasure_reader
from shared.http import create_service
from shared.outbox import Outbox, Relay, RelayThread
from shared.pages import Pages
from shared.settings import Settings
from shared.space import room_check

_DAY = 86_400_000_000
_SLACK = 2 * _DAY
_WAITING = Gauge("moments_config_outbox_waiting", "State messages that are not published yet.")
_log = structlog.get_logger("config")


class Config:
    """The service: `app` answers requests; `start` begins the background work, after the process has forked."""

    def __init__(self, settings: Settings, clock: Clock, passwords: Passwords | None = None) -> None:
        use_templates(settings.templates)
        topology = moments_topology(settings.partitions)
        retention = settings.retention + _SLACK
        self.store = ConfigStore(open_config_database(settings))
        self._clock = clock
        self._retention = retention
        self._audit_retention = settings.audit_retention
        self._broker = connect_broker(settings.broker_url, clock)
        self._publisher = self._broker.publisher(topology)
        self._relay = Relay(self.store.database, self._publisher, clock)
        self._relaying = RelayThread(self._relay)
        outbox = Outbox(self.store.database, clock, on_commit=self._relaying.nudge)
        publication = Publication(self.store, outbox, clock, retention)
        self._snapshots = snapshot_reader(self._broker, self._publisher, topology, publication)
        audit = Audit(self.store)
        configurations = Configurations(self.store, publication, audit, KeyMaker(settings.secret_pepper), clock)
        self._key_uses = key_use_reader(self._broker, topology, configurations)
        suppressions = Suppressions(self.store, publication, audit, clock, settings.secret_pepper)
        self._erasures = erasure_reader(self._broker, self._publisher, topology, "config", clock, suppressions.erase)
        moments = Moments(self.store, publication, audit, clock)
        trigger = TriggerClient(settings.trigger_url, settings.admin_token)
        self.program = Program(
            configurations,
            moments,
            audit,
            Previews(moments, trigger, clock),
            trigger,
            LivePages(trigger, settings.live_pages),
            Webhooks(trigger, audit, self.store, clock),
            Replays(trigger, audit, self.store, clock),
            Journeys(self._broker),
            clock,
            IngestionClient(settings.ingestion_url, settings.public_signals_url),
            suppressions,
            settings.environment,
            settings.sample_shop,
        )
        self.access = make_access(self.store, audit, publication, settings, clock, passwords)
        self._app_url = settings.app_url
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self.app = create_service(
            "config",
            settings,
            title="Moments: configuration",
            description="Audience configurations, keys and moments. Lists are paged by `page` and `pageSize`.",
            blueprints=BLUEPRINTS,
            checks={
                "database": self.store.check,
                "disk": room_check(settings.config_database_url, settings.broker_url),
            },
            authenticate=authenticate,
            pages=Pages((access_pages, oidc_pages, *PAGES), fault_page),
        )
        set_up_access(self.app, self.access, settings.trusted_proxies)
        set_up_frame(self.app)
        self.app.extensions[EXTENSION] = self.program

    def start(self) -> None:
        """Bring the database up to date, then relay, answer snapshot requests and keep house."""
        self.store.migrate()
        self._welcome()
        self._relaying.start()
        self._snapshots.start()
        self._key_uses.start()
        self._erasures.start()
        for seconds, duty in (
            (5, self._measure),
            (60, self.program.configurations.drop_ended_keys),
            (3600, self._forget),
        ):
            self._scheduler.add_job(_careful(duty), "interval", seconds=seconds, coalesce=True, max_instances=1)
        self._scheduler.start()

    def stop(self) -> None:
        """End the background work; what is not published yet is published after the next start."""
        end_each(
            *(self.program.live.close, self._end_schedule, self._snapshots.stop, self._key_uses.stop),
            *(self._erasures.stop, self._relaying.stop, self._broker.close, self.store.close),
        )

    def _end_schedule(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _measure(self) -> None:
        _WAITING.set(self._relay.waiting())

    def _forget(self) -> None:
        now = self._clock.now()
        self._relay.forget(now - _DAY)
        self.program.moments.forget_old_settings(now - self._retention)
        self.program.audit.forget(now - self._audit_retention)
        self.access.forget()

    def _welcome(self) -> None:
        """While there is no administrator, tell in the log by which link the first administrator comes in."""
        token = self.access.people.first_link()
        if token is not None:
            _log.warning("access.no_administrator", link=url_of(token, self._app_url))


def create_app(settings: Settings, clock: Clock | None = None) -> Flask:
    """The running service: one per process, and one process per installation."""
    config = Config(settings, clock or SystemClock())
    config.start()
    atexit.register(config.stop)
    return config.app


def _careful(duty: Callable[[], object]) -> Callable[[], None]:
    """A duty that leaves a log line when it fails, and is tried again the next time."""

    def run() -> None:
        try:
            duty()
        except Exception as error:
            _log.warning("duty.failed", duty=getattr(duty, "__name__", ""), exc_info=error)

    return run
