"""The trigger's tables, by version. Times are microseconds since 1970."""

from __future__ import annotations

from services.trigger.store.anonymous import ANONYMOUS_MIGRATION
from services.trigger.store.backtest_tables import BACKTEST_MIGRATION, RETIMED_MIGRATION
from services.trigger.store.erasures import ERASURES_MIGRATION, FAILING_ERASURES_MIGRATION
from services.trigger.store.forgetting import HOUSEKEEPING_MIGRATION
from services.trigger.store.profiles import PROFILES_MIGRATION, PROFILES_SINCE_MIGRATION
from services.trigger.store.received import RECEIVED_MIGRATION
from services.trigger.store.refused import KEPT_MIGRATION, REFUSED_MIGRATION
from services.trigger.store.rollups import ROLLUPS
from services.trigger.store.sources import FORWARDS_MIGRATION, SOURCES_MIGRATION
from services.trigger.store.spools import SPOOLS_MIGRATION
from services.trigger.store.suppressions import SUPPRESSIONS_MIGRATION
from services.trigger.store.tokens import TOKENS_MIGRATION
from services.trigger.webhooks.tables import webhooks_migration
from shared.outbox import outbox_migration
from shared.store import Dialect, Migration

_COLUMNS = {
    "partitions": """
        partition INTEGER PRIMARY KEY, epoch BIGINT NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT ''""",
    "signals": """
        sequence {serial} PRIMARY KEY, profile BIGINT NOT NULL, key {blob} NOT NULL, level INTEGER NOT NULL,
        received_at BIGINT NOT NULL, body {blob} NOT NULL""",
    "processes": """
        id {identity} PRIMARY KEY, key {blob} NOT NULL UNIQUE, profile_key {blob} NOT NULL, partition INTEGER NOT NULL,
        configuration TEXT NOT NULL, id_type TEXT NOT NULL, profile TEXT NOT NULL, kind TEXT NOT NULL,
        process_id TEXT NOT NULL, last_at BIGINT NOT NULL, head {blob} NOT NULL""",
    "waits": """
        process_key {blob} NOT NULL, moment_id TEXT NOT NULL, number INTEGER NOT NULL, partition INTEGER NOT NULL,
        due_at BIGINT NOT NULL, PRIMARY KEY (process_key, moment_id, number)""",
    "raises": """
        id TEXT PRIMARY KEY, moment_id TEXT NOT NULL, profile_key {blob} NOT NULL, process_key {blob} NOT NULL,
        raised {boolean} NOT NULL, reason TEXT NOT NULL, due_at BIGINT NOT NULL, decided_at BIGINT NOT NULL,
        event {blob} NOT NULL""",
    "contradictions": """
        moment_id TEXT NOT NULL, profile_key {blob} NOT NULL, source TEXT NOT NULL, signal_id TEXT NOT NULL,
        raise_id TEXT NOT NULL, time BIGINT NOT NULL, received_at BIGINT NOT NULL,
        PRIMARY KEY (moment_id, profile_key, source, signal_id)""",
    "ledger": """
        moment_id TEXT NOT NULL, partition INTEGER NOT NULL, counter TEXT NOT NULL, value BIGINT NOT NULL,
        PRIMARY KEY (moment_id, partition, counter)""",
    "moments": """
        id TEXT PRIMARY KEY, version BIGINT NOT NULL, body {blob} NOT NULL""",
    "settled": """
        moment_id TEXT NOT NULL, partition INTEGER NOT NULL, version BIGINT NOT NULL, run BIGINT NOT NULL,
        PRIMARY KEY (moment_id, partition)""",
    "workers": """
        name TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, partitions TEXT NOT NULL""",
    "configurations": """
        id TEXT PRIMARY KEY, version BIGINT NOT NULL, body {blob} NOT NULL""",
}

_INDEXES = (
    "CREATE UNIQUE INDEX signals_by_key ON signals (key)",
    "CREATE INDEX signals_by_level ON signals (profile, level) WHERE level > 0",
    "CREATE INDEX processes_by_profile ON processes (profile_key, kind)",
    "CREATE INDEX waits_by_due ON waits (partition, due_at)",
    "CREATE INDEX waits_by_moment ON waits (moment_id, due_at)",
    "CREATE INDEX raises_by_moment ON raises (moment_id, decided_at)",
    "CREATE INDEX raises_by_profile ON raises (profile_key, moment_id)",
)

