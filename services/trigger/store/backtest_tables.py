"""Migrations 7 and 12: the jobs of back-tests, and what a back-test needs to go through the log as it ran."""

from __future__ import annotations

from shared.store import Migration

_JOBS = """
    CREATE TABLE backtests (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, created_at BIGINT NOT NULL, started_at BIGINT, ended_at BIGINT,
        seen_at BIGINT NOT NULL, attempts INTEGER NOT NULL, token TEXT NOT NULL, total BIGINT NOT NULL,
        taken BIGINT NOT NULL, replayed BIGINT NOT NULL, reason TEXT NOT NULL, request {blob} NOT NULL,
        result {blob})"""

# `after`: the place in the signal log up to which signals were applied; `version`: of the moment's state in force.
_SETTLEMENTS = """
    CREATE TABLE settlements (
        moment_id TEXT NOT NULL, version BIGINT NOT NULL, after BIGINT NOT NULL, settled_at BIGINT NOT NULL,
        partitions TEXT NOT NULL, body {blob} NOT NULL)"""
_RETIMED = """
    CREATE TABLE retimed (
        moment_id TEXT NOT NULL, version BIGINT NOT NULL, after BIGINT NOT NULL, profile_key {blob} NOT NULL,
        process_key {blob} NOT NULL, number INTEGER NOT NULL, due_at BIGINT NOT NULL)"""

_SHARED = (
    "CREATE INDEX backtests_by_creation ON backtests (created_at, id)",
    "CREATE INDEX settlements_by_moment ON settlements (moment_id, after)",
    "CREATE INDEX retimed_by_moment ON retimed (moment_id, after)",
)


def _statements(blob: str) -> list[str]:
    return [*(table.format(blob=blob) for table in (_JOBS, _SETTLEMENTS, _RETIMED)), *_SHARED]


BACKTEST_MIGRATION = Migration(
    version=7,
    name="back-tests",
    statements={"sqlite": _statements("BLOB"), "postgresql": _statements("BYTEA")},
)

_FINDING_RETIMED = (
    "CREATE INDEX retimed_by_due ON retimed (due_at)",
    "CREATE INDEX retimed_by_profile ON retimed (moment_id, profile_key)",
)
RETIMED_MIGRATION = Migration(
    version=12,
    name="finding retimed waits by due and by profile",
    statements={"sqlite": _FINDING_RETIMED, "postgresql": _FINDING_RETIMED},
)
