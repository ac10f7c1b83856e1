"""The API tokens that trigger knows, by the hash of their text."""

from __future__ import annotations

from contracts.tokens import TokenState
from services.trigger.store.rows import Rows
from shared.bearer import ApiToken
from shared.store import Migration, connected

_STATEMENTS = (
    """CREATE TABLE tokens (
        id TEXT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, scope TEXT NOT NULL,
        expires_at BIGINT, revoked BOOLEAN NOT NULL)""",
    "CREATE INDEX tokens_by_hash ON tokens (hash)",
)

TOKENS_MIGRATION = Migration(
    version=20, name="API tokens", statements={"sqlite": _STATEMENTS, "postgresql": _STATEMENTS}
)


def save_token(rows: Rows, state: TokenState) -> None:
    """Keep a token's state when it is newer."""
    rows.execute(
        "INSERT INTO tokens (id, version, name, hash, scope, expires_at, revoked) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, revoked = excluded.revoked"
        " WHERE excluded.version > tokens.version",
        (state.id, state.version, state.name, state.hash, state.scope, state.expires_at, state.deleted),
    )


def find_token(rows: Rows, hash: str) -> ApiToken | None:
    """The token of a hash; None when it is unknown or was revoked."""
    sql = "SELECT id, name, scope, expires_at FROM tokens WHERE hash = ? AND NOT revoked"
    with connected(rows.database):
        found = list(rows.execute(sql, (hash,)))
    if not found:
        return None
    token_id, name, scope, expires_at = found[0]
    return ApiToken(id=token_id, name=name, scope=scope, expires_at=expires_at)
