"""The tables of webhooks: subscriptions, deliveries with their bodies, attempts, counters, what is bound."""

from __future__ import annotations

from shared.store import Dialect, Migration

_COLUMNS = {
    "webhook_subscriptions": """
        id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, url TEXT NOT NULL, patterns TEXT NOT NULL,
        enabled INTEGER NOT NULL, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
        disabled_at BIGINT, disabled_reason TEXT, secret TEXT NOT NULL, previous_secret TEXT, previous_until BIGINT,
        failing_since BIGINT, paused_until BIGINT NOT NULL""",
    "webhook_deliveries": """
        id {identity}, key {blob} NOT NULL UNIQUE, subscription_id TEXT NOT NULL, event_id TEXT NOT NULL,
        type TEXT NOT NULL, profile_key {blob}, body {blob} NOT NULL, state TEXT NOT NULL, taken_at BIGINT NOT NULL,
        attempts INTEGER NOT NULL, next_at BIGINT, claim TEXT, finished_at BIGINT""",
    "webhook_attempts": """
        id {identity}, delivery_id BIGINT NOT NULL, at BIGINT NOT NULL, duration BIGINT NOT NULL,
        status INTEGER, error TEXT NOT NULL""",
    "webhook_counters": """
        subscription_id TEXT NOT NULL, counter TEXT NOT NULL, value BIGINT NOT NULL,
        PRIMARY KEY (subscription_id, counter)""",
    "webhook_bindings": """
        pattern TEXT PRIMARY KEY""",
    "webhook_state": """
        id INTEGER PRIMARY KEY, revision BIGINT NOT NULL, bound_revision BIGINT NOT NULL, binder TEXT NOT NULL,
        binder_until BIGINT NOT NULL""",
}

_INDEXES = (
    "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (subscription_id, next_at) WHERE state = 'pending'",
    "CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (subscription_id, state, id)",
    "CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX webhook_deliveries_by_profile ON webhook_deliveries (profile_key) WHERE profile_key IS NOT NULL",
    "CREATE INDEX webhook_attempts_by_delivery ON webhook_attempts (delivery_id)",
    "INSERT INTO webhook_state (id, revision, bound_revision, binder, binder_until) VALUES (1, 0, 0, '', 0)",
)

_TYPES: dict[Dialect, dict[str, str]] = {
    # AUTOINCREMENT: an answer that comes after its delivery was forgotten must not find another one of that number.
    "sqlite": {"identity": "INTEGER PRIMARY KEY AUTOINCREMENT", "blob": "BLOB"},
    "postgresql": {"identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "blob": "BYTEA"},
}


def webhooks_migration(version: int) -> Migration:
    """The step that makes the tables, under a version of trigger's count."""
    return Migration(
        version,
        "webhooks",
        {
            dialect: (
                *(f"CREATE TABLE {name} ({columns.format(**types)})" for name, columns in _COLUMNS.items()),
                *_INDEXES,
            )
            for dialect, types in _TYPES.items()
        },
    )