_TYPES: dict[str, dict[str, str]] = {
    "sqlite": {"serial": "INTEGER", "identity": "INTEGER", "blob": "BLOB", "boolean": "BOOLEAN"},
    "postgresql": {
        "serial": "BIGINT",
        "identity": "BIGINT GENERATED ALWAYS AS IDENTITY",
        "blob": "BYTEA",
        "boolean": "BOOLEAN",
    },
}
_OPTIONS = {
    ("sqlite", "waits"): " WITHOUT ROWID",
    ("sqlite", "ledger"): " WITHOUT ROWID",
    ("postgresql", "processes"): " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)",
    ("postgresql", "waits"): " WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)",
}


def _statements(dialect: Dialect) -> list[str]:
    made = [
        f"CREATE TABLE {name} ({columns.format(**_TYPES[dialect])}){_OPTIONS.get((dialect, name), '')}"
        for name, columns in _COLUMNS.items()
    ]
    if dialect == "postgresql":
        made.append("CREATE SEQUENCE signal_sequence CACHE 1")
    return [*made, *_INDEXES]


_KEPT_SINCE_8 = {
    "number": "INTEGER",
    **dict.fromkeys(("opened_at", "last_at", "run", "version", "after"), "BIGINT"),
}
"""Columns of `raises` that are NULL in what was decided before."""

_ON_DECISIONS = [
    *(f"ALTER TABLE raises ADD COLUMN {name} {kind}" for name, kind in _KEPT_SINCE_8.items()),
    # What stops suppressed before this version left a counter and no row: the audit must know how many.
    "INSERT INTO ledger (moment_id, partition, counter, value)"
    " SELECT moment_id, partition, 'unrecorded:stopped', value FROM ledger WHERE counter = 'suppressed:stopped'",
]


def _recovery_statements(dialect: Dialect) -> list[str]:
    recoveries = """CREATE TABLE recoveries (
        raise_id TEXT PRIMARY KEY, moment_id TEXT NOT NULL, profile_key {blob} NOT NULL, process_key {blob} NOT NULL,
        source TEXT NOT NULL, signal_id TEXT NOT NULL, time BIGINT NOT NULL, received_at BIGINT NOT NULL,
        recorded_at BIGINT NOT NULL, value TEXT NOT NULL)"""
    return [
        "ALTER TABLE raises ADD COLUMN orders TEXT",
        recoveries.format(**_TYPES[dialect]),
        "CREATE INDEX recoveries_by_moment ON recoveries (moment_id, recorded_at)",
    ]


MIGRATIONS = (
    Migration(
        version=1,
        name="processes, waits and raises",
        statements={"sqlite": _statements("sqlite"), "postgresql": _statements("postgresql")},
    ),
    outbox_migration(2),
    Migration(
        version=3,
        name="orders and recoveries",
        statements={name: _recovery_statements(name) for name in ("sqlite", "postgresql")},
    ),
    PROFILES_MIGRATION,
    HOUSEKEEPING_MIGRATION,
    BACKTEST_MIGRATION,
    Migration(
        version=8,
        name="what decisions were made on",
        statements={"sqlite": _ON_DECISIONS, "postgresql": _ON_DECISIONS},
    ),
    REFUSED_MIGRATION,
    webhooks_migration(6),
    ROLLUPS,
    PROFILES_SINCE_MIGRATION,
    RECEIVED_MIGRATION,
    TOKENS_MIGRATION,
    RETIMED_MIGRATION,
    ERASURES_MIGRATION,
    SPOOLS_MIGRATION,
    KEPT_MIGRATION,
    ANONYMOUS_MIGRATION,
    SUPPRESSIONS_MIGRATION,
    SOURCES_MIGRATION,
    FAILING_ERASURES_MIGRATION,
    FORWARDS_MIGRATION,
)
