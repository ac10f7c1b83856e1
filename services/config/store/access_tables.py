"""The tables of access (version 3), those of tokens (version 4), and who changed a moment or a configuration last."""

from __future__ import annotations

TABLES = (
    """CREATE TABLE users (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key {text} NOT NULL, email TEXT NOT NULL,
        email_key {text} NOT NULL UNIQUE, role {text} NOT NULL, password_hash TEXT, subject TEXT UNIQUE,
        disabled BOOLEAN NOT NULL, zone TEXT NOT NULL, version BIGINT NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, signed_in_at BIGINT)""",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, browser TEXT NOT NULL,
        created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)""",
    """CREATE TABLE links (
        token_hash TEXT PRIMARY KEY, purpose TEXT NOT NULL, user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
        created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)""",
    "CREATE TABLE attempts (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, last_at BIGINT NOT NULL)",
    "CREATE INDEX sessions_by_user ON sessions (user_id)",
    "CREATE INDEX links_by_user ON links (user_id)",
    "CREATE INDEX audit_by_actor ON audit (actor, id)",
    "CREATE INDEX audit_by_time ON audit (at)",
    "ALTER TABLE configurations ADD COLUMN updated_by TEXT NOT NULL DEFAULT 'admin token'",
    "ALTER TABLE moments ADD COLUMN updated_by TEXT NOT NULL DEFAULT 'admin token'",
)

TOKEN_TABLES = (
    """CREATE TABLE api_tokens (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, beginning TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
        scope TEXT NOT NULL, version BIGINT NOT NULL, created_at BIGINT NOT NULL, created_by TEXT NOT NULL,
        expires_at BIGINT, last_used_at BIGINT, revoked_at BIGINT)""",
)
