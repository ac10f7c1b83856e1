"""Puts the ingestion service together."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from contracts.topology import moments_topology
from services.ingestion import sdk_views
from services.ingestion.bodies import LARGEST_BODY
from services.ingestion.duties import (
    Duty,
    FlushRefusals,
    FollowConfigurations,
    Loop,
    RefreshKeys,
    ReplayLost,
    ReportRefusals,
    TellKeyUses,
)
from services.ingestion.erasing import Erasing, erase_customers
from services.ingestion.handover import Handover
from services.ingestion.intake import Intake
from services.ingestion.key_uses import KeyUses
from services.ingestion.keys import Keys
from services.ingestion.leadership import Leadership
from services.ingestion.limits import Limits
from services.ingestion.readiness import Readiness
from services.ingestion.refusal_log import RefusalLog
from services.ingestion.refusal_reports import RefusalReports, crowded_by
from services.ingestion.replays import reread_refused
from services.ingestion.requests import Gate
from services.ingestion.segment.views import PUBLIC as SEGMENT_PUBLIC
from services.ingestion.segment.views import segment_views
from services.ingestion.signing import Verifier
from services.ingestion.spool.keeping import KeepSpool
from services.ingestion.spool.store import FILE as SPOOL_FILE
from services.ingestion.spool.store import Spool
from services.ingestion.store import SCHEMA, IngestionStore
from services.ingestion.views import PUBLIC, set_up_cors, signal_views
from shared.broker import Broker, Publisher, connect_broker
from shared.clock import Clock, SystemClock
from shared.ending import end_each
from shared.http import create_service
from shared.proxies import trust_proxies
from shared.settings import Settings
from shared.space import room_check
from shared.store import open_database


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The parts of one ingestion process. Make it after the fork; `start` begins the background duties."""

    app: Flask
    store: IngestionStore
    keys: Keys
    broker: Broker
    publisher: Publisher
    leadership: Leadership
    limits: Limits
    spool: Spool | None
    duties: tuple[Duty, ...]
    loops: tuple[Loop, ...]

    def start(self) -> None:
        """Take over the stored keys and start the loops."""
        self.keys.refresh()
        for loop in self.loops:
            loop.start()

    def close(self) -> None:
        """End the loops, flush the publisher, let another process lead."""
        end_each(
            *(loop.end for loop in self.loops),
            *(loop.join for loop in self.loops),
            self.publisher.close,
            self.broker.close,
            self.leadership.release,
            self.limits.close,
            *((self.spool.close,) if self.spool is not None else ()),
            self.store.close,
        )


def create_ingestion(settings: Settings, *, clock: Clock | None = None, broker: Broker | None = None) -> Ingestion:
    """Wire one process; nothing runs yet."""
    clock = clock or SystemClock()
    store = IngestionStore(open_database(settings.ingestion_database_url, schema=SCHEMA, synchronous="NORMAL"))
    store.migrate()
    broker = broker or connect_broker(settings.broker_url, clock)
    topology = moments_topology(settings.partitions)
    publisher = broker.publisher(topology)
    keys = Keys(store, Verifier(settings.secret_pepper, settings.signature_tolerance))
    refusal_log = RefusalLog(store, clock, settings.refusals_kept)
    reports = RefusalReports(publisher, tellable=keys.tellable, suppresses=keys.suppresses, crowded=crowded_by(broker))
    uses = KeyUses(publisher)
    leadership = Leadership(settings.data / "ingestion.lock")
    limits = Limits.of(settings, clock)
    spool = _spool(settings, clock)
    intake = Intake(
        Handover(publisher, spool), refusal_log, reports, settings.partitions, limits, settings.secret_pepper
    )
    duties: tuple[Duty, ...] = (
        RefreshKeys(keys),
        FlushRefusals(refusal_log),
        ReportRefusals(reports),
        TellKeyUses(uses),
        FollowConfigurations(leadership, broker, publisher, topology, store),
        ReplayLost(leadership, broker, publisher, topology, settings.partitions),
        erase_customers(leadership, broker, publisher, topology, clock, Erasing(spool)),
        reread_refused(leadership, broker, publisher, topology, keys, intake, clock),
    )
    if spool is not None:
        duties = (*duties, KeepSpool(leadership, spool, broker, publisher, clock, settings.partitions))
    gate = Gate(keys, intake, reports, uses, clock, limits)
    app = _create_app(settings, gate, Readiness(broker, publisher, gate.keys, spool, clock))
    return Ingestion(
        app, store, keys, broker, publisher, leadership, limits, spool, duties, tuple(Loop(duty) for duty in duties)
    )


def _spool(settings: Settings, clock: Clock) -> Spool | None:
    """The spool of this machine; one that was switched off is opened as long as it is there, to be drained."""
    if settings.spool or (settings.data / SPOOL_FILE).exists():
        return Spool(settings.data, settings.spool, settings.secret_pepper, clock)
    return None


def create_app(settings: Settings) -> Flask:
    """The Flask application of a started process; for programs that need nothing else."""
    ingestion = create_ingestion(settings)
    ingestion.start()
    return ingestion.app


def _create_app(settings: Settings, gate: Gate, readiness: Readiness) -> Flask:
    app = create_service(
        "ingestion",
        settings,
        title="Moments: ingestion",
        description="Takes signals; a signal answered with 200 is stored.",
        blueprints=[signal_views(gate), segment_views(gate), sdk_views.blueprint],
        checks={**readiness.checks(), "disk": room_check(settings.ingestion_database_url, settings.broker_url)},
        public={**PUBLIC, **SEGMENT_PUBLIC, **sdk_views.PUBLIC},
        max_body=LARGEST_BODY + 1,
    )
    _declare_key_scheme(app)
    set_up_cors(app, gate.keys)
    trust_proxies(app, settings.trusted_proxies)
    return app


def _declare_key_scheme(app: Flask) -> None:
    apis = app.extensions["flask-smorest"]["apis"]
    for api in apis.values():
        api["ext_obj"].spec.components.security_scheme(
            "signalKey",
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-Api-Key",
                "description": "`pk_…`, `ak_…`, or `sk_…:secret` of an audience configuration.",
            },
        )
